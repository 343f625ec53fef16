"""Two processes fill one feature cache, each image once, and train on it as on the images."""

import re
from pathlib import Path

import pytest

from composed import TINY, figures
from headstart.cli import main
from headstart.features.cache.activation_cache import FeatureCache

FAST = [*(setting for setting in TINY if not setting.startswith("trainer.accelerator")), "logger=csv"]


def runs():
    return [path.parent for path in Path("outputs").glob("*/*/result.json") if path.parent.parent.name != "source"]


@pytest.mark.slow
def test_two_processes_share_the_pass_and_train_on_the_store_as_on_the_images(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    common = [*FAST, "mode=gradual", "unfreeze.every_epochs=1", "trainer.max_epochs=3", "trainer=ddp_cpu"]
    assert main([*common, "feature_cache.folder=stored"]) == 0
    said = capfd.readouterr().err
    (on_store,) = runs()
    assert main([*common, "feature_cache=off"]) == 0
    (on_images,) = set(runs()) - {on_store}
    assert len(figures(on_store)) == len(figures(on_images)) > 3
    for one, other in zip(figures(on_store), figures(on_images), strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    stored = FeatureCache(folder="stored", max_gib=1, dtype="float32", views=0).entries()
    assert len(stored) >= 3  # pooled features and the borders of two more phases
    images = max(entry.images for entry in stored)
    computed = [int(count) for count in re.findall(r"feature cache: (\d+) images in", said)]
    assert sum(computed) <= images  # rank 0 alone speaks, of its share: half of train and val, and of test
    assert images // 2 - 2 <= sum(computed) <= images // 2 + 2

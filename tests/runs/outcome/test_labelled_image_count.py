"""The number of labelled target images that a run reads."""

import json
from types import SimpleNamespace

import pytest

from composed import composed, trained
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.outcome.labelled_image_count import labelled_images
from headstart.runs.training.checkpoint_selection import adapts_to_target

FEW = ["source.characters=digits", "source.per_class=3", "source.val_per_class=2", "mode=scratch"]


@pytest.mark.parametrize(
    ("overrides", "train", "val"),
    [
        (["mode=scratch", "target.shots=7"], 70, 1007),  # 1077 digits are for both
        (["mode=multi_task", "target.shots=2"], 20, 1057),  # the source's labels are not the target's
        ([*FEW, "adaptation=dann", "target.shots=null"], 0, 0),  # val is the source's
        ([*FEW, "adaptation=dann", "target.shots=null", "target_labels=3"], 30, 0),
        (["mode=fine_tuning", "head.init=source", *FEW[:-1], "adaptation=shot", "target.shots=null"], 0, 0),
    ],
)
def test_labels_of_the_target_count_those_of_another_data_set_do_not(overrides, train, val):
    cfg = composed(*overrides)
    data = assembled(cfg).data
    assert labelled_images(data, adapts=adapts_to_target(cfg)) == {"train": train, "val": val}


def test_a_run_without_val_images_reads_none():
    data = SimpleNamespace(sizes={"train": 50, "val": 0, "test": 9})
    assert labelled_images(data, adapts=False) == {"train": 50, "val": 0}


def test_a_run_says_it_in_its_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("mode=scratch", "trainer.max_epochs=1", "target.shots=3", folder=tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["labelled_images"] == {"train": 30, "val": result["sizes"]["val"]}

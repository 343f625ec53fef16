"""Training on stored activations is training on images, phase by phase."""

from pathlib import Path

import numpy as np
import pytest
import torch

from composed import figures, trained
from headstart.features.cache import activation_key, cache_shards
from headstart.modules.classifier import Classifier

PHASES = {
    "feature_extraction": ["mode=feature_extraction"],
    "gradual": ["mode=gradual", "unfreeze.every_epochs=1"],
    "steps": ["mode=gradual", "unfreeze=steps", "unfreeze.first_step=3", "unfreeze.every_steps=3"],
    "closing again": ["mode=gradual", "unfreeze=chain_thaw", "unfreeze.until.max_epochs=1"],
    "fine_tuning": ["mode=fine_tuning"],
}
QUICK = ("feature_extraction", "closing again")  # those of `make test`


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a source model in it, so that it is trained once."""
    folder = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained("mode=feature_extraction", "trainer.max_epochs=1", "feature_cache=off", folder=folder / "run")
    return folder / "outputs" / "source"


@pytest.fixture
def compute(monkeypatch):
    """How many images pass the frozen stages to be stored."""
    seen = []
    original = activation_key.activations

    def counted(backbone, image, places):
        seen.append(len(image))
        return original(backbone, image, places)

    for module in ("headstart.features.cache.cached_activations", "headstart.runs.probing.frozen_features"):
        monkeypatch.setattr(f"{module}.activations", counted)
    return seen


def linked(here, source):
    (here / "outputs").mkdir(exist_ok=True)
    if not (here / "outputs" / "source").exists():
        (here / "outputs" / "source").symlink_to(source)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in PHASES]
)
def test_the_store_changes_no_figure_and_no_weight(name, here, source):
    linked(here, source)
    one = trained(*PHASES[name], folder=here / "stored")
    other = trained(*PHASES[name], "feature_cache=off", folder=here / "live")
    for got, wanted in zip(figures(here / "stored"), figures(here / "live"), strict=True):
        assert got == pytest.approx(wanted, abs=1e-5), name
    for (key_, got), wanted in zip(weights(here / "stored").items(), weights(here / "live").values(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5, msg=lambda text, key_=key_: f"{key_}: {text}")
    assert one["metrics"] == pytest.approx(other["metrics"], abs=1e-5)
    assert one["start_class_means"] == other["start_class_means"]


def test_the_features_that_a_source_s_weights_begin_with_are_computed_once_although_all_stages_learn(
    here, source, compute
):
    linked(here, source)
    one = trained("mode=fine_tuning", folder=here / "one")
    assert sum(compute) == one["sizes"]["train"]
    assert {cache_shards.read(path).rows.shape for path in (here / "outputs" / "store").glob("*/*.safetensors")} == {
        (50, 32)
    }
    compute.clear()
    other = trained("mode=fine_tuning", "optimizer.lr=1e-4", "head.init=random", folder=here / "two")
    assert sum(compute) == 0
    assert one["start_class_means"] == other["start_class_means"]


def test_nothing_is_stored_of_random_weights_as_those_of_another_seed_are_others(here, compute):
    result = trained("mode=scratch", folder=here / "one")
    assert result["start_class_means"] > 0.2
    assert sum(compute) == 0
    assert not list((here / "outputs" / "store").glob("*"))


def test_each_image_passes_the_frozen_stages_once_over_epochs_and_runs(here, source, compute):
    linked(here, source)
    result = trained("mode=feature_extraction", folder=here / "one")
    assert sum(compute) == sum(result["sizes"].values())  # train, val and test, in 4 epochs
    compute.clear()
    trained("mode=feature_extraction", "optimizer.lr=0.1", folder=here / "two")
    trained("mode=feature_extraction", "optimizer.weight_decay=0.1", "seed=1", folder=here / "three")
    # another seed draws other images for training, and all of them are known: from val, or the other way round
    assert sum(compute) == 0


def test_a_head_is_validated_on_all_stored_features_at_once_unless_batches_are_limited(here, source, monkeypatch):
    linked(here, source)
    sizes = []
    step = Classifier.validation_step

    def counted(module, batch, number):
        sizes.append(len(batch.label))
        return step(module, batch, number)

    monkeypatch.setattr(Classifier, "validation_step", counted)
    count = trained("mode=feature_extraction", folder=here / "all")["sizes"]["val"]
    assert sizes == [count] * 5  # before the first step and after each of four epochs
    sizes.clear()
    trained("mode=feature_extraction", "trainer.limit_val_batches=2", folder=here / "limited")
    assert sizes == [64] * 10  # as of images


def test_gradual_computes_all_borders_in_one_pass(here, source, compute):
    linked(here, source)
    result = trained("mode=gradual", "unfreeze.every_epochs=1", folder=here / "one")
    assert sum(compute) == result["sizes"]["train"] + result["sizes"]["val"]  # the test runs from the images
    shapes = {cache_shards.read(path).rows.shape[1:] for path in (here / "outputs" / "store").glob("*/*.safetensors")}
    assert shapes == {(32,), (4, 4, 16), (8, 8, 8), (16, 16, 4)}  # behind the last stage pooled


def test_what_does_not_fit_runs_live_and_says_so(here, source, compute, caplog):
    linked(here, source)
    caplog.set_level("INFO")
    small = 1500 * 300 * 4 / 2**30  # room for the pooled features and the next border, for no larger map
    trained("mode=gradual", "unfreeze.every_epochs=1", f"feature_cache.max_gib={small}", folder=here / "one")
    shapes = {cache_shards.read(path).rows.shape[1:] for path in (here / "outputs" / "store").glob("*/*.safetensors")}
    assert shapes == {(32,), (4, 4, 16)}
    (line,) = [one.message for one in caplog.records if one.message.startswith("feature cache: head")]
    assert "feature_cache.max_gib" in line


def test_views_are_drawn_anew_in_each_epoch_and_the_same_in_each_run(here, source, compute):
    linked(here, source)
    arguments = ("mode=feature_extraction", "augment@target.augment=affine", "feature_cache.views=3", "target.shots=2")
    result = trained(*arguments, folder=here / "one")
    assert sum(compute) == 3 * 20 + sum(result["sizes"].values())  # train as it is, before the first step
    compute.clear()
    trained(*arguments, folder=here / "two")
    assert sum(compute) == 0
    assert figures(here / "one") == figures(here / "two")
    trained(*arguments, "target.augment.degrees=11", folder=here / "three")
    assert sum(compute) == 3 * 20


def test_without_views_augmented_training_runs_live_and_val_is_stored(here, source, compute):
    linked(here, source)
    augmented = ("mode=feature_extraction", "augment@target.augment=affine")
    result = trained(*augmented, folder=here / "one")
    assert sum(compute) == sum(result["sizes"].values())  # train before the first step
    trained(*augmented, "feature_cache=off", folder=here / "live")
    for got, wanted in zip(figures(here / "one"), figures(here / "live"), strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_a_view_is_the_augmented_image_of_the_epoch_of_its_number(here):
    from composed import composed
    from headstart.features.cache.cache_choice import ImageGroup
    from headstart.features.cache.cached_activations import _of_views
    from headstart.runs.model_parts.assembly import assembled

    data = assembled(composed("mode=scratch", "augment@target.augment=affine", "target.shots=2")).data
    data.setup("fit")
    places = [(view, position) for view in range(2) for position in range(20)]
    seen = torch.cat([batch.image for batch in data.view_dataloader(places)])
    loader = data.train_dataloader()
    for view in range(2):
        loader.batch_sampler.sampler.set_epoch(view)
        for batch in loader:
            torch.testing.assert_close(batch.image, seen[20 * view + batch.position], rtol=0, atol=0)
    contents = np.array([bytes.fromhex(one) for one in data.contents("train")], cache_shards.DIGEST)
    assert len(set(_of_views(contents, data, ImageGroup("train", 2)).tolist())) == 40


def test_files_of_another_run_are_left_alone(here, source):
    linked(here, source)
    trained("mode=feature_extraction", folder=here / "one")
    before = {path: path.stat().st_ino for path in Path("outputs/store").glob("*/*.safetensors")}
    trained("mode=feature_extraction", "head.init=random", folder=here / "two")
    assert {path: path.stat().st_ino for path in Path("outputs/store").glob("*/*.safetensors")} == before

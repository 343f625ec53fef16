"""A run learns from mixed images alone, and is measured on unmixed ones."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from composed import TINY, composed, figures, trained
from headstart.cli import main
from headstart.features.cache import activation_key
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights.source_model import source_config
from headstart.types import Batch
from killed import command, said

pytestmark = pytest.mark.slow  # half a minute: make test-all

MIXED = "mix@module.mix=mixup"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_trainer(module, *, epoch=0, rank=0, ranks=1):
    module.trainer = SimpleNamespace(
        overfit_batches=0, current_epoch=epoch, global_rank=rank, world_size=ranks, accumulate_grad_batches=1,
        train_dataloader=None,
    )  # fmt: skip
    return module


def batch(count=6):
    chance = torch.Generator().manual_seed(0)
    return Batch(torch.randint(0, 256, (count, 1, 32, 32), generator=chance).to(torch.uint8), torch.arange(count))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_with_the_smoothed_shares_and_accuracy_counts_the_larger(smoothing):
    overrides = ("mode=scratch", MIXED, "module.mix.alpha=1", f"module.label_smoothing={smoothing}")
    module = of_trainer(assembled(composed(*overrides)).module, epoch=2)
    given = batch()
    loss = module.training_step(given, 5)
    image, share = module.mix((given.image.float() / 255 - 0.5) / 0.5, given.label, classes=10, epoch=2, batch=5)
    assert 0.5 < share.max() < 1
    module.eval()  # as BatchNorm was in training: on the batch
    for one in module.modules():
        one.training = isinstance(one, torch.nn.BatchNorm2d)
    with torch.no_grad():
        logits = module(image).double().numpy()
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = share.numpy() * (1 - smoothing) + smoothing / 10
    assert loss.item() == pytest.approx(-(target * logs).sum(1).mean(), rel=1e-5)
    right = (logits.argmax(1) == share.numpy().argmax(1)).mean()
    assert module.train_metrics.compute()["train/accuracy"].item() == pytest.approx(right)
    assert module.train_loss.compute().item() == pytest.approx(loss.item())


def test_images_that_are_normalised_already_are_mixed_as_those_that_are_not():
    module = of_trainer(assembled(composed("mode=scratch", MIXED)).module)
    given = batch()
    image = (given.image.float() / 255 - 0.5) / 0.5
    one, other = (module._mixed(given._replace(image=kind), 0).image for kind in (given.image, image))
    torch.testing.assert_close(one, other)


def test_ranks_mix_within_their_own_batches_each_by_its_own_chance():
    module = assembled(composed("mode=scratch", MIXED, "module.mix.alpha=1")).module
    ranks = [of_trainer(module, rank=rank, ranks=2)._mixed(batch(), 3).label for rank in (0, 1)]
    alone = [of_trainer(module)._mixed(batch(), number).label for number in (6, 7)]
    assert not torch.equal(*ranks)
    assert all(torch.equal(one, other) for one, other in zip(ranks, alone, strict=True))


def test_a_regularizer_is_given_the_mixed_batch():
    module = of_trainer(assembled(composed("mode=scratch", MIXED, "regularizer=bss")).module)
    seen = []
    module.regularizer.register_forward_pre_hook(lambda _, __, given: seen.append(given["batch"]), with_kwargs=True)
    module.training_step(batch(), 0)
    assert torch.equal(seen[0].label, module._mixed(batch(), 0).label)
    assert seen[0].label.shape == (6, 10)
    assert seen[0].image.dtype == torch.float32


def test_what_stages_have_made_is_never_mixed():
    module = of_trainer(assembled(composed("mode=scratch", MIXED)).module)
    with pytest.raises(RuntimeError, match="cannot be mixed"):
        module.training_step(batch()._replace(start=1), 0)


def test_half_precision_learns_from_shares_too():
    module = of_trainer(assembled(composed("mode=scratch", MIXED)).module)
    want = module.training_step(batch(), 0).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert module.training_step(batch(), 0).item() == pytest.approx(want, rel=0.02)
    loss = module.to(torch.bfloat16).training_step(batch(), 0)
    loss.backward()
    assert loss.item() == pytest.approx(want, rel=0.02)


# ------------------------------------------------------------------ the feature cache and the head's start


def test_the_store_serves_what_is_measured_and_not_what_is_mixed_and_says_why(here, monkeypatch, caplog):
    caplog.set_level("INFO")
    seen, original = [], activation_key.activations
    monkeypatch.setattr(
        "headstart.features.cache.cached_activations.activations",
        lambda backbone, image, places: (seen.append(len(image)), original(backbone, image, places))[1],
    )
    mixed = ("mode=feature_extraction", "mix@module.mix=mixup_cutmix", "feature_cache.views=2")
    result = trained(*mixed, folder=here / "one")
    assert sum(seen) == result["sizes"]["val"] + result["sizes"]["test"]
    (line,) = [one.message for one in caplog.records if one.message.startswith("feature cache: head")]
    assert "mixed (module.mix): training images live" in line
    assert "feature_cache.views=2 is for images that are not mixed" in line
    trained(*mixed[:-1], "feature_cache=off", folder=here / "live")
    for got, wanted in zip(figures(here / "one"), figures(here / "live"), strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_gradual_unfreezing_on_stored_features_goes_on_with_mixed_images_where_nothing_is_stored(here):
    mixed = ("mode=gradual", "unfreeze=steps", "unfreeze.first_step=3", "unfreeze.every_steps=3", MIXED)
    trained(*mixed, folder=here / "one")
    trained(*mixed, "feature_cache=off", folder=here / "live")
    for got, wanted in zip(figures(here / "one"), figures(here / "live"), strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_a_head_in_closed_form_is_set_on_images_as_they_are(here):
    one = trained("mode=feature_extraction", MIXED, folder=here / "mixed")
    other = trained("mode=feature_extraction", folder=here / "plain")
    start = [figures(here / name)[1]["val/accuracy"] for name in ("mixed", "plain")]
    assert start[0] == start[1] == one["start_class_means"] == other["start_class_means"]
    assert figures(here / "mixed")[-1] != figures(here / "plain")[-1]


def test_few_images_to_be_learned_by_heart_are_not_mixed(here):
    for name, more in (("mixed", [MIXED]), ("plain", [])):
        trained("debug=overfit", "mode=scratch", *more, folder=here / name)
    assert figures(here / "mixed") == figures(here / "plain")


def test_the_sources_own_recipe_is_the_same():
    recipes = [
        source_config(
            composed(*more),
            seed=0,
            max_epochs=2,
            batch_size=8,
            optimizer={"_target_": "x"},
            scheduler={"_target_": "x"},
        )
        for more in ([], [MIXED])
    ]
    assert recipes[0] == recipes[1]
    assert recipes[0].module.mix is None


# ------------------------------------------------------------------ the command

RUN = [
    *TINY, "trainer.max_epochs=3", "mode=scratch", "mix@module.mix=mixup_cutmix", "callbacks.figures=null",
    "logger=csv", "target.shots=6", "trainer.limit_val_batches=3", "trainer.limit_test_batches=2",
    "callbacks.checkpoint.every_steps=3", "callbacks.checkpoint.min_interval_s=0",
    "+callbacks.stop._target_=resume_plugins.Stop",
]  # fmt: skip


def run_of(place):
    (found,) = [path.parent for path in place.glob("outputs/*/*/.hydra")]
    return found


@pytest.mark.parametrize("more", [[], pytest.param(["trainer=ddp_cpu", "target.batch_size=8"], marks=pytest.mark.slow)])
def test_a_run_that_was_killed_in_mid_epoch_mixes_on_as_one_that_was_not(tmp_path, more):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    assert command(whole, *RUN, *more) == 0, said(whole)
    assert command(killed, *RUN, *more, stop=("on_train_batch_start", 7)) == -9
    assert command(killed, *RUN, *more, "resume=auto") == 0, said(killed)
    assert "epoch 1, step 6" in said(killed)  # two steps before the epoch's end
    one, other = (
        torch.load(run_of(place) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for place in (whole, killed)
    )
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert (run_of(whole) / "metrics.csv").read_bytes() == (run_of(killed) / "metrics.csv").read_bytes()


def test_a_mix_of_ones_own_is_called_with_images_shares_and_chance(here, capsys):
    (here / "my_mixes.py").write_text(
        "class Swap:\n"
        "    def __init__(self, *, places: int) -> None:\n"
        "        self.places = places\n"
        "    def __call__(self, image, share, chance):\n"
        "        return image.roll(self.places, 0), share.roll(self.places, 0)\n"
    )
    own = ["module.mix._target_=my_mixes.Swap", "module.mix.places=1"]
    assert main([*TINY, "mode=scratch", "trainer.max_epochs=1", "logger=csv", *(f"+{one}" for one in own)]) == 0


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["module.mix=mixup"],
            "module.mix must be a mapping or null, got mixup; an option is chosen by mix@module.mix",
        ),
        (["mix@module.mix=mixp"], "did you mean mix@module.mix=mixup?"),
        ([MIXED, "module.mix.alpha=-1"], "module.mix.alpha must be a number at least 0, got -1"),
        ([MIXED, "module.mix.prob=2"], "module.mix.prob must be a number from 0 to 1, got 2"),
        (["mix@module.mix=mixup_cutmix", "module.mix.alpha=1"], "has no alpha; it has mixup_alpha, cutmix_alpha, prob"),
    ],
)
def test_a_mix_that_cannot_be_is_told_before_anything_runs(here, capsys, overrides, told):
    assert main(overrides) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (here / "outputs").exists()


def test_the_plan_of_a_mixed_run_is_that_of_the_run(here, capsys):
    plans = []
    for more in ([], [MIXED]):
        assert main(["task=plan", *TINY, *more]) == 0
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1]

"""The model before its first step is measured, and only where it is asked for."""

import copy
import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from composed import composed, figures, trained
from headstart.callbacks.training.first_validation import Start, features_of
from headstart.modules.heads.linear_head import LinearHead
from headstart.modules.labels.single_label import OneLabel
from headstart.runs.model_parts.assembly import assembled

FEW = [
    "data@target=printed", "target.characters=digits", "target.per_class=10", "target.val_per_class=10",
    "target.test_per_class=1", "mode=scratch", "head.init=class_means", "trainer.max_epochs=1",
    "callbacks.figures=null", "logger=csv",
]  # fmt: skip


def val_accuracies(folder):
    """Of each validation; the first is before the first step."""
    return [row["val/accuracy"] for row in figures(folder) if "val/accuracy" in row]


def test_a_run_with_weights_of_16_bits_begins_with_the_class_means_of_one_with_32(tmp_path):
    long = trained(*FEW, folder=tmp_path / "long")
    # float32 images too, as chance makes of uint8 ones
    short = trained(*FEW, "trainer.precision=bf16-true", "augment@target.augment=flip", folder=tmp_path / "short")
    assert long["start_class_means"] > 0.2
    assert short["start_class_means"] == pytest.approx(long["start_class_means"], abs=0.07)  # 7 of 100 images
    assert 0 <= short["metrics"]["test/accuracy"] <= 1


def test_the_closed_form_start_is_left_out_on_demand_and_changes_nothing_else(tmp_path):
    random = [*FEW, "head.init=random"]
    asked = trained(*random, folder=tmp_path / "asked")
    spared = trained(*random, "start_class_means=false", folder=tmp_path / "spared")
    assert asked["start_class_means"] > 0.2
    assert math.isnan(spared["start_class_means"])
    assert spared["weights_hash"] == asked["weights_hash"]
    assert val_accuracies(tmp_path / "spared") == val_accuracies(tmp_path / "asked")


def test_a_head_that_begins_in_closed_form_is_measured_in_any_case(tmp_path):
    begun = trained(*FEW, "start_class_means=false", "start_images=null", folder=tmp_path)
    assert begun["start_class_means"] == pytest.approx(val_accuracies(tmp_path)[0])
    assert begun["start_class_means"] > 0.2


def two_passes(*overrides, images):
    """The closed-form head's logits on val, from passes of their own with a run's first weights, and val's labels."""
    cfg = composed(*overrides)
    pl.seed_everything(cfg.seed, verbose=False)
    parts = assembled(cfg)
    parts.data.setup("fit")
    train, label = features_of(parts.module, parts.data.plain_dataloader("train"), lambda batch: batch)
    val, truth = features_of(parts.module, parts.data.plain_dataloader("val"), lambda batch: batch)
    head = copy.deepcopy(parts.head)
    head.set_class_means(train[:images], label[:images])  # classes take turns in a split
    return head(val).detach(), truth


@pytest.fixture
def starts(monkeypatch):
    """The start of each run that is made."""
    made = []
    original = Start.__init__

    def noted(self, **settings):
        original(self, **settings)
        made.append(self)

    monkeypatch.setattr(Start, "__init__", noted)
    return made


@pytest.mark.parametrize("init", ["random", "class_means"])
@pytest.mark.parametrize(("asked", "used"), [("null", 100), ("84", 84), ("3", 80)])
def test_the_validation_of_step_0_gives_what_a_second_pass_over_val_would(init, asked, used, tmp_path, starts):
    settings = [*FEW, f"head.init={init}", f"start_images={asked}"]
    result = trained(*settings, folder=tmp_path)
    logits, truth = two_passes(*settings, images=used)
    assert result["start_images"] == {"used": used, "of": 100}
    assert result["start_class_means"] == pytest.approx((logits.argmax(dim=1) == truth).float().mean().item())
    (start,) = starts
    torch.testing.assert_close(start.closed_form_logits, logits, rtol=1e-4, atol=1e-5)
    if init == "class_means":  # whatever is measured, the run's own head is made of all images
        logits, _ = two_passes(*settings, images=100)
        assert val_accuracies(tmp_path)[0] == pytest.approx((logits.argmax(dim=1) == truth).float().mean().item())
    if used == 100 and init == "class_means":
        assert result["start_class_means"] == pytest.approx(val_accuracies(tmp_path)[0])


def test_images_that_the_validation_leaves_out_are_not_measured(tmp_path, starts):
    result = trained(*FEW, "start_images=null", "target.batch_size=4", "trainer.limit_val_batches=1", folder=tmp_path)
    (start,) = starts
    assert 0 < len(start.closed_form_logits) < 100
    assert result["start_class_means"] == pytest.approx(val_accuracies(tmp_path)[0])


def test_what_ranks_have_validated_is_put_into_the_order_of_the_split(monkeypatch):
    logits = torch.eye(5)
    own = [
        (logits[[0, 2]], torch.tensor([0, 2]), torch.tensor([0, 2])),
        (logits[[4]], torch.tensor([4]), torch.tensor([4])),
    ]
    other = [(logits[[1, 3]], torch.tensor([1, 0]), torch.tensor([1, 3]))]
    monkeypatch.setattr("headstart.callbacks.training.first_validation.of_each_rank", lambda mine: [mine, other])
    start = Start(
        data=None, head=LinearHead(width=2, num_classes=5, init="random"), images=5, measures=True, begins=False
    )
    module = SimpleNamespace(labels=OneLabel(5))
    start._measure(SimpleNamespace(loggers=[]), module, own)
    assert torch.equal(start.closed_form_logits, logits)
    assert start.class_means_score == pytest.approx(4 / 5)


def test_a_resumed_run_still_knows_its_start():
    def start():
        head = LinearHead(width=2, num_classes=3, init="random")
        return Start(data=None, head=head, images=5, measures=True, begins=False)

    before, after = start(), start()
    before.class_means_score, before.used_images = 0.5, {"used": 5, "of": 9}
    after.load_state_dict(before.state_dict())
    assert (after.class_means_score, after.used_images) == (0.5, {"used": 5, "of": 9})


def test_a_checkpoint_from_before_the_start_was_kept_is_taken():
    start = Start(
        data=None, head=LinearHead(width=2, num_classes=3, init="random"), images=5, measures=True, begins=False
    )
    start.load_state_dict({"class_means_score": 0.25})
    assert start.class_means_score == 0.25
    assert start.closed_form_logits is None

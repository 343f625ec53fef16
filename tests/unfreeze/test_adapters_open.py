"""When adapters are trainable, and how much of a model learns."""

import pytest
from torch import nn

from composed import composed
from headstart.runs.model_parts.assembly import schedule_of
from headstart.types import UserError
from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.chain_thaw import ChainThaw
from headstart.unfreeze.schedules.gradual import Gradual
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau
from headstart.unfreeze.schedules.stage_adapters import StageAdapters
from headstart.unfreeze.trainable_share import TrainableShare, share_of

PARTS = ("s1", "s2", "s3", "head")


class Side(nn.Linear):
    is_adapter = True


class Model(nn.Module):
    """Two stages of a layer, a norm and an adapter, one stage without, and a head."""

    def __init__(self):
        super().__init__()
        self.s1, self.s3 = (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), Side(4, 4)) for _ in range(2))
        self.s2, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.stages = {"s1": self.s1, "s2": self.s2, "s3": self.s3, "head": self.head}


def opened(schedule):
    return [phase.trainable for phase in schedule.phases(PARTS)]


def test_adapters_are_what_a_mark_says_and_those_of_one_part_have_a_name():
    parts = ModelParts(Model())
    assert parts.selected(["adapters"]) == {f"{s}.2.{p}" for s in ("s1", "s3") for p in ("weight", "bias")}
    assert parts.selected(["s3:adapters"]) == {"s3.2.weight", "s3.2.bias"}
    assert parts.selected(["s1:norms", "head:biases"]) == {"s1.1.weight", "s1.1.bias", "head.bias"}
    with pytest.raises(UserError, match=r"trains adapters, and there are none in s2; try mode=lora or mode=adapters"):
        parts.selected(["s2:adapters"])


def test_a_stage_of_a_schedule_stands_for_its_adapters_and_one_without_for_nothing():
    gradual = StageAdapters(schedule=Gradual(first_epoch=1, every_epochs=1), stages=("s1", "s3"))
    assert opened(gradual) == [
        ("head",), ("s3:adapters", "head"), ("s3:adapters", "head"), ("s1:adapters", "s3:adapters", "head"),
    ]  # fmt: skip
    chain = StageAdapters(schedule=ChainThaw(until=Plateau(monitor="val/loss", mode="min")), stages=("s1", "s3"))
    assert opened(chain) == [("head",), ("s1:adapters",), ("s3:adapters",), ("s1:adapters", "s3:adapters", "head")]
    titles = [phase.title for phase in chain.phases(PARTS)]
    assert titles == ["head", "s1", "s3", "all"]


def test_groups_are_as_fine_as_what_opens_and_hold_each_parameter_once():
    model = Model()
    schedule = StageAdapters(schedule=Gradual(first_epoch=1, every_epochs=1), stages=("s1", "s3"))
    groups = parameter_groups(model, lr=0.1, stage_decay=0.5, schedule=schedule)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates["s3[s3:adapters]"] == pytest.approx(0.05)
    assert rates["s1[s1:adapters]"] == rates["s1"] == pytest.approx(0.0125)


@pytest.mark.parametrize("mode", ["lora", "adapters"])
def test_a_mode_opens_the_adapters_and_the_head_whatever_unfreeze_says(mode):
    cfg = composed(f"mode={mode}", "unfreeze.every_epochs=1")
    assert [phase.trainable for phase in schedule_of(cfg, ("s1",)).phases(PARTS)] == [("adapters", "head")]
    assert (cfg.reuse, cfg.peft) == (True, mode)


def test_a_file_of_phases_says_itself_what_it_means():
    cfg = composed("mode=gradual", "unfreeze=sandwich", "peft=lora")
    plain = composed("mode=gradual", "unfreeze=sandwich")
    assert schedule_of(cfg, ("stage1",)).phases(PARTS) == schedule_of(plain).phases(PARTS)


@pytest.mark.parametrize("mode", ["scratch", "fine_tuning", "feature_extraction", "bias_only"])
def test_adapters_in_a_mode_that_would_not_train_them_alone_are_refused(mode):
    with pytest.raises(UserError, match=rf"peft=lora goes with mode=lora and mode=gradual.*mode={mode}"):
        schedule_of(composed(f"mode={mode}", "peft=lora"))


# ---------------------------------------------------------------------- how much learns


def test_what_learns_is_what_any_phase_opens_without_what_was_frozen_by_whoever_made_it():
    model = Model()
    model.s2.bias.requires_grad_(False)
    phases = [Phase(trainable=("head",), epochs=1), Phase(trainable=("s2", "s1:adapters"))]
    share = share_of(model, ModelParts(model), phases)
    assert share.learning == (4 * 2 + 2) + 4 * 4 + (4 * 4 + 4)
    assert share.of == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (TrainableShare(134_400, 11_200_000), "learns 1.2 % of 11.2 million parameters"),
        (TrainableShare(8_694, 8_694), "learns 100 % of 8,694 parameters"),
        (TrainableShare(99_999, 100_000), "learns 99.9 % of 100,000 parameters"),
        (TrainableShare(500, 2_000_000_000), "learns 2.5e-05 % of 2.0 billion parameters"),
    ],
)
def test_the_share_in_words(share, text):
    assert str(share) == text

"""What a plan says of a run is true, and the model is as before."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import composed as configs
from headstart.types import UserError
from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.phase_begins import RunLength
from headstart.unfreeze.plan_costing import SampleStep, plan_of
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau

END = Phase(trainable=("all",))


def of(**length):
    return Phase(trainable=("head",), **length)


def stall(**settings):
    return of(until=Plateau(monitor="val/loss", mode="min", **settings))


# ---------------------------------------------------------------------- what it costs


class Net(nn.Module):
    """Small enough to count: conv (1, 4, 4) -> (2, 2, 2), linear 8 -> 3."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))


CONV, HEAD = 2 * 8 * 9, 2 * 8 * 3  # FLOPs of an image forward
ALL = CONV + HEAD + CONV + 2 * HEAD  # backward: both weights' gradients, the head's input's; an image needs none


def planned(module, phases, *, run=None, groups=(), size=4, batch_size=64, stages=("conv", "head")):
    return plan_of(
        module, ModelParts(module, stages), phases, run=run or RunLength(steps_per_epoch=10, epochs=10), groups=groups,
        sample=SampleStep(images=torch.ones(2, 1, size, size), loss=lambda images: module(images).sum()),
        batch_size=batch_size,
    )  # fmt: skip


def test_flops_are_those_of_forward_and_backward_with_the_phases_freezing():
    phases = [Phase(trainable=(part,), epochs=1) for part in ("head", "conv")]
    head, conv, everything = planned(Net(), [*phases, END]).rows
    assert [row.forward for row in (head, conv, everything)] == pytest.approx([(CONV + HEAD) / ALL] * 3)
    assert head.backward == pytest.approx(HEAD / ALL)
    assert conv.backward == pytest.approx((HEAD + CONV) / ALL)  # through the head, whose weight needs no gradient
    assert everything.forward + everything.backward == pytest.approx(1)


def test_the_flops_of_one_image_are_said_in_the_unit_of_their_size():
    found = planned(Net(), [END])
    assert found.flops == ALL
    assert f"({ALL} FLOPs an image)" in str(found)
    assert "(1.0 MFLOPs an image)" in str(replace(found, flops=10**6))
    assert "(2.5 GFLOPs an image)" in str(replace(found, flops=25 * 10**8))


def test_of_a_model_whose_flops_are_not_known_the_share_of_a_step_is_not_either():
    module = nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4))
    found = planned(module, [END], stages=("0", "1"))
    assert (found.flops, found.rows[0].forward, found.rows[0].backward) == (0, 0, 0)
    assert next(line.split()[-3:-1] for line in str(found).splitlines() if line.startswith("1 ")) == ["?", "?"]


PLAIN = """
phase   begins        ends         trainable  share  forward  backward   MiB
        epoch   step  epoch  step
1 head  0       0     1      10           27  57.4%    44.4%     11.1%  0.00
2 all   1       10    10     100          47   100%    44.4%     55.6%  0.01
"""
WAITING = """
phase   begins        ends           when                   trainable  share  forward  backward   MiB
        epoch   step  epoch  step
1 head  0       0     3-10   30-100  val/loss stalls for 2         27  57.4%    44.4%     11.1%  0.00
2 all   3+      30+   10     100                                   47   100%    44.4%     55.6%  0.01
"""


@pytest.mark.parametrize(("first", "table"), [(of(epochs=1), PLAIN), (stall(patience=2), WAITING)])
def test_texts_are_to_the_left_of_their_columns_and_numbers_to_the_right(first, table):
    """The head has 27 of 47 parameters; of 432 FLOPs forward are 192, the head's gradient 48, all gradients 240."""
    assert table in str(planned(Net(), [first, END])) + "\n"


def test_the_weights_of_an_open_layer_alone_are_in_the_backward_pass():
    (bias, *_) = planned(Net(), [Phase(trainable=("head.bias",), epochs=1), END]).rows
    assert bias.backward == 0
    assert bias.trainable == {"head": "partly"}
    assert bias.trainable_parameters == 3


def test_activations_are_what_the_open_layers_keep_each_storage_once():
    head, everything = planned(Net(), [of(epochs=1), END]).rows
    assert head.saved_mib * 2**20 == pytest.approx(64 * 4 * 8)  # the head's input
    assert everything.saved_mib * 2**20 == pytest.approx(64 * 4 * (16 + 8))  # the image, ReLU's output = head's input


class Moody(nn.Module):
    """All that a forward pass could change."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.calls = self.calls + 1
        if self.fails:
            raise RuntimeError("no")
        return self.head(self.conv(x).flatten(1))


@pytest.mark.parametrize("fails", [False, True])
def test_a_plan_leaves_the_model_and_the_random_numbers_as_they_were(fails):
    module = Moody()
    module(torch.rand(2, 1, 4, 4)).sum().backward()
    module.conv[0].weight.requires_grad_(False)
    module.conv[1].eval()
    module.fails = fails
    gradients = {name: p.grad for name, p in module.named_parameters()}
    values = {name: p.grad.clone() for name, p in module.named_parameters()}
    before, buffers = copy.deepcopy(module.state_dict()), dict(module.named_buffers())
    learns = {name: p.requires_grad for name, p in module.named_parameters()}
    modes = {name: inner.training for name, inner in module.named_modules()}
    attributes = {name: set(vars(inner)) for name, inner in module.named_modules()}
    chance = torch.get_rng_state()
    try:
        planned(module, [of(epochs=1), END])
    except RuntimeError:
        assert fails
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(buffer is buffers[name] for name, buffer in module.named_buffers())
    for name, parameter in module.named_parameters():
        assert parameter.grad is gradients[name]
        assert torch.equal(parameter.grad, values[name])
    assert {name: p.requires_grad for name, p in module.named_parameters()} == learns
    assert {name: inner.training for name, inner in module.named_modules()} == modes
    assert {name: set(vars(inner)) for name, inner in module.named_modules()} == attributes


# ---------------------------------------------------------------------- how fast


def test_rates_are_the_optimizers_times_the_phases_own():
    module = Net()
    groups = parameter_groups(module, lr=0.1, stage_decay=0.5, stages=["conv", "head"])
    phases = [
        Phase(trainable=("all",), epochs=1),
        Phase(trainable=("all",), epochs=1, lr=0.04),  # of the head; the others keep their ratio to it
        Phase(trainable=("all",), epochs=1, lr={"conv": 0.3}),
        Phase(trainable=("all",), epochs=1, lr={"head.bias": 0.7}),
        Phase(trainable=("conv",)),
    ]
    rows = planned(module, phases, groups=groups).rows
    want = [
        {"conv": (0.05, 0.05), "head": (0.1, 0.1)},
        {"conv": (0.02, 0.02), "head": (0.04, 0.04)},
        {"conv": (0.3, 0.3), "head": (0.1, 0.1)},
        {"conv": (0.05, 0.05), "head": (0.1, 0.7)},
        {"conv": (0.05, 0.05)},
    ]
    assert [{part: pytest.approx(pair) for part, pair in row.rates.items()} for row in rows] == want


def test_rates_are_those_before_the_scheduler_which_changes_them_when_it_is_made():
    module = Net()
    optimizer = torch.optim.SGD(parameter_groups(module, lr=0.1, stages=["conv", "head"]))
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=10)
    (row,) = planned(module, [END], groups=optimizer.param_groups).rows
    assert row.rates == {"conv": (0.1, 0.1), "head": (0.1, 0.1)}


def test_what_the_schedule_names_and_the_model_lacks_lists_what_there_is():
    for phases in ([Phase(trainable=("hed",))], [Phase(trainable=("all",), lr={"hed": 0.1})]):
        with pytest.raises(UserError, match=r"the parts are conv, head; did you mean head\?"):
            planned(Net(), phases)


# ---------------------------------------------------------------------- as text


def test_the_table_shows_what_is_frozen_trainable_in_part_or_not_reached():
    schedule = Explicit(
        phases=[
            {"name": "probe", "trainable": ["head"], "epochs": 4},
            {"trainable": ["conv", "head.weight"], "epochs": 9},
            {"trainable": "all"},
        ]
    )
    module = Net()
    groups = parameter_groups(module, lr=0.1, stage_decay=0.5, stages=["conv", "head"])
    lines = str(planned(module, schedule.phases(()), groups=groups)).splitlines()
    cells = [line.split() for line in lines]
    first, second, third = (next(line for line in cells if line[:1] == [number]) for number in "123")
    assert first[2:6] == ["0", "0", "4", "40"]
    assert second[2:8] == ["4", "40", "10", "100", "44", "93.6%"]
    assert third[2:4] == ["not", "reached"]
    rates = [line for line in cells if line[-1:] == ["0.1*"] or line[-2:] == ["-", "0.1"]]
    assert rates == [["1", "probe", "-", "0.1"], ["2", "conv+head.weight", "0.05", "0.1*"]]


def _shipped(*overrides):
    """The config of a command line over conf/ as it is."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(configs.CONF), version_base="1.3"):
        return compose("config", overrides=[*overrides, "run_dir=run"])


SCHEDULES = sorted(path.stem for path in (configs.CONF / "unfreeze").glob("*.yaml"))
WIDEST = ("chain_thaw", "gradual")  # a phase of each stage, and of each stage with those above


@pytest.mark.parametrize(
    ("backbone", "unfreeze"), [("small_cnn", one) for one in SCHEDULES] + [("resnet18", one) for one in WIDEST]
)
def test_the_table_of_every_schedule_fits_a_terminal_of_120_characters(backbone, unfreeze, capsys):
    from plans import plan

    more = ["backbone.width=16"] if backbone == "small_cnn" else ["backbone.size=32"]
    plan(cfg=_shipped(f"backbone={backbone}", f"unfreeze={unfreeze}", *more))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("phase") for line in lines)


def test_a_model_of_many_stages_has_its_rates_in_several_tables():
    module = nn.Sequential(nn.Flatten(), *(nn.Linear(16, 16) for _ in range(30)))
    stages = {f"block{n:02}": str(n) for n in range(1, 31)}
    found = planned(module, Gradual(first_epoch=1, every_epochs=0).phases(tuple(stages)), stages=stages)
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 120
    headers = [line for line in lines if line.startswith("phase ") and "block" in line]
    assert len(headers) > 1
    assert [part for header in headers for part in header.split()[1:]] == list(stages)
    assert all(len(header) + len("  block99") > 120 for header in headers[:-1]), "as many as fit"


def test_a_logged_plan_is_a_text_in_tensorboard(tmp_path, caplog):
    from headstart.runs.training.run_plan import log_plan

    found = planned(Net(), [of(epochs=1), END])
    logger = TensorBoardLogger(tmp_path, name="", version="")
    with caplog.at_level("INFO"):
        log_plan(found, [logger])
    logger.finalize("success")
    assert [record.getMessage() for record in caplog.records if record.name == "headstart.runs.training.run_plan"] == [
        str(found)
    ]
    events = EventAccumulator(str(next(Path(tmp_path).rglob("events*")))).Reload()
    (text,) = events.Tensors("plan/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    assert [line.removeprefix("    ") for line in shown.splitlines()] == str(found).splitlines()


def test_the_end_of_an_endless_run_is_not_known():
    text = str(planned(Net(), [of(epochs=1), END], run=RunLength(steps_per_epoch=10, epochs=math.inf)))
    assert "no known end" in text

"""A run trains what the plan says, when it says so, and at the rates that it says."""

import inspect
import math
from importlib import import_module

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from composed import CONF
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.unfreeze.parameter_groups import NO_DECAY, parameter_groups
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.phase_begins import RunLength
from headstart.unfreeze.plan_building import SampleStep, plan_of
from headstart.unfreeze.schedules.chain_thaw import ChainThaw
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
from headstart.unfreeze.schedules.lp_ft import LpFt
from headstart.unfreeze.schedules.schedule_phases import Plateau

STAGES = ["first", "second", "head"]
STEPS = 4  # of an epoch
SANDWICH = [
    {"trainable": ["head"], "epochs": 1},
    {"trainable": ["second", "first.1"], "epochs": 2, "lr": {"second": 0.3}},
    {"trainable": ["head"], "steps": 6, "lr": 0.02},  # to the middle of an epoch
    {"trainable": "all", "lr": {"first": 0.003, "second": 0.01}},
]
KNOWN = {  # of the schedules in conf/unfreeze those whose boundaries are known before the run
    "gradual": Gradual(first_epoch=1, every_epochs=2),
    "steps": GradualBySteps(first_step=3, every_steps=7),
    "fraction": GradualByFraction(first=0.25, every=0.3),
    "sandwich": Explicit(phases=SANDWICH),
}


def plateau(**settings):
    return Plateau(**{"monitor": "val/made_up", "mode": "max", "patience": 2} | settings)


PLATEAUS = {
    "plateau": GradualByPlateau(until=plateau()),
    "lp_ft": LpFt(until=plateau(), lr=0.02),
    "chain_thaw": ChainThaw(until=plateau(patience=1)),
}


class Small(pl.LightningModule):
    """Two stages with BatchNorm and a head; its val figure is made up, one after the other."""

    def __init__(self, schedule, figures=()):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)
        self.schedule, self.figures = schedule, iter(figures)

    def forward(self, x):
        return self.head(self.second(self.first(x)))

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val/made_up", next(self.figures, 0.0))

    def configure_optimizers(self):
        groups = parameter_groups(self, lr=0.1, stage_decay=0.5, stages=STAGES, schedule=self.schedule)
        return torch.optim.SGD(groups, momentum=0.9, weight_decay=0.1)


class Seen(pl.Callback):
    """What each step and each epoch's start finds open, and the rates that the optimizer's step has."""

    def __init__(self):
        self.steps, self.epochs, self.rates, self.weights, self.validated = [], [], [], [], []

    def on_train_start(self, trainer, module):
        self.unfreeze = next(one for one in trainer.callbacks if isinstance(one, Unfreeze))
        trainer.optimizers[0].register_step_pre_hook(self._step)  # after that of Unfreeze

    def _step(self, optimizer, *_):
        found = {}
        for group in optimizer.param_groups:
            if any(p.requires_grad for p in group["params"]):
                part = group["name"].removesuffix(NO_DECAY).partition("[")[0]
                found.setdefault(part, set()).add(group["lr"])
        self.rates.append({part: (min(values), max(values)) for part, values in found.items()})

    def on_train_epoch_start(self, trainer, module):
        self.epochs.append(_open(module))
        self.weights.append(_copy(module))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        count = sum(p.numel() for p in module.parameters() if p.requires_grad)
        self.steps.append((self.unfreeze.phase, _open(module), count))

    def on_validation_end(self, trainer, module):
        self.validated.append(_copy(module))


def _open(module):
    return tuple(part for part in STAGES if any(p.requires_grad for p in getattr(module, part).parameters()))


def _copy(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def fitted(module, *, epochs=6, more=(), accumulate=1):
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(8 * STEPS, 4), torch.randint(0, 3, (8 * STEPS,)))
    seen = Seen()
    pl.Trainer(
        max_epochs=epochs, callbacks=[Unfreeze(module.schedule, stages=STAGES), seen, *more], accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, accumulate_grad_batches=accumulate,
    ).fit(module, DataLoader(data, batch_size=8), DataLoader(data, batch_size=32))  # fmt: skip
    return seen


def small(schedule, figures=()):
    torch.manual_seed(0)
    return Small(schedule, figures)


def planned(module, epochs=6):
    parts = ModelParts(module, STAGES)
    return plan_of(
        module, parts, module.schedule.phases(parts.names), run=RunLength(steps_per_epoch=STEPS, epochs=epochs),
        groups=module.configure_optimizers().param_groups,
        sample=SampleStep(images=torch.ones(2, 4), loss=lambda images: module(images).sum()), batch_size=8,
    )  # fmt: skip


def agrees(seen, plan, phase_of_step):
    """Whether every step had open, counted and rated what the row of its phase says."""
    assert len(seen.steps) == len(seen.rates) == plan.run.steps
    for step, ((phase, opened, count), rates) in enumerate(zip(seen.steps, seen.rates, strict=True)):
        row = plan.rows[phase_of_step(step)]
        assert (phase, opened, count) == (phase_of_step(step), tuple(row.trainable), row.trainable_parameters), step
        assert rates == {part: pytest.approx(pair) for part, pair in row.rates.items()}, step
    return True


# ---------------------------------------------------------------------- the plan is what happens


def test_every_schedule_of_conf_is_followed_here():
    assert {*KNOWN, *PLATEAUS} == {path.stem for path in (CONF / "unfreeze").glob("*.yaml")}


@pytest.mark.parametrize("kind", KNOWN)
def test_a_run_opens_at_each_step_what_its_plan_says_at_the_rates_that_it_says(kind):
    module = small(KNOWN[kind])
    plan = planned(module)
    starts = [row.begins.earliest.step for row in plan.rows if row.begins.earliest is not None]
    assert len(starts) > 2
    assert agrees(fitted(module), plan, lambda step: sum(start <= step for start in starts) - 1)


def test_the_boundaries_of_those_runs_by_hand():
    """24 steps, 4 an epoch."""
    starts = {kind: [row.begins.earliest for row in planned(small(schedule)).rows] for kind, schedule in KNOWN.items()}
    assert starts == {
        "gradual": [(0, 0), (1, 4), (3, 12)],
        "steps": [(0, 0), (0, 3), (2, 10)],
        "fraction": [(0, 0), (1, 6), (3, 13)],  # 0.25 x 24 = 6, 0.3 x 24 = 7.2
        "sandwich": [(0, 0), (1, 4), (3, 12), (4, 18)],
    }


def test_stages_open_at_the_start_of_their_epoch_and_not_one_late():
    seen = fitted(small(Gradual(first_epoch=1, every_epochs=2)))
    head, second, everything = ("head",), ("second", "head"), ("first", "second", "head")
    assert seen.epochs == [head, second, second, everything, everything, everything]


def test_steps_are_those_of_the_optimizer_also_where_it_takes_one_every_two_batches():
    seen = fitted(small(GradualBySteps(first_step=1, every_steps=2)), epochs=2, accumulate=2)
    assert [phase for phase, *_ in seen.steps] == [0, 0, 1, 1, 1, 1, 2, 2]


# Each validation is at the end of an epoch, the first is the best so far, and what stalls ends at the next start.
# A phase's first figure is that of its own start: the last one before it.
@pytest.mark.parametrize(
    ("kind", "figures", "phases"),
    [
        # better at epoch 1, then not at 2 and 3: second opens at 4; not better than 0.55 at 4 and 5: first at 6
        ("plateau", [0.5, 0.6, 0.6, 0.55, 0.55, 0.5, 0.5, 0.5], [0, 0, 0, 0, 1, 1, 2, 2]),
        ("plateau", [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0], [0, 0, 0, 1, 1, 2, 2, 2]),
        ("plateau", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0, 0, 0, 0, 0, 0, 0, 0]),
        ("plateau", [0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.8, 0.7], [0, 0, 0, 0, 0, 0, 0, 0]),  # never two in a row
        ("lp_ft", [0.5, 0.6, 0.6, 0.55, 0.55, 0.5, 0.5, 0.5], [0, 0, 0, 0, 1, 1, 1, 1]),
        # head, first, second, all; patience 1
        ("chain_thaw", [0.5, 0.5, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6], [0, 0, 1, 1, 2, 3, 3, 3]),
    ],
)
def test_a_plateau_ends_a_phase_at_the_epoch_after_the_figure_has_stalled(kind, figures, phases):
    module = small(PLATEAUS[kind], figures)
    plan = planned(module, epochs=8)
    assert agrees(fitted(module, epochs=8), plan, lambda step: phases[step // STEPS])


@pytest.mark.parametrize(
    ("settings", "figures", "phases"),
    [
        ({"min_epochs": 4}, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0], [0, 0, 0, 0, 1, 1]),
        ({"max_epochs": 2}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 1, 1, 2, 2]),
        ({"min_delta": 0.1, "patience": 1}, [0.5, 0.59, 0.65, 0.7, 0.7, 0.7], [0, 0, 1, 2, 2, 2]),
        ({"mode": "min", "patience": 1}, [0.5, 0.4, 0.45, 0.4, 0.4, 0.4], [0, 0, 0, 1, 1, 2]),
        ({"patience": 1}, [math.nan, 0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 1, 2, 2, 2]),
    ],
)
def test_the_lengths_of_a_plateaus_phase_and_what_counts_as_better(settings, figures, phases):
    module = small(GradualByPlateau(until=plateau(**settings)), figures)
    seen = fitted(module)
    assert [phase for phase, *_ in seen.steps[::STEPS]] == phases


@pytest.mark.parametrize(
    ("figures", "which"), [([0.9 - 0.1 * n for n in range(12)], "earliest"), ([0.1 * n for n in range(12)], "latest")]
)
def test_the_first_and_the_last_moment_that_a_plan_gives_for_a_plateau_are_reached(figures, which):
    module = small(GradualByPlateau(until=plateau(max_epochs=4)), figures)
    plan = planned(module, epochs=12)
    starts = [getattr(row.begins, which).step for row in plan.rows]
    assert starts == {"earliest": [0, 12, 20], "latest": [0, 16, 32]}[which]
    assert agrees(fitted(module, epochs=12), plan, lambda step: sum(start <= step for start in starts) - 1)


# ---------------------------------------------------------------------- rates


def test_what_opens_warms_up_from_its_opening_step_on_and_what_was_open_does_not():
    schedule = Explicit(phases=[{"trainable": ["head"], "steps": 3}, {"trainable": "all", "warmup_steps": 4}])
    seen = fitted(small(schedule), epochs=3)
    assert [rates["head"][0] for rates in seen.rates] == [0.1] * 12
    # 0.05 x 1/4, 2/4, 3/4, 1 at steps 3 to 6
    assert [rates["second"][0] for rates in seen.rates[3:]] == pytest.approx([0.0125, 0.025, 0.0375, *[0.05] * 6])
    assert [rates["first"][0] for rates in seen.rates[3:5]] == pytest.approx([0.00625, 0.0125])


def test_what_opens_again_warms_up_again():
    schedule = Explicit(
        phases=[
            {"trainable": ["head"], "steps": 2},
            {"trainable": ["second"], "steps": 2, "warmup_steps": 2},
            {"trainable": ["second", "head"], "warmup_steps": 2},
        ]
    )
    seen = fitted(small(schedule), epochs=2)
    assert [rates.get("head", (None,))[0] for rates in seen.rates[:7]] == [0.1, 0.1, None, None, 0.05, 0.1, 0.1]
    assert [rates["second"][0] for rates in seen.rates[2:7]] == [0.025, 0.05, 0.05, 0.05, 0.05]


def test_a_phases_rate_is_the_heads_with_the_ratios_kept_or_each_parts_own():
    phases = [
        {"trainable": "all", "steps": 2, "lr": 0.04},
        {"trainable": "all", "steps": 2, "lr": {"first": 0.3}},
        {"trainable": "all"},
    ]
    seen = fitted(small(Explicit(phases=phases)), epochs=2)
    # the optimizer has 0.1 for the head, 0.05 for second, 0.025 for first
    want = [(0.01, 0.02, 0.04)] * 2 + [(0.3, 0.05, 0.1)] * 2 + [(0.025, 0.05, 0.1)] * 4
    assert [tuple(rates[part][0] for part in STAGES) for rates in seen.rates] == [pytest.approx(one) for one in want]


# ---------------------------------------------------------------------- what is closed again


def test_what_is_closed_again_has_no_gradient_and_stays_equal_to_the_bit_under_momentum_and_weight_decay():
    class Gradients(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 6:
                assert all(p.grad is None for part in (module.first, module.second) for p in part.parameters())
                assert all("momentum_buffer" in trainer.optimizers[0].state[p] for p in module.first.parameters())

    schedule = Explicit(
        phases=[
            {"trainable": "all", "steps": 6},
            {"trainable": ["head"], "epochs": 2},
            {"trainable": ["first", "head"]},
        ]
    )
    seen = fitted(small(schedule), epochs=4, more=[Gradients()])
    closed, still, opened = seen.validated[1:]  # the phases' boundaries: in the middle of epoch 1, before epoch 3
    kept = [name for name in closed if not name.startswith("head")]
    assert all(torch.equal(closed[name], still[name]) for name in kept)
    assert not torch.equal(closed["head.weight"], still["head.weight"])
    assert {name.partition(".")[0] for name in kept if not torch.equal(still[name], opened[name])} == {"first"}


# ---------------------------------------------------------------------- the best of a phase


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_a_phase_ends_with_exactly_the_weights_and_statistics_of_its_best_validation():
    # of the head's phase the best is epoch 1; of second's phase epoch 4
    schedule = GradualByPlateau(until=plateau(return_to_best=True))
    seen = fitted(small(schedule, [0.5, 0.6, 0.4, 0.3, 0.7, 0.5, 0.5, 0.5]), epochs=8)
    assert [phase for phase, *_ in seen.steps[::STEPS]] == [0, 0, 0, 0, 1, 1, 1, 2]
    assert same(seen.weights[4], seen.validated[1])
    assert not same(seen.weights[4], seen.validated[3])
    assert same(seen.weights[7], seen.validated[4])
    assert same(seen.weights[6], seen.validated[5])  # not in between


def test_a_phase_that_never_beats_the_weights_it_began_with_returns_to_them():
    # the head's best is 0.9 at epoch 0; the next phase begins with it, and 0.7 is worse
    schedule = GradualByPlateau(until=plateau(return_to_best=True, patience=1))
    seen = fitted(small(schedule, [0.9, 0.5, 0.7, 0.6, 0.6, 0.6]))
    assert [phase for phase, *_ in seen.steps[::STEPS]] == [0, 0, 1, 2, 2, 2]
    assert same(seen.weights[2], seen.validated[0])
    assert same(seen.weights[3], seen.validated[0])


def test_a_return_forgets_the_momentum_of_the_way_from_there():
    class Fresh(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step in (2 * STEPS, 2 * STEPS + 1):
                held = [name for name, p in module.named_parameters() if p in trainer.optimizers[0].state]
                self.held = [*getattr(self, "held", []), held]

    fresh = Fresh()
    schedule = LpFt(until=plateau(return_to_best=True, patience=1))
    fitted(small(schedule, [0.9, 0.5]), epochs=3, more=[fresh])
    assert fresh.held[0] == []
    assert len(fresh.held[1]) == 10


# ---------------------------------------------------------------------- conf


@pytest.mark.parametrize("path", sorted((CONF / "unfreeze").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_default_in_conf_is_the_signatures_where_it_has_one(path):
    """Of `until`, which a schedule has no default for, the length and the return are each schedule's own."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert _departing(values) == set()
    if "until" in values:
        assert _departing(values["until"]) <= {"max_epochs", "return_to_best"}


def _departing(values):
    module, _, name = values["_target_"].rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    defaults = {key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
    return {key for key, default in defaults.items() if values.get(key, ...) != default}

"""A small model fitted by schedules, with what each of its steps trains at which rates."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.unfreeze.parameter_groups import NO_DECAY, parameter_groups
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.phase_begins import RunLength
from headstart.unfreeze.plan_costing import SampleStep, plan_of
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


class TwoStages(pl.LightningModule):
    """Two stages with BatchNorm and a head; its val metric takes given values, one after the other."""

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


class StepRecords(pl.Callback):
    """The trainable parts at each step and at each start of an epoch, and the learning rates of each step."""

    def __init__(self):
        self.steps, self.epochs, self.rates, self.weights, self.validated = [], [], [], [], []

    def on_train_start(self, trainer, module):
        self.unfreeze = next(callback for callback in trainer.callbacks if isinstance(callback, Unfreeze))
        trainer.optimizers[0].register_step_pre_hook(self._step)  # after that of Unfreeze

    def _step(self, optimizer, *_):
        rates = {}
        for group in optimizer.param_groups:
            if any(p.requires_grad for p in group["params"]):
                part = group["name"].removesuffix(NO_DECAY).partition("[")[0]
                rates.setdefault(part, set()).add(group["lr"])
        self.rates.append({part: (min(values), max(values)) for part, values in rates.items()})

    def on_train_epoch_start(self, trainer, module):
        self.epochs.append(_trainable_parts(module))
        self.weights.append(_copied(module))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        count = sum(p.numel() for p in module.parameters() if p.requires_grad)
        self.steps.append((self.unfreeze.phase, _trainable_parts(module), count))

    def on_validation_end(self, trainer, module):
        self.validated.append(_copied(module))


def _trainable_parts(module):
    return tuple(part for part in STAGES if any(p.requires_grad for p in getattr(module, part).parameters()))


def _copied(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def fitted(module, *, epochs=6, more=(), accumulate=1):
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(8 * STEPS, 4), torch.randint(0, 3, (8 * STEPS,)))
    seen = StepRecords()
    pl.Trainer(
        max_epochs=epochs, callbacks=[Unfreeze(module.schedule, stages=STAGES), seen, *more], accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, accumulate_grad_batches=accumulate,
    ).fit(module, DataLoader(data, batch_size=8), DataLoader(data, batch_size=32))  # fmt: skip
    return seen


def small(schedule, figures=()):
    torch.manual_seed(0)
    return TwoStages(schedule, figures)


def planned(module, epochs=6):
    parts = ModelParts(module, STAGES)
    return plan_of(
        module, parts, module.schedule.phases(parts.names), run=RunLength(steps_per_epoch=STEPS, epochs=epochs),
        groups=module.configure_optimizers().param_groups,
        sample=SampleStep(images=torch.ones(2, 4), loss=lambda images: module(images).sum()), batch_size=8,
    )  # fmt: skip


def agrees(seen, plan, phase_of_step):
    """Whether every step had the trainable parts, their count and their rates as in the plan."""
    assert len(seen.steps) == len(seen.rates) == plan.run.steps
    for step, ((phase, parts, count), rates) in enumerate(zip(seen.steps, seen.rates, strict=True)):
        row = plan.rows[phase_of_step(step)]
        assert (phase, parts, count) == (phase_of_step(step), tuple(row.trainable), row.trainable_parameters), step
        assert rates == {part: pytest.approx(pair) for part, pair in row.rates.items()}, step
    return True

"""Ranges of settings whose classes state none: those of Lightning's Trainer, of optimizers and of schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Len

Batches = Annotated[int, Ge(1)] | Annotated[float, Interval(gt=0, le=1)] | None  # or their share
BatchesOrNone = Annotated[int, Ge(0)] | Annotated[float, Interval(ge=0, le=1)] | None
Share = Annotated[float, Interval(ge=0, le=1)]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]


# by the last key of a node's path: the class below that has the ranges of its settings
PLACES = {
    "trainer": "Trainer", "optimizer": "Optimizer", "scheduler": "Scheduler", "schedulers": "Scheduler",
    "backbone": "BackboneRanges",
}  # fmt: skip
INSTEAD = {  # what to do in place of a value that a run cannot have
    "trainer.limit_val_batches": "a run without validation is target.val_shots=0",
    "trainer.fast_dev_run": "debug=fast tries a run out",
    "trainer.num_sanity_val_steps": "validation runs in full before the first step",
    "trainer.barebones": "a run without figures says nothing",
}


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Lightning's Trainer: what a run can be told, and what it must leave as it is (INSTEAD says why)."""

    max_epochs: Count | Literal[-1] | None
    min_epochs: Annotated[int, Ge(0)] | None
    max_steps: Count | Literal[-1]
    min_steps: Annotated[int, Ge(0)] | None
    devices: Count | Literal[-1] | str | Annotated[list[Annotated[int, Ge(0)]], Len(1)]
    num_nodes: Count
    limit_train_batches: Batches
    limit_val_batches: Batches
    limit_test_batches: BatchesOrNone
    overfit_batches: BatchesOrNone
    val_check_interval: Count | Annotated[float, Interval(gt=0, le=1)] | str | dict[str, int] | None
    check_val_every_n_epoch: Count | None
    log_every_n_steps: Count | None
    accumulate_grad_batches: Count
    gradient_clip_val: NotNegative | None
    gradient_clip_algorithm: Literal["norm", "value"] | None
    reload_dataloaders_every_n_epochs: Annotated[int, Ge(0)]
    fast_dev_run: Literal[False]
    num_sanity_val_steps: Literal[0]
    barebones: Literal[False]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Any optimizer, by the names that torch gives these settings."""

    lr: NotNegative
    weight_decay: Annotated[float, Interval(ge=0, le=10)]
    momentum: BelowOne
    dampening: Share
    alpha: BelowOne
    rho: Share
    betas: list[BelowOne]
    eps: NotNegative
    lr_decay: NotNegative
    momentum_decay: NotNegative
    lambd: NotNegative
    initial_accumulator_value: NotNegative
    max_iter: Count


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """Any scheduler, by the names that torch gives these settings."""

    eta_min: NotNegative
    gamma: Annotated[float, Interval(gt=0, le=2)]  # above 1: a rate that grows, as a range test has it
    factor: Share
    start_factor: Annotated[float, Interval(gt=0, le=1)]
    end_factor: Share
    power: NotNegative
    T_0: Count
    T_max: Count
    T_mult: Count
    total_iters: Annotated[int, Ge(0)]
    total_steps: Count
    epochs: Count
    steps_per_epoch: Count
    step_size: Count
    step_size_up: Count
    step_size_down: Count
    milestones: list[Annotated[int, Ge(0)]]
    pct_start: Share
    div_factor: Positive
    final_div_factor: Positive
    base_momentum: BelowOne
    max_momentum: BelowOne
    max_lr: NotNegative | list[NotNegative]
    base_lr: NotNegative | list[NotNegative]
    swa_lr: NotNegative | list[NotNegative]
    min_lr: NotNegative | list[NotNegative]
    patience: Annotated[int, Ge(0)]
    cooldown: Annotated[int, Ge(0)]
    threshold: NotNegative


@dataclass(frozen=True, kw_only=True)
class BackboneRanges:
    """Any backbone: sizes that some machine has the memory for."""

    width: Annotated[float, Interval(gt=0, le=2048)]
    size: Annotated[float, Interval(gt=0, le=4096)] | list[Annotated[float, Interval(gt=0, le=4096)]]
    channels: Annotated[float, Interval(gt=0, le=1024)]


@dataclass(frozen=True, kw_only=True)
class Anywhere:
    """Settings that mean the same in whatever class has them."""

    batch_size: Annotated[int, Interval(ge=1, le=65536)]
    num_workers: Annotated[int, Interval(ge=0, le=512)]

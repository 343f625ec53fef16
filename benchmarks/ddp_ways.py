"""The ways of unfreezing that are compared, and their settings.

Each way is as its documentation has it: BackboneFinetuning's optimizer takes what requires a gradient,
finetuning-scheduler has its own checkpoint callback and runs under a strategy of its list of supported ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from ddp_task import DECAY, EPOCHS, MOMENTUM, RATE, STAGES

PARTS = tuple(STAGES)
HEAD_FIRST = [PARTS[max(0, len(PARTS) - 1 - epoch) :] for epoch in range(EPOCHS)]  # one stage more each epoch
HEAD_THEN_ALL = [PARTS[-1:], *[PARTS] * (EPOCHS - 1)]


@dataclass(frozen=True, kw_only=True)
class Way:
    """title: in the tables. settings: what a reader needs to repeat it. callbacks: of the package -> callbacks.
    optimizer: of the module. opens: the parts that are trainable by the schedule in each epoch. by_attribute: a run is
    resumed with `trainer.ckpt_path = path` instead of `fit(ckpt_path=path)`."""

    title: str
    settings: str
    callbacks: Callable[[ModuleType], Sequence[Any]]
    optimizer: Callable[[Any], torch.optim.Optimizer]
    opens: Sequence[Sequence[str]]
    strategy: str = "ddp"
    package: str = "pytorch_lightning"
    checkpoint: str = "pytorch_lightning.callbacks:ModelCheckpoint"
    by_attribute: bool = False


def found(path: str) -> Any:
    """What `module:name` means; imported late, since each way needs another package."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)


def _of_all(module: Any) -> torch.optim.Optimizer:
    return _sgd(module.parameters())


def _of_trainable(module: Any) -> torch.optim.Optimizer:
    return _sgd(parameter for parameter in module.parameters() if parameter.requires_grad)


def _of_parts(module: Any) -> torch.optim.Optimizer:
    return _sgd([{"params": list(module.get_submodule(path).parameters())} for path in STAGES.values()])


def _of_headstart(module: Any) -> torch.optim.Optimizer:
    return _sgd(found("headstart:parameter_groups")(module, lr=RATE, stages=STAGES))


def _nothing(_: ModuleType) -> Sequence[Any]:
    return []


def _backbone_finetuning(*, train_bn: bool = True) -> Callable[[ModuleType], Sequence[Any]]:
    def callbacks(pl: ModuleType) -> Sequence[Any]:
        return [
            pl.callbacks.BackboneFinetuning(
                unfreeze_backbone_at_epoch=1,
                lambda_func=lambda epoch: 1.0,  # noqa: ARG005  # the backbone's rate stays the head's
                backbone_initial_lr=RATE,
                should_align=False,
                train_bn=train_bn,
            )
        ]

    return callbacks


def _base_finetuning(pl: ModuleType) -> Sequence[Any]:
    class OneStageMore(pl.callbacks.BaseFinetuning):  # type: ignore[name-defined,misc]
        def freeze_before_training(self, pl_module: Any) -> None:
            self.freeze(pl_module.backbone, train_bn=False)

        def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
            for part in set(HEAD_FIRST[epoch]) - set(HEAD_FIRST[max(0, epoch - 1)]):
                stage = pl_module.get_submodule(STAGES[part])
                self.unfreeze_and_add_param_group(stage, optimizer, lr=RATE, train_bn=True)

    return [OneStageMore()]


def _rate_zero(pl: ModuleType) -> Sequence[Any]:
    class RateZero(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            for part, group in zip(PARTS, trainer.optimizers[0].param_groups, strict=True):
                group["lr"] = RATE if part in HEAD_FIRST[trainer.current_epoch] else 0.0

    return [RateZero()]


def _scheduler(**settings: Any) -> Callable[[ModuleType], Sequence[Any]]:
    def callbacks(_: ModuleType) -> Sequence[Any]:
        schedule = {
            depth: {"params": [rf"{STAGES[part]}\..*"], "lr": RATE, "max_transition_epoch": depth + 1}
            for depth, part in enumerate(reversed(PARTS))
        }
        schedule[len(PARTS) - 1]["max_transition_epoch"] = EPOCHS
        return [
            found("finetuning_scheduler:FinetuningScheduler")(
                ft_schedule=schedule,
                epoch_transitions_only=True,
                base_max_lr=RATE,
                logging_level=logging.ERROR,
                **settings,
            )
        ]

    return callbacks


def _headstart(_: ModuleType) -> Sequence[Any]:
    schedule = found("headstart:Gradual")(first_epoch=1, every_epochs=1)
    return [found("headstart:Unfreeze")(schedule, stages=STAGES), found("headstart:ReplicaCheck")()]


def _scheduler_way(
    title: str, settings: str, *, strategy: str = "ddp", by_attribute: bool = False, **options: Any
) -> Way:
    return Way(
        title=title,
        settings=settings,
        callbacks=_scheduler(**options),
        optimizer=_of_trainable,
        opens=HEAD_FIRST,
        strategy=strategy,
        package="lightning.pytorch",
        checkpoint="finetuning_scheduler:FTSCheckpoint",
        by_attribute=by_attribute,
    )


UNUSED = "ddp_find_unused_parameters_true"
WAYS = {
    "control": Way(
        title="no callback, all trainable",
        settings="`strategy=ddp`; the control: what DDP does where nothing is frozen",
        callbacks=_nothing,
        optimizer=_of_all,
        opens=[PARTS] * EPOCHS,
    ),
    "backbone": Way(
        title="BackboneFinetuning",
        settings="`unfreeze_backbone_at_epoch=1`: the whole backbone becomes trainable at once; constant rate; "
        "`strategy=ddp`",
        callbacks=_backbone_finetuning(),
        optimizer=_of_trainable,
        opens=HEAD_THEN_ALL,
    ),
    "backbone_no_bn": Way(
        title="BackboneFinetuning, train_bn=False",
        settings="as BackboneFinetuning, with `train_bn=False`",
        callbacks=_backbone_finetuning(train_bn=False),
        optimizer=_of_trainable,
        opens=HEAD_THEN_ALL,
    ),
    "backbone_unused": Way(
        title="BackboneFinetuning, find_unused",
        settings=f"as BackboneFinetuning, with `strategy={UNUSED}`",
        callbacks=_backbone_finetuning(),
        optimizer=_of_trainable,
        opens=HEAD_THEN_ALL,
        strategy=UNUSED,
    ),
    "base": Way(
        title="BaseFinetuning, own subclass",
        settings="`freeze(backbone, train_bn=False)`, then `unfreeze_and_add_param_group(stage)` at an epoch's start; "
        "`strategy=ddp`",
        callbacks=_base_finetuning,
        optimizer=_of_trainable,
        opens=HEAD_FIRST,
    ),
    "scheduler": _scheduler_way(
        "finetuning-scheduler",
        "explicit schedule, `epoch_transitions_only=True`, `restore_best=False`, its own `FTSCheckpoint`; "
        "`strategy=ddp`",
        restore_best=False,
    ),
    "scheduler_attribute": _scheduler_way(
        "finetuning-scheduler, trainer.ckpt_path",
        "as finetuning-scheduler; resumed with `trainer.ckpt_path = path; trainer.fit(...)`, not `fit(ckpt_path=path)`",
        by_attribute=True,
        restore_best=False,
    ),
    "scheduler_unused": _scheduler_way(
        "finetuning-scheduler, find_unused",
        f"as finetuning-scheduler, with `strategy={UNUSED}`",
        strategy=UNUSED,
        restore_best=False,
    ),
    "scheduler_best": _scheduler_way(
        "finetuning-scheduler, restore_best",
        "as finetuning-scheduler, with `restore_best=True`, its default: at each boundary all ranks load the best "
        "checkpoint",
        restore_best=True,
    ),
    "scheduler_still_bn": _scheduler_way(
        "finetuning-scheduler, still BatchNorm",
        "as finetuning-scheduler, with `frozen_bn_track_running_stats=False`",
        restore_best=False,
        frozen_bn_track_running_stats=False,
    ),
    "rate_zero": Way(
        title="rate 0 until trainable",
        settings="nothing is frozen, a stage's rate is 0 until it becomes trainable: the way out that is proposed in "
        "pytorch-lightning issue 20340; `strategy=ddp`",
        callbacks=_rate_zero,
        optimizer=_of_parts,
        opens=HEAD_FIRST,
    ),
    "headstart": Way(
        title="headstart",
        settings="`Unfreeze(Gradual(first_epoch=1, every_epochs=1))`, `ReplicaCheck()`, `parameter_groups`; "
        "`strategy=ddp`",
        callbacks=_headstart,
        optimizer=_of_headstart,
        opens=HEAD_FIRST,
    ),
    "checked": Way(
        title="BackboneFinetuning and ReplicaCheck",
        settings="`BackboneFinetuning` as above with headstart's `ReplicaCheck()` beside it",
        callbacks=lambda pl: [*_backbone_finetuning()(pl), found("headstart:ReplicaCheck")()],
        optimizer=_of_trainable,
        opens=HEAD_THEN_ALL,
    ),
}

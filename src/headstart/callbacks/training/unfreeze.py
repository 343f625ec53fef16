"""Training of a model's parts as a schedule says: which are trainable now, and how fast they learn."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Annotated, Any

from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, SingleDeviceStrategy
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from headstart.callbacks.learning_rates.phase_rates import PhaseRates, WarmUp
from headstart.callbacks.training.plateau_watch import PlateauWatch
from headstart.callbacks.training.time_budget import TimeBudget, budget_of
from headstart.types import UserError
from headstart.unfreeze.batch_norm_policy import WhatLearns, what_learns
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import ModelParts, Stages
from headstart.unfreeze.reserved_names import BOTTLENECK
from headstart.unfreeze.schedules.schedule_phases import Phase, Schedule, checked

log = logging.getLogger(__name__)
SAME = 1e-9  # of the run, by which two moments may differ and are one


class Unfreeze(Callback):
    """Makes the parts of any LightningModule trainable or frozen as a schedule says, alike on all devices.

    What is frozen does not change: no gradient, no weight decay, no momentum, no BatchNorm statistics. Those of
    trainable parts are frozen, too, where a phase says so (`Phase.batch_norm`). A phase by epochs or by a plateau
    begins at an epoch's start, one by steps or a fraction before a batch. On several devices the model is wrapped in
    DDP anew, so that exactly what is trainable is reduced. The optimizer needs all parameters from the first step
    (`parameter_groups`); the rates of phases and the warm-up multiply the scheduler's own (`PhaseRates`). The phase is
    part of the checkpoint.

    Args:
        schedule: Gives the phases.
        stages: The parts from the input to the head, as attribute paths or regular expressions; None where the module
            says them itself (`ModelParts`).
        backbone_warmup_steps: Optimizer steps over which the learning rates of the stages that are trainable from the
            first step rise linearly from 0. The head, and a bottleneck, have the scheduler's rate at once.

    Raises:
        UserError: In `fit`, if the schedule names what the model lacks, the strategy is not one of DDP, model parallel
            (fully_shard) or a single device, or a parameter is in no optimizer.
    """

    def __init__(
        self, schedule: Schedule, *, stages: Stages | None = None, backbone_warmup_steps: Annotated[int, Ge(0)] = 0
    ) -> None:
        self.schedule, self.stages, self.backbone_warmup_steps = schedule, stages, backbone_warmup_steps
        self.phases: tuple[Phase, ...] = ()
        self.phase = 0
        self._began: dict[str, float] = {"epoch": 0, "step": 0}  # of the phase; with a time budget "progress", too
        self._budget: TimeBudget | None = None
        self._warm_ups: dict[str, WarmUp] = {}  # by the parameter's name
        self._plateau = PlateauWatch()
        self._parts: ModelParts | None = None
        self._learns: list[WhatLearns] = []  # in each phase
        self._freezing: Freezing | None = None
        self._rates: PhaseRates | None = None
        self._steps_of_run = math.inf

    # ------------------------------------------------------------------ what others may ask

    @property
    def parts(self) -> ModelParts:
        """The parts of the module that is trained."""
        if self._parts is None:
            raise RuntimeError("the parts are known once trainer.fit has begun")
        return self._parts

    @property
    def trainable_parameters(self) -> frozenset[str]:
        """The names of the parameters that learn now."""
        return self._learns[self.phase].parameters

    def trainable_in(self, phase: int) -> frozenset[str]:
        """The names of the parameters that learn in a phase."""
        return self._learns[phase].parameters

    def upcoming(self, trainer: Trainer) -> int:
        """The phase that the next batch is trained in, asked between two batches of an epoch."""
        phase, began = self.phase, self._began
        while phase < len(self.phases) - 1 and self._is_over(phase, began, trainer, epoch_starts=False):
            phase, began = phase + 1, self._moment(trainer)
        return phase

    @property
    def trainable_parts(self) -> tuple[str, ...]:
        """The parts of which something learns now, from the input to the head."""
        now = self.trainable_parameters
        return tuple(part for part in self.parts.names if not now.isdisjoint(self.parts.of(part)))

    def rates(self, step: int) -> dict[str, float]:
        """The rate of each optimizer group that a step takes, 0 where the group is frozen."""
        return {} if self._rates is None else self._rates.rates(step)

    @property
    def head_optimizer(self) -> Optimizer | None:
        """The optimizer of the head's last parameter group; None before fit, or where the head has no parameter."""
        return None if self._rates is None else self._rates.head_optimizer

    def head_rate(self, step: int) -> float:
        """The rate of the head's last parameter group that a step takes, 0 where it is frozen."""
        return 0.0 if self._rates is None else self._rates.head_rate(step)

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        _check_strategy(trainer)
        self._budget = budget_of(trainer)
        self.phase, self._began = 0, {"epoch": 0, "step": 0}
        self._plateau = PlateauWatch()
        parts = self._parts = ModelParts(pl_module, self.stages)
        self.phases = checked(self.schedule.phases(parts.names))
        self._freezing = Freezing(pl_module, parts.parameters)
        learning = [what_learns(pl_module, parts, phase) for phase in self.phases]
        self._learns = [
            replace(phase_learns, parameters=phase_learns.parameters & self._freezing.among)
            for phase_learns in learning
        ]
        self._rates = PhaseRates(self.phases, parts, [phase_learns.parameters for phase_learns in self._learns])
        self._warm_ups = self._first_warm_ups(parts)
        self._rates.enter(self.phase, self._warm_ups)
        for phase, learns in zip(self.phases, self._learns, strict=True):
            if not learns.parameters:
                raise UserError(f"nothing learns in the phase {phase.title}: all that it trains was frozen before fit")
            returns = phase.until is not None and phase.until.return_to_best
            if returns and isinstance(trainer.strategy, ModelParallelStrategy):
                raise UserError("return_to_best needs whole weights on each device; with trainer=fsdp set it to false")
        self._freeze()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        titles = [phase.title for phase in self.phases]
        if self.phases and state_dict["phases"] != titles:
            raise UserError(
                f"the checkpoint's phases are {', '.join(state_dict['phases'])}, those of the schedule are "
                f"{', '.join(titles)}; go on with the schedule that it was made with"
            )
        self.phase = state_dict["phase"]
        self._began = dict(state_dict["began"])
        self._warm_ups = {name: WarmUp(*steps) for name, steps in state_dict["opened"].items()}
        self._plateau.load_state_dict(state_dict)
        if self._rates is not None:
            self._rates.enter(self.phase, self._warm_ups)
        if self._freezing is not None:  # before the strategy wraps the model
            self._freeze()

    def state_dict(self) -> dict[str, Any]:
        return {
            "phases": [phase.title for phase in self.phases],
            "phase": self.phase,
            "began": self._began,
            "opened": {name: tuple(warm_up) for name, warm_up in self._warm_ups.items()},  # an earlier version's key
            **self._plateau.state_dict(),
        }

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._freezing is not None
        self._freezing.renew()  # the strategy has put SyncBatchNorm in the place of BatchNorm
        assert self._rates is not None
        self._rates.attach(trainer.optimizers, pl_module, lambda: trainer.global_step)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._steps_of_run = trainer.estimated_stepping_batches
        endless = self._budget is None and not math.isfinite(self._steps_of_run)
        if endless and any(phase.fraction is not None for phase in self.phases):
            raise UserError("a phase by fraction needs a run of known length; set trainer.max_epochs or max_steps")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._advance(trainer, epoch_starts=True)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._advance(trainer, epoch_starts=False)
        assert self._freezing is not None
        self._freezing.hold()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._plateau.measure(self.phases, trainer)
        plateau = self.phases[self.phase].until
        if plateau is not None:
            self._plateau.follow(plateau, trainer, self.trainable_parameters)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._rates is not None:  # whoever saves a checkpoint now must not save the step's own rates
            self._rates.restore_scheduled()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            if self._rates is not None:
                self._rates.detach()
            if self._freezing is not None:
                self._freezing.end()
                self._freezing = None

    # ------------------------------------------------------------------ the phases

    def _advance(self, trainer: Trainer, *, epoch_starts: bool) -> None:
        before = self.phase
        while self.phase < len(self.phases) - 1 and self._is_over(
            self.phase, self._began, trainer, epoch_starts=epoch_starts
        ):
            self._next(trainer)
        if self.phase == before:
            return
        self._freeze()
        assert self._rates is not None
        self._rates.enter(self.phase, self._warm_ups)
        _wrap_anew(trainer)

    def _freeze(self) -> None:
        assert self._freezing is not None
        learns = self._learns[self.phase]
        self._freezing.train_only(learns.parameters, learns.frozen_norms)

    def _moment(self, trainer: Trainer) -> dict[str, float]:
        progress = {} if self._budget is None else {"progress": self._budget.progress}
        return {"epoch": trainer.current_epoch, "step": trainer.global_step, **progress}

    def _is_over(self, number: int, began: dict[str, float], trainer: Trainer, *, epoch_starts: bool) -> bool:
        """Whether a phase that began then is over; at an epoch's start it is the one that runs now."""
        phase, steps = self.phases[number], trainer.global_step - began["step"]
        if self._budget is not None:
            share = self._budget.share_of(trainer, phase)
            if share is not None:
                return self._budget.progress - began.get("progress", 0.0) >= share - SAME
        if phase.steps is not None:
            return steps >= phase.steps
        if phase.fraction is not None:
            return steps >= round(phase.fraction * self._steps_of_run)
        if not epoch_starts:
            return False
        epochs = trainer.current_epoch - self._began["epoch"]
        if phase.epochs is not None:
            return epochs >= phase.epochs
        assert phase.until is not None
        if phase.until.max_epochs is not None and epochs >= phase.until.max_epochs:
            return True
        return epochs >= phase.until.min_epochs and self._plateau.stalled >= phase.until.patience

    def _first_warm_ups(self, parts: ModelParts) -> dict[str, WarmUp]:
        """Those of the stages that are trainable from the first step, which a new head's gradients would move."""
        if not self.backbone_warmup_steps:
            return {}
        stages = (part for part in parts.names[:-1] if part != BOTTLENECK)
        trainable = {name for part in stages for name in parts.of(part)} & self._learns[0].parameters
        return dict.fromkeys(sorted(trainable), WarmUp(0, self.backbone_warmup_steps))

    def _next(self, trainer: Trainer) -> None:
        self._plateau.leave(self.phases[self.phase].until, trainer)
        self.phase += 1
        self._began = self._moment(trainer)
        before, now = self._learns[self.phase - 1].parameters, self._learns[self.phase].parameters
        warm_up = WarmUp(trainer.global_step, self.phases[self.phase].warmup_steps)
        earlier = {name: steps for name, steps in self._warm_ups.items() if name in now}
        self._warm_ups = earlier | dict.fromkeys(sorted(now - before), warm_up)
        self._plateau.enter(self.phases[self.phase].until, trainer, now)
        log.info(
            "epoch %d, step %d: phase %s trains %s",
            trainer.current_epoch, trainer.global_step, self.phases[self.phase].title, ", ".join(self.trainable_parts),
        )  # fmt: skip


def _wrap_anew(trainer: Trainer) -> None:
    """Let DDP's reducer hold exactly what is trainable now; the optimizer stays as it is."""
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy) and isinstance(strategy.model, DistributedDataParallel):
        module = strategy.lightning_module
        assert module is not None
        for parameter in module.parameters():
            parameter.grad = None  # a view into the old reducer's buckets
        strategy.model = module  # the old reducer goes, and its hooks with it
        strategy.configure_ddp()


def _check_strategy(trainer: Trainer) -> None:
    strategy = trainer.strategy
    if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy | ModelParallelStrategy):
        raise UserError(
            f"unfreezing is known to be right on one device, with DDP and with fully_shard (ModelParallelStrategy), "
            f"got {type(strategy).__name__}; try trainer=ddp or trainer=fsdp"
        )

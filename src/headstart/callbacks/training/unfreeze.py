"""Which parts of a model learn now, and how fast?"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, SingleDeviceStrategy
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from headstart.callbacks.training.ema import EMA
from headstart.compat.lightning_trainer import callbacks_of
from headstart.types import UserError
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import ModelParts, Stages
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau, Schedule, checked

log = logging.getLogger(__name__)


class _Factor(NamedTuple):
    """What a group's rate is multiplied by: by the phase, and rising linearly over so many steps since one."""

    phase: float
    since: int
    over: int

    def at(self, step: int) -> float:
        return self.phase * min(1.0, (step - self.since + 1) / self.over) if self.over else self.phase


_WithRates = tuple[Optimizer, list[dict[str, Any]], list[Any]]  # all its groups, and their rates


class Unfreeze(Callback):
    """Opens and closes the parts of any LightningModule as a schedule says, alike on all devices.

    schedule: its phases. stages: the parts from the input to the head, as attribute paths or regular
    expressions, None where the module says them itself (`ModelParts`).

    What is closed does not change: no gradient, no weight decay, no momentum, no BatchNorm statistics. A phase by
    epochs or by a plateau begins at an epoch's start, one by steps or a fraction before a batch. On several
    devices the model is wrapped in DDP anew, so that exactly what is open is reduced. The optimizer needs all
    parameters from the first step (`parameter_groups`); the rates of phases and the warm-up multiply the
    scheduler's own for the length of optimizer.step, so that no scheduler meets them. The phase is part of the
    checkpoint. Raises UserError where the schedule names what the model lacks, the strategy is not one of DDP,
    model parallel (fully_shard) or a single device, or a parameter is in no optimizer.
    """

    def __init__(self, schedule: Schedule, *, stages: Stages | None = None) -> None:
        self.schedule, self.stages = schedule, stages
        self.phases: tuple[Phase, ...] = ()
        self.phase = 0
        self._began = {"epoch": 0, "step": 0}  # of the phase
        # when a parameter opened, of those that did after the start, and over how many steps its rate rises
        self._opened: dict[str, tuple[int, int]] = {}
        self._best: float | None = None  # of the phase's figure, where it ends at a plateau
        self._stalled = 0  # validations since the best one
        self._best_weights: dict[str, torch.Tensor] = {}
        self._best_figures: dict[str, float] = {}  # all that were measured on these
        self._figures: dict[str, float] = {}  # of the last validation
        self._parts: ModelParts | None = None
        self._open: list[frozenset[str]] = []  # of each phase
        self._rates: list[dict[str, float]] = []  # of each phase: the rates that it sets, by parameter
        self._freezing: Freezing | None = None
        self._hooks: list[Any] = []
        self._held: dict[Optimizer, list[list[str]]] = {}  # of each optimizer's groups: the names of their parameters
        self._factors: dict[Optimizer, list[_Factor]] = {}  # of each optimizer's groups, in this phase
        self._learning: dict[Optimizer, list[dict[str, Any]]] = {}  # the groups of each that may change in this phase
        self._head_rate = 1.0  # that the optimizer was made with
        self._head_group: tuple[Optimizer, int] | None = None  # the last one that has parameters of the head
        self._steps_of_run = math.inf
        # while an optimizer steps: all its groups, and the scheduler's rates
        self._scheduled: list[_WithRates] = []

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
        return self._open[self.phase]

    def trainable_in(self, phase: int) -> frozenset[str]:
        """The names of the parameters that learn in a phase."""
        return self._open[phase]

    def upcoming(self, trainer: Trainer) -> int:
        """The phase that the next batch is trained in, asked between two batches of an epoch."""
        phase, began = self.phase, self._began["step"]
        while phase < len(self.phases) - 1 and self._is_over(phase, began, trainer, epoch_starts=False):
            phase, began = phase + 1, trainer.global_step
        return phase

    @property
    def trainable_parts(self) -> tuple[str, ...]:
        """The parts of which something learns now, from the input to the head."""
        now = self.trainable_parameters
        return tuple(part for part in self.parts.names if not now.isdisjoint(self.parts.of(part)))

    def rates(self, step: int) -> dict[str, float]:
        """The rate of each optimizer group that a step takes, 0 where nothing of it is open."""
        found = {}
        for optimizer in self._held:
            stepping = next((one for one in self._scheduled if one[0] is optimizer), None)
            _, groups, rates = stepping or _with_rates(optimizer)
            for index, (group, rate, factor) in enumerate(zip(groups, rates, self._of(optimizer), strict=True)):
                found[str(group.get("name", f"group{index}"))] = float(rate) * factor.at(step)
        return found

    @property
    def head_optimizer(self) -> Optimizer | None:
        """The optimizer of the head's last parameter group; None before fit, or where the head has no parameter."""
        return self._head_group and self._head_group[0]

    def head_rate(self, step: int) -> float:
        """The rate of the head's last parameter group that a step takes, 0 where nothing of it is open."""
        if self._head_group is None:
            return 0.0
        optimizer, index = self._head_group
        stepping = next((one for one in self._scheduled if one[0] is optimizer), None)
        rate = stepping[2][index] if stepping else optimizer.param_groups[index]["lr"]
        return float(rate) * self._of(optimizer)[index].at(step)

    # ------------------------------------------------------------------ the phases

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        _check_strategy(trainer)
        self.phase, self._began, self._opened = 0, {"epoch": 0, "step": 0}, {}
        self._best, self._stalled, self._best_weights = None, 0, {}
        self._best_figures, self._figures = {}, {}
        parts = self._parts = ModelParts(pl_module, self.stages)
        self.phases = checked(self.schedule.phases(parts.names))
        self._freezing = Freezing(pl_module, parts.parameters)
        self._open = [parts.selected(phase.trainable) & self._freezing.among for phase in self.phases]
        self._rates = [_named_rates(phase, parts) for phase in self.phases]
        for phase, names in zip(self.phases, self._open, strict=True):
            if not names:
                raise UserError(f"nothing learns in the phase {phase.title}: all that it opens was frozen before fit")
            returns = phase.until is not None and phase.until.return_to_best
            if returns and isinstance(trainer.strategy, ModelParallelStrategy):
                raise UserError("return_to_best needs whole weights on each device; with trainer=fsdp set it to false")
        self._freezing.train_only(self._open[self.phase])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        titles = [phase.title for phase in self.phases]
        if self.phases and state_dict["phases"] != titles:
            raise UserError(
                f"the checkpoint's phases are {', '.join(state_dict['phases'])}, those of the schedule are "
                f"{', '.join(titles)}; go on with the schedule that it was made with"
            )
        self.phase = state_dict["phase"]
        self._began, self._opened = dict(state_dict["began"]), dict(state_dict["opened"])
        self._best, self._stalled = state_dict["best"], state_dict["stalled"]
        self._best_weights, self._best_figures = dict(state_dict["best_weights"]), dict(state_dict["best_figures"])
        self._figures = dict(state_dict["figures"])
        self._factors.clear()
        self._learning.clear()
        if self._freezing is not None:  # before the strategy wraps the model
            self._freezing.train_only(self._open[self.phase])

    def state_dict(self) -> dict[str, Any]:
        return {
            "phases": [phase.title for phase in self.phases],
            "phase": self.phase,
            "began": self._began,
            "opened": self._opened,
            "best": self._best,
            "stalled": self._stalled,
            "best_weights": self._best_weights,
            "best_figures": self._best_figures,
            "figures": self._figures,
        }

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        self._held = {
            optimizer: [[names[id(p)] for p in group["params"] if id(p) in names] for group in optimizer.param_groups]
            for optimizer in trainer.optimizers
        }
        held = {name for groups in self._held.values() for group in groups for name in group}
        if missing := sorted(frozenset().union(*self._open) - held):
            raise UserError(
                f"the optimizer must hold from the first step all that opens later; {len(missing)} parameters are in "
                f"none of its groups, such as {missing[0]}; in configure_optimizers take "
                "headstart.parameter_groups(self, lr=..., stages=...)"
            )
        head = set(self.parts.of(self.parts.names[-1]))
        for optimizer, groups in self._held.items():
            for index, (group, members) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
                if not head.isdisjoint(members):
                    self._head_rate, self._head_group = _base(group), (optimizer, index)
                for phase in range(len(self.phases)):  # a group that is too coarse is an error now, not in hour three
                    self._phase_factor(group, members, phase)
            self._hooks.append(optimizer.register_step_pre_hook(self._before_step(trainer)))
            self._hooks.append(optimizer.register_step_post_hook(self._after_step))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._steps_of_run = trainer.estimated_stepping_batches
        if not math.isfinite(self._steps_of_run) and any(phase.fraction is not None for phase in self.phases):
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
        monitored = {phase.until.monitor for phase in self.phases if phase.until is not None}
        measured = {name: float(value) for name, value in trainer.callback_metrics.items() if name in monitored}
        # a figure that is not synchronised differs from rank to rank, and so would the decision
        self._figures = trainer.strategy.broadcast(measured) if monitored else {}
        plateau = self.phases[self.phase].until
        if plateau is None:
            return
        if plateau.monitor is None or plateau.monitor not in self._figures:
            raise UserError(
                f"the schedule waits for {plateau.monitor}, which is not measured; measured are "
                f"{', '.join(sorted(map(str, trainer.callback_metrics)))}"
            )
        self._see(plateau, self._figures[plateau.monitor], trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._scheduled:  # it came out of optimizer.step: whoever saves now must not save the step's own rates
            self._after_step()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            for hook in self._hooks:
                hook.remove()
            self._hooks.clear()
            if self._freezing is not None:
                self._freezing.end()
                self._freezing = None

    def _advance(self, trainer: Trainer, *, epoch_starts: bool) -> None:
        before = self.phase
        while self.phase < len(self.phases) - 1 and self._is_over(
            self.phase, self._began["step"], trainer, epoch_starts=epoch_starts
        ):
            self._next(trainer)
        if self.phase == before:
            return
        assert self._freezing is not None
        self._freezing.train_only(self._open[self.phase])
        self._factors.clear()
        self._learning.clear()
        _wrap_anew(trainer)

    def _is_over(self, number: int, began: int, trainer: Trainer, *, epoch_starts: bool) -> bool:
        """Whether a phase that began at a step is over; at an epoch's start it is the one that runs now."""
        phase, steps = self.phases[number], trainer.global_step - began
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
        return epochs >= phase.until.min_epochs and self._stalled >= phase.until.patience

    def _next(self, trainer: Trainer) -> None:
        left = self.phases[self.phase].until
        if left is not None and left.return_to_best and self._best_weights:
            self._return(trainer)
        self.phase += 1
        self._began = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        newly = self._open[self.phase] - self._open[self.phase - 1]
        kept = {name: step for name, step in self._opened.items() if name in self._open[self.phase]}
        self._opened = kept | dict.fromkeys(sorted(newly), (trainer.global_step, self.phases[self.phase].warmup_steps))
        self._best, self._stalled, self._best_weights = None, 0, {}
        entered = self.phases[self.phase].until
        if entered is not None and entered.is_better(self._figures.get(str(entered.monitor), math.nan), None):
            self._see(entered, self._figures[str(entered.monitor)], trainer)  # the weights that it begins with count
        log.info(
            "epoch %d, step %d: phase %s opens %s",
            trainer.current_epoch, trainer.global_step, self.phases[self.phase].title, ", ".join(self.trainable_parts),
        )  # fmt: skip

    # ------------------------------------------------------------------ plateaus

    def _see(self, plateau: Plateau, value: float, trainer: Trainer) -> None:
        if not plateau.is_better(value, self._best):
            self._stalled += 1
            return
        self._best, self._stalled = value, 0
        if plateau.return_to_best:
            self._best_figures = dict(self._figures)
            module = trainer.lightning_module
            changing = self.trainable_parameters | {name for name, _ in module.named_buffers()}
            measured = dict(module.state_dict())
            for average in _averages(trainer):
                measured |= average.averages
            kept = {name: tensor for name, tensor in measured.items() if name in changing}
            self._best_weights = {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}

    def _return(self, trainer: Trainer) -> None:
        """Put the phase's best weights back; what the optimizer knows of the way from there to here is forgotten."""
        module = trainer.lightning_module
        module.load_state_dict(self._best_weights, strict=False)
        self._figures = dict(self._best_figures)
        parameters = dict(module.named_parameters())
        for optimizer in trainer.optimizers:
            for name in self._best_weights:
                if name in parameters:
                    optimizer.state.pop(parameters[name], None)
        for average in _averages(trainer):
            average.restart(tuple(self._best_weights))

    # ------------------------------------------------------------------ rates

    def _of(self, optimizer: Optimizer) -> list[_Factor]:
        """What multiplies the scheduler's rates of an optimizer's groups in this phase."""
        if optimizer not in self._factors:
            pairs = zip(optimizer.param_groups, self._held[optimizer], strict=True)
            self._factors[optimizer] = [self._group_factor(group, names) for group, names in pairs]
        return self._factors[optimizer]

    def _group_factor(self, group: Mapping[str, Any], names: Sequence[str]) -> _Factor:
        trainable = [name for name in names if name in self.trainable_parameters]
        if not trainable:
            return _Factor(0.0, 0, 0)
        since, over = max((self._opened[name] for name in trainable if name in self._opened), default=(0, 0))
        return _Factor(self._phase_factor(group, names, self.phase), since, over)

    def _phase_factor(self, group: Mapping[str, Any], names: Sequence[str], phase: int) -> float:
        rate = self.phases[phase].lr
        if isinstance(rate, int | float):
            return float(rate) / self._head_rate
        found = {self._rates[phase].get(name) for name in names if name in self._open[phase]}
        if len(found) > 1:
            raise UserError(
                f"phase {self.phases[phase].title} sets different rates in the optimizer group "
                f"{group.get('name', '')!r}; make finer groups: parameter_groups(self, schedule=..., lr=...)"
            )
        own = next(iter(found), None)
        return 1.0 if own is None else own / _base(group)

    def _before_step(self, trainer: Trainer) -> Any:
        def multiply(optimizer: Optimizer, *_: Any) -> None:
            self._scheduled.append(_with_rates(optimizer))
            for group, now in zip(optimizer.param_groups, self._of(optimizer), strict=True):
                factor = now.at(trainer.global_step)
                if factor not in (0.0, 1.0):  # at 0 nothing has a gradient; at 1 a tensor rate stays that tensor
                    group["lr"] = group["lr"] * factor
            optimizer.param_groups = self._learning_of(optimizer)

        return multiply

    def _learning_of(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """The groups without those that are closed as a whole: to look through them takes longer than a head's step."""
        if optimizer not in self._learning:
            pairs = zip(optimizer.param_groups, self._held[optimizer], strict=True)
            self._learning[optimizer] = [
                group
                for group, names in pairs
                if len(names) < len(group["params"]) or not self.trainable_parameters.isdisjoint(names)
            ]
        return self._learning[optimizer]

    def _after_step(self, *_: Any) -> None:
        optimizer, groups, rates = self._scheduled.pop()
        optimizer.param_groups = groups
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


def _with_rates(optimizer: Optimizer) -> _WithRates:
    return optimizer, optimizer.param_groups, [group["lr"] for group in optimizer.param_groups]


def _averages(trainer: Trainer) -> list[EMA]:
    """What validation measures instead of the weights, where there is one."""
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, EMA)]


def _wrap_anew(trainer: Trainer) -> None:
    """Let DDP's reducer hold exactly what is open now; the optimizer stays as it is."""
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


def _named_rates(phase: Phase, parts: ModelParts) -> dict[str, float]:
    """The rate of each parameter that a phase sets one for; of two that name the same one the later counts."""
    if not isinstance(phase.lr, Mapping):
        return {}
    return {name: rate for selector, rate in phase.lr.items() for name in parts.selected([selector])}


def _base(group: Mapping[str, Any]) -> float:
    """The rate that a group was made with: schedulers change `lr` as soon as they are made."""
    return float(group.get("base", group.get("initial_lr", group["lr"])))

"""Learning rates of a schedule's phases: factors on the scheduler's rates while an optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pytorch_lightning import LightningModule
from torch.optim import Optimizer

from headstart.types import UserError
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.schedule_phases import Phase


class RateFactor(NamedTuple):
    """What a parameter group's rate is multiplied by: a factor of the phase, which rises linearly after a step."""

    phase: float
    since: int  # the step after which it rises
    over: int  # in how many steps; 0: at once

    def at(self, step: int) -> float:
        """The factor at an optimizer step."""
        return self.phase * min(1.0, (step - self.since + 1) / self.over) if self.over else self.phase


class WarmUp(NamedTuple):
    """When a parameter became trainable, and over how many steps its rate rises."""

    step: int
    steps: int


class _Stepping(NamedTuple):
    """An optimizer, all its groups, and the rates that they have from the scheduler."""

    optimizer: Optimizer
    groups: list[dict[str, Any]]
    rates: list[Any]


class PhaseRates:
    """Multiplies the rates of an optimizer's groups by what the phase and the warm-up make of them.

    The rates are changed for the length of optimizer.step alone, so that no scheduler meets them. Groups that are
    frozen as a whole are not among the optimizer's groups while it steps: to look through them takes longer than the
    step of a head.

    Args:
        phases: The phases of the schedule.
        parts: The parts of the model.
        trainable: The names of the trainable parameters, for each phase.
    """

    def __init__(self, phases: Sequence[Phase], parts: ModelParts, trainable: Sequence[frozenset[str]]) -> None:
        self.phases, self.trainable = phases, trainable
        self._named = [_named_rates(phase, parts) for phase in phases]
        self._head = frozenset(parts.of(parts.names[-1]))
        self._phase = 0
        self._warm_ups: Mapping[str, WarmUp] = {}  # by the parameter's name
        self._names: dict[Optimizer, list[list[str]]] = {}  # of the parameters in each optimizer's groups
        self._factors: dict[Optimizer, list[RateFactor]] = {}  # of each optimizer's groups, in this phase
        self._learning: dict[Optimizer, list[dict[str, Any]]] = {}  # the groups of each that may change in this phase
        self._head_rate = 1.0  # that the optimizer was made with
        self._head_group: tuple[Optimizer, int] | None = None  # the last one that has parameters of the head
        self._stepping: list[_Stepping] = []  # while an optimizer steps
        self._hooks: list[Any] = []

    # ------------------------------------------------------------------ what others may ask

    def rates(self, step: int) -> dict[str, float]:
        """The rate of each optimizer group that a step takes, 0 where the group is frozen."""
        rates = {}
        for optimizer in self._names:
            _, groups, scheduled = self._scheduled(optimizer)
            factors = self._factors_of(optimizer)
            for index, (group, rate, factor) in enumerate(zip(groups, scheduled, factors, strict=True)):
                rates[str(group.get("name", f"group{index}"))] = float(rate) * factor.at(step)
        return rates

    @property
    def head_optimizer(self) -> Optimizer | None:
        """The optimizer of the head's last parameter group; None where the head has no parameter."""
        return self._head_group and self._head_group[0]

    def head_rate(self, step: int) -> float:
        """The rate of the head's last parameter group that a step takes, 0 where it is frozen."""
        if self._head_group is None:
            return 0.0
        optimizer, index = self._head_group
        return float(self._scheduled(optimizer).rates[index]) * self._factors_of(optimizer)[index].at(step)

    # ------------------------------------------------------------------ the run

    def attach(self, optimizers: Sequence[Optimizer], module: LightningModule, step: Callable[[], int]) -> None:
        """Multiply the rates of these optimizers from now on.

        Args:
            optimizers: Hold all parameters that some phase trains.
            module: The module that they train.
            step: Gives the number of optimizer steps done.

        Raises:
            UserError: If a parameter is in none of the optimizers, or a group is too coarse for a phase's rates.
        """
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._names = {
            optimizer: [[names[id(p)] for p in group["params"] if id(p) in names] for group in optimizer.param_groups]
            for optimizer in optimizers
        }
        held = {name for groups in self._names.values() for group in groups for name in group}
        if missing := sorted(frozenset().union(*self.trainable) - held):
            raise UserError(
                f"the optimizer must hold from the first step all that is trainable later; {len(missing)} parameters "
                f"are in none of its groups, such as {missing[0]}; in configure_optimizers take "
                "headstart.parameter_groups(self, lr=..., stages=...)"
            )
        for optimizer, groups in self._names.items():
            for index, (group, members) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
                if not self._head.isdisjoint(members):
                    self._head_rate, self._head_group = _base(group), (optimizer, index)
                for phase in range(len(self.phases)):  # a group that is too coarse is an error now, not in hour three
                    self._phase_factor(group, members, phase)
            self._hooks.append(optimizer.register_step_pre_hook(self._before_step(step)))
            self._hooks.append(optimizer.register_step_post_hook(self._after_step))

    def detach(self) -> None:
        """Leave the rates as the scheduler makes them from now on."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def enter(self, phase: int, warm_ups: Mapping[str, WarmUp]) -> None:
        """Take the rates of a phase.

        Args:
            phase: Its number.
            warm_ups: Those of the parameters whose rates rise, by their names.
        """
        self._phase, self._warm_ups = phase, warm_ups
        self._factors.clear()
        self._learning.clear()

    def restore_scheduled(self) -> None:
        """Give an optimizer the scheduler's rates back, where an exception came out of its step."""
        if self._stepping:
            self._after_step()

    # ------------------------------------------------------------------ factors

    def _scheduled(self, optimizer: Optimizer) -> _Stepping:
        """All groups of an optimizer with the scheduler's rates, also while it steps."""
        return next((entry for entry in self._stepping if entry.optimizer is optimizer), None) or _with_rates(optimizer)

    def _factors_of(self, optimizer: Optimizer) -> list[RateFactor]:
        if optimizer not in self._factors:
            pairs = zip(optimizer.param_groups, self._names[optimizer], strict=True)
            self._factors[optimizer] = [self._group_factor(group, names) for group, names in pairs]
        return self._factors[optimizer]

    def _group_factor(self, group: Mapping[str, Any], names: Sequence[str]) -> RateFactor:
        trainable = [name for name in names if name in self.trainable[self._phase]]
        if not trainable:
            return RateFactor(0.0, 0, 0)
        warm_ups = (self._warm_ups[name] for name in trainable if name in self._warm_ups)
        since, over = max(warm_ups, default=(0, 0))
        return RateFactor(self._phase_factor(group, names, self._phase), since, over)

    def _phase_factor(self, group: Mapping[str, Any], names: Sequence[str], phase: int) -> float:
        rate = self.phases[phase].lr
        if isinstance(rate, int | float):
            return float(rate) / self._head_rate
        rates = {self._named[phase].get(name) for name in names if name in self.trainable[phase]}
        if len(rates) > 1:
            raise UserError(
                f"phase {self.phases[phase].title} sets different rates in the optimizer group "
                f"{group.get('name', '')!r}; make finer groups: parameter_groups(self, schedule=..., lr=...)"
            )
        phase_rate = next(iter(rates), None)
        return 1.0 if phase_rate is None else phase_rate / _base(group)

    def _learning_of(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """The groups without those that are frozen as a whole."""
        if optimizer not in self._learning:
            pairs = zip(optimizer.param_groups, self._names[optimizer], strict=True)
            self._learning[optimizer] = [
                group
                for group, names in pairs
                if len(names) < len(group["params"]) or not self.trainable[self._phase].isdisjoint(names)
            ]
        return self._learning[optimizer]

    # ------------------------------------------------------------------ the optimizer's hooks

    def _before_step(self, step: Callable[[], int]) -> Callable[..., None]:
        def multiply(optimizer: Optimizer, *_: Any) -> None:
            self._stepping.append(_with_rates(optimizer))
            for group, factor in zip(optimizer.param_groups, self._factors_of(optimizer), strict=True):
                value = factor.at(step())
                if value not in (0.0, 1.0):  # at 0 nothing has a gradient; at 1 a tensor rate stays that tensor
                    group["lr"] = group["lr"] * value
            optimizer.param_groups = self._learning_of(optimizer)

        return multiply

    def _after_step(self, *_: Any) -> None:
        optimizer, groups, rates = self._stepping.pop()
        optimizer.param_groups = groups
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


def _with_rates(optimizer: Optimizer) -> _Stepping:
    return _Stepping(optimizer, optimizer.param_groups, [group["lr"] for group in optimizer.param_groups])


def _named_rates(phase: Phase, parts: ModelParts) -> dict[str, float]:
    """The rate of each parameter that a phase sets one for; of two that name the same one the later counts."""
    if not isinstance(phase.lr, Mapping):
        return {}
    return {name: rate for selector, rate in phase.lr.items() for name in parts.selected([selector])}


def _base(group: Mapping[str, Any]) -> float:
    """The rate that a group was made with: schedulers change `lr` as soon as they are made."""
    return float(group.get("base", group.get("initial_lr", group["lr"])))

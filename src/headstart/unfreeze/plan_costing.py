"""The plan of a run, with the cost of a step measured on sample images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from headstart.unfreeze.batch_norm_policy import WhatLearns, what_learns
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.phase_begins import PhaseBegin, RunLength, begins
from headstart.unfreeze.schedules.schedule_phases import Phase, checked
from headstart.unfreeze.step_cost import StepCost, step_cost, untouched
from headstart.unfreeze.trainable_share import share_of
from headstart.unfreeze.unfreezing_plan import Plan, PlannedPhase

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class SampleStep:
    """A training step on sample images, whose cost is measured.

    Args:
        images: A few images, of any values.
        loss: The module's loss on them.
        known_costs: Costs that are known, by what is trainable; measured ones are added.
    """

    images: Tensor
    loss: Callable[[Tensor], Tensor]
    known_costs: dict[WhatLearns, StepCost] = field(default_factory=dict)


def plan_of(
    module: nn.Module,
    parts: ModelParts,
    phases: Sequence[Phase],
    *,
    run: RunLength,
    groups: Iterable[Mapping[str, Any]],
    sample: SampleStep,
    batch_size: int,
) -> Plan:
    """The plan of a run; afterwards the module is as before.

    Args:
        module: The module that the run trains.
        parts: Of the module.
        phases: Of the schedule.
        run: The run's length.
        groups: Parameter groups of the optimizer.
        sample: A step of the module.
        batch_size: Of the run.

    Raises:
        UserError: A phase names a part or a parameter that the module does not have.
    """
    checked(phases)
    chosen = [what_learns(module, parts, phase) for phase in phases]
    rates = _rates(module, parts, phases, groups)
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    whole, costs = _costs(module, parts, chosen, lambda: sample.loss(sample.images), sample.known_costs)
    begun = begins(phases, run)
    rows = []
    for index, phase in enumerate(phases):
        names, cost = costs[index][0].parameters, costs[index][1]
        rows.append(
            PlannedPhase(
                phase=phase,
                begins=begun[index],
                ends=_end(begun[index], begun[index + 1] if index + 1 < len(begun) else None, run),
                trainable={
                    part: "whole" if names.issuperset(parts.of(part)) else "partly"
                    for part in parts.names
                    if not names.isdisjoint(parts.of(part))
                },
                trainable_parameters=sum(sizes[name] for name in names),
                rates=_range_of_rates(rates[index], names, parts),
                forward=cost.forward_flops / (sum(whole[:2]) or 1),
                backward=cost.backward_flops / (sum(whole[:2]) or 1),
                saved_mib=cost.saved_bytes / len(sample.images) * batch_size / MIB,
                frozen_norms=len(costs[index][0].frozen_norms),
            )
        )
    return Plan(
        rows=tuple(rows), run=run, parts=parts.names, share=share_of(module, parts, phases), batch_size=batch_size,
        flops=sum(whole[:2]) // len(sample.images),
    )  # fmt: skip


def _costs(
    module: nn.Module,
    parts: ModelParts,
    chosen: Sequence[WhatLearns],
    loss: Callable[[], Tensor],
    known: dict[WhatLearns, StepCost],
) -> tuple[StepCost, list[tuple[WhatLearns, StepCost]]]:
    """The cost of training everything, and of each phase what is trainable and its cost."""
    freezing = Freezing(module, parts.parameters)
    everything = WhatLearns(freezing.among)
    learning = [replace(learns, parameters=learns.parameters & freezing.among) for learns in chosen]
    unknown = [learns for learns in dict.fromkeys((everything, *learning)) if learns not in known]
    if unknown:
        with untouched(module):
            for learns in unknown:
                freezing.train_only(learns.parameters, learns.frozen_norms)
                known[learns] = step_cost(module, loss)
                module.zero_grad()
            freezing.end()
    return known[everything], [(learns, known[learns]) for learns in learning]


def _rates(
    module: nn.Module, parts: ModelParts, phases: Sequence[Phase], groups: Iterable[Mapping[str, Any]]
) -> list[dict[str, float]]:
    """The learning rate of each parameter in each phase, by the optimizer and the phase."""
    titles = {id(parameter): name for name, parameter in module.named_parameters()}
    head = frozenset(parts.of(parts.names[-1]))
    base: dict[str, float] = {}
    head_rate = None
    for group in groups:
        rate = float(group.get("base", group.get("initial_lr", group["lr"])))  # a scheduler has changed lr already
        names = [titles[id(parameter)] for parameter in group["params"] if id(parameter) in titles]
        base |= dict.fromkeys(names, rate)
        if not head.isdisjoint(names):
            head_rate = rate
    rates: list[dict[str, float]] = []
    for phase in phases:
        if isinstance(phase.lr, Mapping):
            set_by_phase = {name: float(rate) for text, rate in phase.lr.items() for name in parts.selected([text])}
            rates.append(base | set_by_phase)
        elif phase.lr is not None and head_rate is not None:
            rates.append({name: rate * phase.lr / head_rate for name, rate in base.items()})
        else:
            rates.append(base)
    return rates


def _range_of_rates(
    rates: Mapping[str, float], learning: Collection[str], parts: ModelParts
) -> dict[str, tuple[float, float]]:
    known = {name: rate for name, rate in rates.items() if name in learning}
    by_part = {part: [known[name] for name in parts.of(part) if name in known] for part in parts.names}
    return {part: (min(values), max(values)) for part, values in by_part.items() if values}


def _end(begin: PhaseBegin, following: PhaseBegin | None, run: RunLength) -> PhaseBegin:
    """When a phase ends: when the next one begins, or with the run."""
    if begin.earliest is None or following is None:
        return PhaseBegin(run.end, run.end)
    return PhaseBegin(following.earliest or run.end, following.latest or run.end)

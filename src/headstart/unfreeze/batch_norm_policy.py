"""What a norm with running statistics learns in a trainable part: all, its affine weights alone, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from torch import nn

from headstart.compat.pytorch.torch_norms import RunningNorm
from headstart.types import UserError
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.schedule_phases import BatchNormPolicy, Phase, Schedule

LEARNING, STATISTICS_FROZEN, ALL_FROZEN = get_args(BatchNormPolicy)


@dataclass(frozen=True)
class WhatLearns:
    """What is trainable in a phase, and what stays although the part that it lies in is trainable.

    Args:
        parameters: Names of the trainable parameters.
        frozen_norms: Paths of the norms that normalise by their running statistics, as in eval(), and leave them.
    """

    parameters: frozenset[str]
    frozen_norms: frozenset[str] = frozenset()


def what_learns(module: nn.Module, parts: ModelParts, phase: Phase) -> WhatLearns:
    """The trainable parameters of a phase, and the norms whose statistics are frozen by its `batch_norm`.

    A norm is one with running statistics: BatchNorm, SyncBatchNorm, InstanceNorm with track_running_stats=True. One
    policy for the whole phase is that of all parts but the head, whose norms begin with statistics of no data.

    Args:
        module: The model.
        parts: Of the model.
        phase: Of its schedule.

    Raises:
        UserError: The phase selects nothing, or has a policy of a part that the model lacks.
    """
    chosen = parts.selected(phase.trainable)
    policies = _policy_by_part(phase, parts)
    if all(policy == LEARNING for policy in policies.values()):
        return WhatLearns(chosen)
    frozen_norms, affine = set(), set()
    for path, norm in module.named_modules():
        if not isinstance(norm, RunningNorm) or norm.running_mean is None:
            continue
        policy = policies.get(_part_of(path, norm, parts), LEARNING)
        if policy != LEARNING:
            frozen_norms.add(path)
        if policy == ALL_FROZEN:
            affine |= {f"{path}.{name}" for name, _ in norm.named_parameters(recurse=False)}
    return WhatLearns(chosen - affine, frozenset(frozen_norms))


def _policy_by_part(phase: Phase, parts: ModelParts) -> dict[str, str]:
    policy = phase.batch_norm
    if policy is None:
        return {}
    if not isinstance(policy, Mapping):
        return dict.fromkeys(parts.names[:-1], policy)
    if unknown := [part for part in policy if part not in parts.names]:
        raise UserError(
            f"batch_norm of the phase {phase.title} names {', '.join(unknown)}, which is no part; the parts are "
            f"{', '.join(parts.names)}"
        )
    return dict(policy)


def _part_of(path: str, norm: nn.Module, parts: ModelParts) -> str:
    """The part that a norm lies in; "" where it has no parameters and no part is known by a path."""
    for name, _ in norm.named_parameters(recurse=False):
        return parts.part_of(f"{path}.{name}")
    above = (part for part, of_part in parts.paths.items() if of_part and f"{path}.".startswith(f"{of_part}."))
    return next(above, "")


@dataclass(frozen=True, kw_only=True)
class WithBatchNorm:
    """The phases of a schedule, where a phase without a policy of its own has this one.

    It holds for the stages that have the source's weights: statistics of random weights are worth nothing.

    Args:
        schedule: The schedule.
        batch_norm: The policy of phases that have none.
        stages: The stages with the source's weights; of a control, those that would have them.
    """

    schedule: Schedule
    batch_norm: BatchNormPolicy
    stages: tuple[str, ...]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return tuple(self._with_policy(phase) for phase in self.schedule.phases(parts))

    def _with_policy(self, phase: Phase) -> Phase:
        policy = self.batch_norm if phase.batch_norm is None else phase.batch_norm
        if isinstance(policy, Mapping):  # of single parts; the others have the module's
            own = {} if self.batch_norm == LEARNING else dict.fromkeys(self.stages, self.batch_norm)
            return replace(phase, batch_norm=own | dict(policy))
        return replace(phase, batch_norm=None if policy == LEARNING else dict.fromkeys(self.stages, policy))

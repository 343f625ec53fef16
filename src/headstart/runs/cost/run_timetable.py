"""When a run validates, and how many steps each of its phases has."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.unfreeze.phase_begins import RunLength
from headstart.unfreeze.unfreezing_plan import PlannedPhase


def phase_steps(rows: Sequence[PlannedPhase], run: RunLength) -> list[tuple[int, int]]:
    """The first and the last step, not included, of each phase of a run of known length.

    A phase that waits for a plateau is as short as it can be: what follows trains more, and takes longer.

    Args:
        rows: Of the plan.
        run: The run's length.
    """
    assert run.end is not None
    begins = [run.end.step if row.begins.earliest is None else row.begins.earliest.step for row in rows]
    return list(zip(begins, [*begins[1:], run.end.step], strict=True))


def validation_steps(run: RunLength) -> list[int]:
    """After how many steps a run of known length validates; 0 is before the first step, and its end is among them.

    Args:
        run: The run's length.
    """
    assert run.end is not None
    end, each = run.end.step, run.steps_per_epoch
    if not run.validations:
        return []
    steps = [0] if run.validates_first else []
    for epoch in range(run.validates_every - 1, -(-end // each), run.validates_every):
        steps += [epoch * each + number * each // run.validations for number in range(1, run.validations + 1)]
    steps = [step for step in steps if step <= end]
    return steps if steps and steps[-1] == end else [*steps, end]

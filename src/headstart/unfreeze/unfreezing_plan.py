"""The plan of a run as a table: phases, learning rates, cost of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from headstart.unfreeze.phase_begins import PhaseBegin, RunLength
from headstart.unfreeze.schedules.schedule_phases import Phase
from headstart.unfreeze.trainable_share import TrainableShare

WIDTH = 120  # characters of a line
FROZEN, PARTLY = "-", "*"


@dataclass(frozen=True, kw_only=True)
class PlannedPhase:
    """One phase of a plan.

    Args:
        phase: Of the schedule.
        begins: When it begins.
        ends: When it ends.
        trainable: How much of each part that is trainable at all.
        trainable_parameters: Their count.
        rates: Lowest and highest learning rate of each trainable part, where they are known.
        forward: FLOPs of a step's forward pass over those of a step that trains everything.
        backward: The same of the backward pass.
        saved_mib: Memory of the activations that are saved for the backward pass of a batch.
        frozen_norms: Count of the norms whose running statistics the phase's `batch_norm` freezes.
    """

    phase: Phase
    begins: PhaseBegin
    ends: PhaseBegin
    trainable: Mapping[str, Literal["whole", "partly"]]
    trainable_parameters: int
    rates: Mapping[str, tuple[float, float]]
    forward: float
    backward: float
    saved_mib: float
    frozen_norms: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The phases of a run; as text it is a table.

    Args:
        rows: One of each phase.
        run: The run's length.
        parts: Names from the input to the head.
        share: Of the whole model, that is trainable at some time.
        batch_size: For which memory is estimated.
        flops: Of one image, forward and backward, with everything trainable.
    """

    rows: tuple[PlannedPhase, ...]
    run: RunLength
    parts: tuple[str, ...]
    share: TrainableShare
    batch_size: int
    flops: int

    def __str__(self) -> str:
        return "\n".join([*_phase_lines(self), "", *_rate_lines(self)])


def _phase_lines(plan: Plan) -> list[str]:
    waits = any(row.phase.until for row in plan.rows)
    table = [
        ["phase", "begins", "", "ends", "", *(["when"] * waits), "trainable", "share", "forward", "backward", "MiB"],
        ["", "epoch", "step", "epoch", "step", *([""] * waits), "", "", "", "", ""],
    ]
    for number, row in enumerate(plan.rows, start=1):
        reached = row.begins.earliest is not None
        table.append(
            [
                f"{number} {row.phase.title}",
                *(_moment(row.begins) if reached else ("not", "reached")),
                *(_moment(row.ends) if reached else ("", "")),
                *([_reason(row.phase)] * waits),
                f"{row.trainable_parameters:,}",
                _percent(row.trainable_parameters / plan.share.of),
                _percent(row.forward) if plan.flops else "?",
                _percent(row.backward) if plan.flops else "?",
                f"{row.saved_mib:,.2f}",
            ]
        )
    return [
        f"run: {_length(plan.run)}, {plan.run.steps_per_epoch:,} an epoch. trainable: of {plan.share.of:,} parameters.",
        str(plan.share),
        *_norm_lines(plan),
        f"forward, backward: FLOPs of a step, of one that trains everything ({_flops(plan.flops)} an image).",
        f"MiB: activations saved for the backward pass of a batch of {plan.batch_size}, in float32.",
        *(["2-5: between the two, as the monitored metric goes; 2+: then or later, if at all."] * _is_open_ended(plan)),
        "",
        *_aligned(table, left=5 + waits),
    ]


def _length(run: RunLength) -> str:
    steps = f"{run.steps:,.0f} steps" if run.end else "no known end"
    if math.isinf(run.seconds):
        return steps
    limit = f"{timedelta(seconds=run.seconds)} (max_time), and phases and rates end with it"
    return f"{steps} in at most {limit}" if run.end else f"as many steps as there are in {limit}"


def _norm_lines(plan: Plan) -> list[str]:
    counts = [row.frozen_norms for row in plan.rows]
    if not any(counts):
        return []
    shown = f"{counts[0]} norms" if len(set(counts)) == 1 else f"{', '.join(map(str, counts))} norms, phase by phase"
    return [f"batch_norm: frozen running statistics of {shown}"]


def _is_open_ended(plan: Plan) -> bool:
    return any(row.begins.earliest != row.begins.latest for row in plan.rows)


def _rate_lines(plan: Plan) -> list[str]:
    partly = any("partly" in row.trainable.values() for row in plan.rows)
    legend = f"{FROZEN} frozen" + (f", {PARTLY} partly frozen" if partly else "")
    lines = [f"learning rate by stage: the optimizer's times the phase's own, before scheduler and warm-up ({legend})"]
    titles = [f"{number} {row.phase.title}" for number, row in enumerate(plan.rows, start=1)]
    columns = [[part, *(_rate(row, part) for row in plan.rows)] for part in plan.parts]
    first = ["phase", *titles]
    while columns:
        count = len(columns)
        while count > 1 and _widest(first) + sum(2 + _widest(column) for column in columns[:count]) > WIDTH:
            count -= 1
        table = [list(line) for line in zip(first, *columns[:count], strict=True)]
        lines += ["", *_aligned(table, left=1)]
        columns = columns[count:]
    return lines


def _moment(when: PhaseBegin) -> tuple[str, ...]:
    """The epoch and the step as text."""
    first, last = when
    if first is None:
        return "?", "?"
    if last is None:
        return f"{first.epoch}+", f"{first.step}+"
    return tuple(f"{low}" if low == high else f"{low}-{high}" for low, high in zip(first, last, strict=True))


def _reason(phase: Phase) -> str:
    return f"{phase.until.monitor} stalls for {phase.until.patience}" if phase.until else ""


def _rate(row: PlannedPhase, part: str) -> str:
    if part not in row.trainable:
        return FROZEN
    low, high = row.rates.get(part, (None, None))
    shown = "?" if low is None or high is None else f"{low:.3g}" if low == high else f"{low:.2g}-{high:.2g}"
    return shown + (PARTLY if row.trainable[part] == "partly" else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share in (0, 1) else f"{100 * share:.1f}%"


def _flops(count: int) -> str:
    for size, word in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.1f} {word}FLOPs"
    return f"{count:,} FLOPs"


def _widest(cells: Iterable[str]) -> int:
    return max(map(len, cells))


def _aligned(table: Sequence[Sequence[str]], left: int) -> list[str]:
    """The lines of a table whose first columns are to the left, the others to the right."""
    widths = [_widest(column) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]

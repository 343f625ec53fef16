"""What opens when in a run, how fast does it learn, and what does it cost?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import Parts
from headstart.unfreeze.phase_begins import Begin, Run, begins
from headstart.unfreeze.schedules.schedule_phases import Phase, checked
from headstart.unfreeze.step_cost import Cost, step_cost, untouched
from headstart.unfreeze.trainable_share import Share, share_of

WIDTH = 120  # characters of a line
MIB = 2**20
CLOSED, PARTLY = "-", "*"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One phase of a plan.

    open: of the parts of which something learns, how much. rates: lowest and highest of each of those, as far as
    they are known. forward, backward: FLOPs of a step over those of a step that trains everything. saved_mib:
    expected for the batch.
    """

    phase: Phase
    begins: Begin
    ends: Begin
    open: Mapping[str, Literal["whole", "partly"]]
    trainable: int
    rates: Mapping[str, tuple[float, float]]
    forward: float
    backward: float
    saved_mib: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The phases of a run; as text it is a table.

    parts: from the input to the head. share: of the whole model, that learns at some time. batch_size: for which
    memory is expected. flops: of one image, forward and backward, everything trained.
    """

    rows: tuple[Row, ...]
    run: Run
    parts: tuple[str, ...]
    share: Share
    batch_size: int
    flops: int

    def __str__(self) -> str:
        return "\n".join([*_phase_lines(self), "", *_rate_lines(self)])


def plan_of(
    module: nn.Module,
    parts: Parts,
    phases: Sequence[Phase],
    *,
    run: Run,
    groups: Iterable[Mapping[str, Any]],
    image: Tensor,
    loss: Callable[[Tensor], Tensor],
    batch_size: int,
    known: dict[frozenset[str], Cost] | None = None,
) -> Plan:
    """The plan of a run; the module is as before when it is made.

    groups: the optimizer's. image: a few images, their numbers do not matter. loss: of the module on them.
    batch_size: the run's. known: the cost of a step by what learns in it, as far as it is known of such a module;
    what is measured is added. Raises UserError where a phase names what the model lacks.
    """
    checked(phases)
    chosen = [parts.selected(phase.open) for phase in phases]
    rates = _rates(module, parts, phases, groups)
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    whole, costs = _costs(module, parts, chosen, lambda: loss(image), {} if known is None else known)
    when = begins(phases, run)
    rows = []
    for index, phase in enumerate(phases):
        names, cost = costs[index]
        rows.append(
            Row(
                phase=phase,
                begins=when[index],
                ends=_end(when[index], when[index + 1] if index + 1 < len(when) else None, run),
                open={
                    part: "whole" if names.issuperset(parts.of(part)) else "partly"
                    for part in parts.names
                    if not names.isdisjoint(parts.of(part))
                },
                trainable=sum(sizes[name] for name in names),
                rates=_range_of_rates(rates[index], names, parts),
                forward=cost.forward_flops / (sum(whole[:2]) or 1),
                backward=cost.backward_flops / (sum(whole[:2]) or 1),
                saved_mib=cost.saved_bytes / len(image) * batch_size / MIB,
            )
        )
    return Plan(
        rows=tuple(rows), run=run, parts=parts.names, share=share_of(module, parts, phases), batch_size=batch_size,
        flops=sum(whole[:2]) // len(image),
    )  # fmt: skip


def _costs(
    module: nn.Module,
    parts: Parts,
    chosen: Sequence[frozenset[str]],
    loss: Callable[[], Tensor],
    found: dict[frozenset[str], Cost],
) -> tuple[Cost, list[tuple[frozenset[str], Cost]]]:
    """What training everything costs, and for each phase what learns in it and what that costs."""
    freezing = Freezing(module, parts.parameters)
    learning = [names & freezing.among for names in chosen]
    unknown = [names for names in dict.fromkeys((freezing.among, *learning)) if names not in found]
    if unknown:
        with untouched(module):
            for names in unknown:
                freezing.open_only(names)
                found[names] = step_cost(module, loss)
                module.zero_grad(set_to_none=True)
            freezing.end()
    return found[freezing.among], [(names, found[names]) for names in learning]


def _rates(
    module: nn.Module, parts: Parts, phases: Sequence[Phase], groups: Iterable[Mapping[str, Any]]
) -> list[dict[str, float]]:
    """The rate of each parameter in each phase: the optimizer's and the phase's own."""
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
    found = []
    for phase in phases:
        if isinstance(phase.lr, Mapping):
            own = {name: float(rate) for text, rate in phase.lr.items() for name in parts.selected([text])}
            found.append(base | own)
        elif phase.lr is not None and head_rate is not None:
            found.append({name: rate * phase.lr / head_rate for name, rate in base.items()})
        else:
            found.append(base)
    return found


def _range_of_rates(
    rates: Mapping[str, float], learning: Collection[str], parts: Parts
) -> dict[str, tuple[float, float]]:
    known = {name: rate for name, rate in rates.items() if name in learning}
    found = {part: [known[name] for name in parts.of(part) if name in known] for part in parts.names}
    return {part: (min(values), max(values)) for part, values in found.items() if values}


def _end(begin: Begin, following: Begin | None, run: Run) -> Begin:
    """When a phase ends: with the next one's beginning or with the run."""
    if begin.earliest is None or following is None:
        return Begin(run.end, run.end)
    return Begin(following.earliest or run.end, following.latest or run.end)


# ---------------------------------------------------------------------- as text


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
                f"{row.trainable:,}",
                _percent(row.trainable / (plan.share.of or 1)),
                _percent(row.forward) if plan.flops else "?",
                _percent(row.backward) if plan.flops else "?",
                f"{row.saved_mib:,.2f}",
            ]
        )
    steps = f"{plan.run.steps:,.0f} steps" if plan.run.end else "no known end"
    return [
        f"run: {steps}, {plan.run.steps_per_epoch:,} an epoch. trainable: of {plan.share.of:,} parameters.",
        str(plan.share),
        f"forward, backward: FLOPs of a step, of one that trains everything ({_flops(plan.flops)} an image).",
        f"MiB: activations kept for the backward pass of a batch of {plan.batch_size}, in float32.",
        *(["2-5: between the two, as the figure goes; 2+: then or later, if at all."] * _is_open_ended(plan)),
        "",
        *_aligned(table, left=5 + waits),
    ]


def _is_open_ended(plan: Plan) -> bool:
    return any(row.begins.earliest != row.begins.latest for row in plan.rows)


def _rate_lines(plan: Plan) -> list[str]:
    partly = any("partly" in row.open.values() for row in plan.rows)
    legend = f"{CLOSED} closed" + (f", {PARTLY} open in part" if partly else "")
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


def _moment(when: Begin) -> tuple[str, ...]:
    """In words, the epoch and the step."""
    first, last = when
    if first is None:
        return "?", "?"
    if last is None:
        return f"{first.epoch}+", f"{first.step}+"
    return tuple(f"{low}" if low == high else f"{low}-{high}" for low, high in zip(first, last, strict=True))


def _reason(phase: Phase) -> str:
    return f"{phase.until.monitor} stalls for {phase.until.patience}" if phase.until else ""


def _rate(row: Row, part: str) -> str:
    if part not in row.open:
        return CLOSED
    low, high = row.rates.get(part, (None, None))
    shown = "?" if low is None or high is None else f"{low:.3g}" if low == high else f"{low:.2g}-{high:.2g}"
    return shown + (PARTLY if row.open[part] == "partly" else "")


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

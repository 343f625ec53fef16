"""Tables of levels over a swept key, and of levels without a curve."""

from __future__ import annotations

from headstart.report.analysis.study_records import Study
from headstart.report.analysis.swept_keys import AxisLine, ReachedLevel, SweptAxis
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import MISSING, difference_text, plus_minus, short_values
from headstart.report.rendering.wording.verdict_words import level_text


def axis_tables(axis: SweptAxis) -> list[ReportTable]:
    """Values by lines, a table for each metric: the mean with its interval, below it the comparison."""
    return [_axis_table(axis, metric) for metric in axis.metrics]


def _axis_table(axis: SweptAxis, metric: str) -> ReportTable:
    rows = []
    texts = short_values([text for _, text in axis.places])
    for (at, _), text in zip(axis.places, texts, strict=True):
        levels = [_level_at(line, at, metric) for line in axis.lines]
        cells = [
            TableCell(MISSING) if level is None else TableCell(plus_minus(level.mean), level_text(level))
            for level in levels
        ]
        rows.append([TableCell(text), *cells])
    is_compared = any(cell.below for row in rows for cell in row)
    below = f"; below, the comparison with {_baselines(axis, metric)} there, paired by seed" if is_compared else ""
    note = f"Mean over seeds ± half of its 95 % interval{below}."
    if metric.startswith("test/") and not is_compared:  # an adaptation's is compared
        note += " Chosen on val, measured once, no part of a verdict."
    return ReportTable(f"{metric} over {axis.key}", [axis.key, *(line.label for line in axis.lines)], rows, note)


def _level_at(line: AxisLine, at: float, metric: str) -> ReachedLevel | None:
    return next((point.levels.get(metric) for point in line.points if point.at == at), None)


def _baselines(axis: SweptAxis, metric: str) -> str:
    """What the levels over an axis are compared with."""
    baseline = next((line.arm for line in axis.lines if line.is_baseline), "")
    levels = [point.levels[metric] for line in axis.lines for point in line.points if metric in point.levels]
    return " or ".join(dict.fromkeys(level.against or baseline for level in levels if level.difference is not None))


def level_table(study: Study) -> ReportTable | None:
    """What each arm of results without a curve reached, setting by setting; None where an axis has them all."""
    if not study.level_arms or study.axes:
        return None
    tags = list(dict.fromkeys(tag for arm in study.level_arms for tag in arm.means))
    common = frozenset(study.common)
    rows = []
    for arm in study.level_arms:
        verdict = MISSING if arm.difference is None else f"{arm.verdict} {difference_text('asymptote', arm.difference)}"
        rows.append(
            [
                TableCell(" ".join([arm.label, *sorted(arm.setting - common)])),
                *(TableCell(plus_minus(arm.means[tag]) if tag in arm.means else MISSING) for tag in tags),
                TableCell(verdict, arm.why),
                TableCell(str(len(arm.seeds))),
            ]
        )
    note = "Mean ± half of the 95 % interval over seeds. Chosen on val; test was measured once."
    head = ["arm", *tags, f"better than {study.levels[0].baseline}", "seeds"]
    return ReportTable("What each arm reached", head, rows, note)

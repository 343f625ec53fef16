"""Sentences that sum up the curves over a swept key."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.report.analysis.swept_keys import AxisLine, SweptAxis
from headstart.report.rendering.wording.number_format import number
from headstart.report.statistics.seed_intervals import Verdict
from headstart.system.metric_direction import lower_is_better

NEAR = 0.02  # of two levels that count as the same


def axis_summary(axis: SweptAxis) -> list[str]:
    """Where each line is better or worse than the baseline; from how few images on it is enough."""
    metric = axis.metrics[0]
    sentences = [sentence for line in axis.lines if (sentence := _compared_line(axis, line, metric))]
    return sentences + (list(_sufficient_counts(axis, metric)) if axis.counts_images else [])


def _compared_line(axis: SweptAxis, line: AxisLine, metric: str) -> str:
    """gradual against scratch: higher at 5, 10; undecided at 20. Empty where nothing is compared."""
    better, worse = ("lower", "higher") if lower_is_better(metric) else ("higher", "lower")
    words = {
        Verdict.YES: better,
        Verdict.NEGATIVE: worse,
        Verdict.NO: "no different",
        Verdict.UNDECIDED: "undecided",
        Verdict.NOT_ANSWERED: "not answered",
    }
    measured = [(point.text, point.levels[metric]) for point in line.points if metric in point.levels]
    parts = []
    for verdict, word in words.items():
        values = [text for text, level in measured if level.verdict is verdict]
        if values:
            parts.append(f"{word} at {', '.join(values)}")
    baseline = axis.baseline_of(line)
    partners = dict.fromkeys(level.against for _, level in measured)
    names = [baseline.label if baseline is not None and name in ("", baseline.arm) else name for name in partners]
    if not parts or not any(names):
        return ""
    return f"{line.label} against {' or '.join(filter(None, names))}: {'; '.join(parts)}."


def _sufficient_counts(axis: SweptAxis, metric: str) -> Iterator[str]:
    """The fewest images with which each line is where its baseline ends."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    for line in axis.lines:
        baseline = axis.baseline_of(line)
        if line.is_baseline or baseline is None or baseline.is_constant or metric not in baseline.points[-1].levels:
            continue
        last = baseline.points[-1]
        level = last.levels[metric].mean.mean
        points = [point for point in line.points if metric in point.levels and point.at < last.at]
        first = next((point for point in points if sign * point.levels[metric].mean.mean >= sign * level), None)
        if first is not None:
            reached = first.levels[metric].mean.mean
            where = "at" if sign * (reached - level) <= NEAR else "above"
            yield (
                f"{line.label} with {axis.key}={first.text} ({number(reached)}) is {where} the level of "
                f"{baseline.label} with {last.text} ({number(level)})."
            )

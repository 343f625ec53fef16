"""One learning curve: its start, its level at the end, its area and when it reached a level."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.report.curves.level_passage import last_window
from headstart.report.stored_runs.study_runs import FinishedRun, LevelsResult
from headstart.system.metric_direction import is_share, lower_is_better

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LearningCurve:
    """The evaluations of one run, by step; all arrays (n,)."""

    step: Floats  # optimizer steps done
    examples: Floats  # training images seen
    epoch: Floats
    wall_s: Floats  # since fitting began; nan where not recorded
    time: Floats  # the learning rate summed over the steps, over its peak: steps at the full rate; else the steps
    level: Floats  # of the metric, its sign turned where lower is better: higher is always better here

    def at(self, positions: NDArray[np.int64], level: Floats) -> LearningCurve:
        """The evaluations at these positions, with these levels."""
        step, examples, epoch, wall_s, time = (
            part[positions] for part in (self.step, self.examples, self.epoch, self.wall_s, self.time)
        )
        return LearningCurve(step, examples, epoch, wall_s, time, level)


def one_image(runs: Iterable[FinishedRun | LevelsResult], metric: str, split: str) -> float:
    """What one image of a split is worth in a metric; 0 if the metric is no share or the size unknown."""
    sizes = [(run.result.get("sizes") or {}).get(split) for run in runs]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return 1 / min(known) if known and is_share(metric) else 0.0


def curve_of(run: FinishedRun, metric: str) -> LearningCurve:
    """The learning curve of a metric; empty where the run never measured it.

    Examples and wall seconds that metrics.csv lacks come from the evaluations of result.json, and the sum of the
    learning rate, which no other place has.
    """
    entries = run.result.get("evaluations")
    evaluated = [e for e in entries if isinstance(e, dict) and "step" in e] if isinstance(entries, list) else []
    evaluations = {int(e["step"]): e for e in evaluated}
    sign = -1.0 if lower_is_better(metric) else 1.0
    peak = run.result.get("peak_learning_rate")
    peak = float(peak) if isinstance(peak, int | float) and peak > 0 else math.nan
    rows = [
        (
            float(step),
            _either("examples", row, evaluations.get(step, {})),
            _either("epoch", row, evaluations.get(step, {})),
            _either("wall_s", {}, evaluations.get(step, {})),
            _either("learning_rate_sum", {}, evaluations.get(step, {})) / peak,
            sign * row[metric],
        )
        for step, row in run.rows.items()
        if metric in row
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    if not np.isfinite(columns[4]).all():
        columns[4] = columns[0]
    return LearningCurve(*columns)


def start(curve: LearningCurve) -> float:
    """The level before the first optimizer step (the jumpstart is a difference of two); nan if not measured.

    Taylor & Stone 2009, Transfer learning for reinforcement learning domains, JMLR 10.
    """
    return float(curve.level[0]) if len(curve.step) and curve.step[0] == 0 else math.nan


def after_first_epoch(curve: LearningCurve) -> float:
    """The level at the first evaluation after training began: a small budget, the same for all modes."""
    trained = curve.level[curve.step > 0]
    return float(trained[0]) if len(trained) else math.nan


def asymptote(curve: LearningCurve) -> float:
    """The mean level of the last 10 % of the evaluations, of at least 3; nan where training gave fewer.

    It is the level at the end of the budget: a curve that still rises there has not reached a limit.
    """
    at = ending(curve)
    return float(curve.level[at].mean()) if len(at) else math.nan


def ending(curve: LearningCurve) -> NDArray[np.int64]:
    """The positions of the evaluations whose mean is the level at the end; none where training gave too few."""
    trained = np.flatnonzero(curve.step > 0)
    count = last_window(len(curve.level))
    return trained[-count:] if len(trained) >= count else trained[:0]


def area(x: Floats, level: Floats, until: float) -> float:
    """The mean level from the curve's beginning until x = `until`: trapezoids over the length of the range.

    x (n,) ascending, level (n,). nan where the range is empty or the curve ends before.
    """
    weights = area_weights(x, until)
    return float(weights @ level) if len(weights) else math.nan


def area_weights(x: Floats, until: float) -> Floats:
    """What each evaluation counts in the area (n,), so that the area is a mean of levels; empty where it is none."""
    if len(x) < 2 or not x[0] < until <= x[-1]:
        return np.empty(0)
    weights = np.zeros(len(x))
    for i in range(len(x) - 1):
        left, right = x[i], min(x[i + 1], until)
        if right <= left:
            break
        share = (right - left) / (x[i + 1] - x[i])  # of this gap that lies before `until`
        weights[i] += (right - left) * (1 - share / 2)
        weights[i + 1] += (right - left) * share / 2
    normalised: Floats = weights / (until - x[0])
    return normalised


def first_reaching(curve: LearningCurve, threshold: float) -> int | None:
    """The index of the first evaluation at or above a level; None where it is never reached (censored)."""
    reached = np.flatnonzero(curve.level >= threshold)
    return int(reached[0]) if len(reached) else None


def _either(key: str, row: dict[str, float], evaluation: dict[str, object]) -> float:
    value = row.get(key, evaluation.get(key))
    return float(value) if isinstance(value, int | float) else math.nan

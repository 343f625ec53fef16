"""What does one learning curve say: start, slope, asymptote, area, time to a level?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from headstart.report.fit import Floats
from headstart.report.runs import Levels, Run

LAST_SHARE = 0.1  # of the evaluations, whose mean is the asymptote
LEAST_LAST = 3  # evaluations: one alone is noise


@dataclass(frozen=True)
class Curve:
    """The evaluations of one run, by step; all arrays (n,)."""

    step: Floats  # optimizer steps done
    examples: Floats  # training images seen
    epoch: Floats
    wall_s: Floats  # since fitting began; nan where not recorded
    level: Floats  # of the metric, its sign turned where lower is better: higher is always better here


def lower_is_better(metric: str) -> bool:
    """Whether a metric is a loss or an error by its name: val/loss, val/calibration_error."""
    return any(word in metric.rsplit("/", 1)[-1] for word in ("loss", "error", "perplexity"))


def is_share(metric: str) -> bool:
    """Whether a metric is a share of the images (accuracy, F1, ...), so that one image is worth about 1/n."""
    return metric.rsplit("/", 1)[-1] == "map" or any(
        word in metric.rsplit("/", 1)[-1] for word in ("accuracy", "f1", "precision", "recall")
    )


def one_image(runs: Iterable[Run | Levels], metric: str, split: str) -> float:
    """What one image of a split is worth in a metric; 0 if the metric is no share or the size unknown."""
    sizes = [(run.result.get("sizes") or {}).get(split) for run in runs]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return 1 / min(known) if known and is_share(metric) else 0.0


def curve_of(run: Run, metric: str) -> Curve:
    """The learning curve of a metric; empty where the run never measured it.

    Examples and wall seconds that metrics.csv lacks come from the evaluations of result.json.
    """
    listed = run.result.get("evaluations")
    known = [e for e in listed if isinstance(e, dict) and "step" in e] if isinstance(listed, list) else []
    evaluations = {int(e["step"]): e for e in known}
    sign = -1.0 if lower_is_better(metric) else 1.0
    rows = [
        (
            float(step),
            _either("examples", row, evaluations.get(step, {})),
            _either("epoch", row, evaluations.get(step, {})),
            _either("wall_s", {}, evaluations.get(step, {})),
            sign * row[metric],
        )
        for step, row in run.rows.items()
        if metric in row
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return Curve(*columns)


def start(curve: Curve) -> float:
    """The level before the first optimizer step (the jumpstart is a difference of two); nan if not measured.

    Taylor & Stone 2009, Transfer learning for reinforcement learning domains, JMLR 10.
    """
    return float(curve.level[0]) if len(curve.step) and curve.step[0] == 0 else math.nan


def after_first_epoch(curve: Curve) -> float:
    """The level at the first evaluation after training began: a small budget, the same for all modes."""
    trained = curve.level[curve.step > 0]
    return float(trained[0]) if len(trained) else math.nan


def asymptote(curve: Curve) -> float:
    """The mean level of the last 10 % of the evaluations, of at least 3; nan where training gave fewer.

    It is the level at the end of the budget: a curve that still rises there has not reached a limit.
    """
    trained = curve.level[curve.step > 0]
    count = max(LEAST_LAST, round(LAST_SHARE * len(curve.level)))
    return float(trained[-count:].mean()) if len(trained) >= count else math.nan


def area(x: Floats, level: Floats, until: float) -> float:
    """The mean level from the curve's beginning until x = `until`: trapezoids over the length of the range.

    x (n,) ascending, level (n,). nan where the range is empty or the curve ends before.
    """
    if len(x) < 2 or until <= x[0] or until > x[-1]:
        return math.nan
    inside = x < until
    xs = np.append(x[inside], until)
    ys = np.append(level[inside], np.interp(until, x, level))
    return float(np.sum((ys[1:] + ys[:-1]) / 2 * np.diff(xs)) / (until - x[0]))  # np.trapezoid needs numpy 2


def first_reaching(curve: Curve, threshold: float) -> int | None:
    """The index of the first evaluation at or above a level; None where it is never reached (censored)."""
    reached = np.flatnonzero(curve.level >= threshold)
    return int(reached[0]) if len(reached) else None


def _either(key: str, row: dict[str, float], evaluation: dict[str, object]) -> float:
    value = row.get(key, evaluation.get(key))
    return float(value) if isinstance(value, int | float) else math.nan

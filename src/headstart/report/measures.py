"""Which numbers describe the runs that are compared?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.report import curves
from headstart.report.curves import Curve
from headstart.report.fit import Fit, exponential_fit
from headstart.report.runs import Run

RATE_ERROR = 0.5  # of ln rate: above, the data allow a factor of e in either direction, which is no rate


@dataclass(frozen=True)
class Measure:
    """A number of each run, and how two of them are compared."""

    key: str
    title: str
    axis: str  # what it is counted by: "", step or examples
    compared: str  # difference, ratio (of ln), relative (difference over the baseline's)
    what: str

    @property
    def is_slope(self) -> bool:
        return self.key.startswith("slope")

    @property
    def scale(self) -> float:
        """What a person reads it by: rates and slopes by examples are shown for a thousand of them."""
        return 1000.0 if self.axis == "examples" and (self.is_slope or self.compared == "ratio") else 1.0


MEASURES = (
    Measure("start", "Start", "", "difference", "before the first optimizer step"),
    Measure(
        "start_class_means",
        "Start, head in closed form",
        "",
        "difference",
        "head set to the features' class means",
    ),
    Measure("first_epoch", "After the first epoch", "", "difference", "a small, fixed budget"),
    Measure("rate_step", "Rate", "step", "ratio", "c of a − b·exp(−c·t)"),
    Measure("slope_step", "Initial slope", "step", "difference", "b·c, level per optimizer step"),
    Measure("asymptote", "Asymptote", "", "difference", "mean of the last 10 % of evaluations"),
    Measure("area_step", "Area under the curve", "step", "difference", "mean level, common range"),
    Measure("transfer_ratio_step", "Transfer ratio", "step", "relative", "area over the baseline's, less 1"),
    Measure("rate_examples", "Rate", "examples", "ratio", "c of a − b·exp(−c·t)"),
    Measure("slope_examples", "Initial slope", "examples", "difference", "b·c, level per 1,000 images"),
    Measure(
        "area_examples",
        "Area under the curve",
        "examples",
        "difference",
        "mean level, common range",
    ),
    Measure(
        "transfer_ratio_examples",
        "Transfer ratio",
        "examples",
        "relative",
        "area over the baseline's, less 1",
    ),
)


@dataclass(frozen=True)
class Measured:
    """A run, its curve and its numbers by the key of the measure."""

    run: Run
    curve: Curve
    fits: dict[str, Fit]  # by axis
    values: dict[str, float]  # nan where not measured; rates as they are, not as logarithms


@dataclass(frozen=True)
class Reach:
    """When a run first came to a level; None where it never did (censored, never dropped)."""

    seed: int
    step: float | None
    examples: float | None
    wall_s: float | None


def measured(runs: Sequence[Run], metric: str, resolution: float) -> list[Measured]:
    """The numbers of runs that are looked at together; areas run over the range that all of them cover."""
    found = [(run, curves.curve_of(run, metric)) for run in runs]
    full = [curve for _, curve in found if len(curve.step)]
    until_step = min((float(c.step[-1]) for c in full), default=math.nan)
    until_examples = min((float(c.examples[-1]) for c in full), default=math.nan)
    return [_measured(run, curve, metric, resolution, until_step, until_examples) for run, curve in found]


def _measured(
    run: Run, curve: Curve, metric: str, resolution: float, until_step: float, until_examples: float
) -> Measured:
    by_step = exponential_fit(curve.step, curve.level, resolution=resolution)
    by_examples = _rescaled(by_step, curve)
    closed_form = run.result.get("start_class_means") if metric == run.monitor else None
    values = {
        "start": curves.start(curve),
        "start_class_means": float(closed_form) if isinstance(closed_form, int | float) else math.nan,
        "first_epoch": curves.after_first_epoch(curve),
        "rate_step": by_step.rate if by_step.rise > 0 else math.nan,
        "slope_step": by_step.slope,
        "asymptote": curves.asymptote(curve),
        "area_step": curves.area(curve.step, curve.level, until_step),
        "rate_examples": by_examples.rate if by_examples.rise > 0 else math.nan,
        "slope_examples": by_examples.slope,
        "area_examples": curves.area(curve.examples, curve.level, until_examples),
    }
    return Measured(run, curve, {"step": by_step, "examples": by_examples}, values)


def _rescaled(fit: Fit, curve: Curve) -> Fit:
    """The fit by examples: that by step in other units, as every step of a run sees equally many images.

    A last, smaller batch of an epoch changes nothing at the evaluations, which lie between epochs.
    """
    if not len(curve.step) or not curve.examples[-1] > curve.examples[0]:
        return fit._replace(rate=math.nan, error=math.inf)
    examples_a_step = float((curve.examples[-1] - curve.examples[0]) / (curve.step[-1] - curve.step[0]))
    return fit._replace(rate=fit.rate / examples_a_step)


def rate_is_determined(runs: Sequence[Measured]) -> bool:
    """Whether an arm's curves say how fast they rise: the median standard error of ln rate is below 0.5.

    The median, so that one odd run neither makes nor breaks it; no run is left out for its own error, because
    leaving out by the outcome would bias what remains.
    """
    return bool(runs) and statistics.median(m.fits["step"].error for m in runs) < RATE_ERROR


def why_no_rate(label: str, runs: Sequence[Measured]) -> str:
    """Why an arm's rate is not determined."""
    fits = [m.fits["step"] for m in runs]
    if any(math.isnan(fit.rmse) for fit in fits):
        return f"{label}: fewer than 4 evaluations, or not all of them numbers"
    if sum(fit.rise <= 0 for fit in fits) * 2 >= len(fits):
        return f"{label}: its curve does not rise"
    return f"{label}: its curve is too flat, too straight or too fast for a rate"


def reached(one: Measured, threshold: float) -> Reach:
    """When a run first reached a level: its optimizer step, examples and wall seconds since fitting began."""
    i = curves.first_reaching(one.curve, threshold)
    if i is None:
        return Reach(one.run.seed, None, None, None)
    step, examples, wall = (float(x[i]) for x in (one.curve.step, one.curve.examples, one.curve.wall_s))
    return Reach(one.run.seed, step, *(value if math.isfinite(value) else None for value in (examples, wall)))


def median_reached(values: Sequence[float | None]) -> float | None:
    """The median where None is later than everything; None where it falls on such a run."""
    if not values:
        return None
    middle = statistics.median_high(math.inf if value is None else value for value in values)
    low = statistics.median_low(math.inf if value is None else value for value in values)
    return (low + middle) / 2 if math.isfinite(middle) else None

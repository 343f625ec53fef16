"""Numbers, differences and intervals of a report as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.analysis.run_measures import MEASURES, Measure
from headstart.report.statistics.seed_intervals import Interval, exp

MISSING = "–"
LONG = 8  # letters of a number that is shortened
SLOPE = Measure("slope", "Speed through the levels that both pass", "", "ratio", "in steps at the full learning rate")
_MEASURES_BY_KEY = {measure.key: measure for measure in (*MEASURES, SLOPE)}


def number(value: float, decimals: int = 3) -> str:
    """A value with this many decimals; – where it is not finite."""
    return MISSING if not math.isfinite(value) else f"{value:z,.{decimals}f}".replace("-", "−")  # z: no −0.000


def optional_number(value: object, decimals: int = 3) -> str:
    """The same of an entry of result.json, which may be absent or no number."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return MISSING
    return f"{value:,.{decimals}f}".replace("-", "−")


def signed(value: float, decimals: int = 3) -> str:
    """A difference with its sign."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.") else text  # no +0.000 either


def interval_text(interval: Interval, *, sign: float = 1.0) -> str:
    """mean [low, high], or the mean alone where there is no interval."""
    low, high = sorted((sign * interval.low, sign * interval.high))
    limits = f" [{number(low)}, {number(high)}]" if interval.known else ""
    return f"{number(sign * interval.mean)}{limits}"


def plus_minus(interval: Interval) -> str:
    """0.941 ± 0.009."""
    half_width = max(interval.mean - interval.low, interval.high - interval.mean)  # one end may be cut, at 0 or 1
    return number(interval.mean) + (f" ± {number(half_width)}" if interval.known else "")


def difference_text(measure: str | Measure, difference: Interval) -> str:
    """A difference with its interval: +0.31 [+0.27, +0.35], or for the slope 1.8× [1.2, 2.7]; – where there is none."""
    if not isinstance(measure, Measure):
        measure = _MEASURES_BY_KEY[measure]
    if not math.isfinite(difference.mean):
        return MISSING
    if measure.compared == "ratio":
        mean, low, high = (number(exp(x), 2) for x in difference[:3])
        return f"{mean}×" + (f" [{low}, {high}]" if difference.known else "")
    if measure.compared == "relative":
        mean, low, high = (f"{signed(100 * x, 1)} %" for x in difference[:3])
    else:
        mean, low, high = (signed(x) for x in difference[:3])
    return mean + (f" [{low}, {high}]" if difference.known else "")


def p_text(p: float) -> str:
    """p = 0.012; p < 0.001; no test."""
    return "no test" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def short_values(texts: Sequence[str]) -> list[str]:
    """Values of a setting with four digits where they are longer numbers, as a search draws them.

    As they are where two of them would look alike.

    Args:
        texts: As overrides have them.
    """
    shortened = [_short(text) for text in texts]
    return shortened if len(set(shortened)) == len(set(texts)) else list(texts)


def _short(text: str) -> str:
    try:
        return f"{float(text):.4g}" if len(text) > LONG else text
    except ValueError:
        return text

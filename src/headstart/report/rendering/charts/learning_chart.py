"""Charts of learning curves: each arm's mean and band over its runs."""

from __future__ import annotations

import numpy as np

from headstart.report.analysis.study_records import ArmSummary, Study, StudySection
from headstart.report.curves.learning_curve import Floats
from headstart.report.rendering.charts.axis_ticks import ticks
from headstart.report.rendering.charts.chart_layout import Chart, ChartScale, ChartSeries, ChartThreshold, chart_of
from headstart.report.statistics.seed_intervals import of_share, t_interval
from headstart.system.metric_direction import lower_is_better

_TITLES = {"step": "optimizer steps", "examples": "training images seen"}


def learning_charts(section: StudySection, study: Study, colours: dict[str, int]) -> list[Chart]:
    """The section's chart by optimizer step and, where it is known, by examples."""
    charts = [_chart(section, study, axis, colours) for axis in _TITLES]
    return [chart for chart in charts if chart is not None]


def _chart(section: StudySection, study: Study, axis: str, colours: dict[str, int]) -> Chart | None:
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    series = [
        _series(arm.label, colours[arm.label], sign, mean_and_band(arm, axis, study.resolution))
        for arm in section.all_arms
    ]
    series = [line for line in series if len(line.x)]
    if not series:
        return None
    right = max(float(line.x[-1]) for line in series) or 1.0
    marks = [(100 * value / right, f"{value:,.0f}") for value in ticks(0, right, 6) if value <= right * 1.001]
    baseline = f"level at the end of {section.baseline.label}" if section.baseline else ""
    return chart_of(
        series,
        ChartScale(axis, _TITLES[axis], lambda value: 100 * value / right, marks),
        metric=study.metric,
        is_share=study.resolution > 0,
        threshold=ChartThreshold(sign * section.threshold, baseline),
    )


def _series(label: str, colour: int, sign: float, band: tuple[Floats, Floats, Floats, Floats]) -> ChartSeries:
    x, mean, low, high = band
    if sign < 0:  # the ends change places
        low, high = high, low
    return ChartSeries(label, colour, x, sign * mean, sign * low, sign * high)


def mean_and_band(arm: ArmSummary, axis: str, resolution: float) -> tuple[Floats, Floats, Floats, Floats]:
    """x, mean, low, high (n,) over an arm's runs, at each x at which one of them was evaluated.

    The range is that which all runs cover. Diverged runs are left out where others did not diverge: their curves are
    cut. Between a run's evaluations its curve is a straight line.

    Args:
        arm: The arm.
        axis: What x counts: step or examples.
        resolution: What one image is worth (`t_interval`).
    """
    runs = [measured for measured in arm.runs if not measured.run.has_diverged] or arm.runs
    curves = [(getattr(measured.curve, axis), measured.curve.level) for measured in runs]
    curves = [(x, y) for x, y in curves if len(x) > 1 and np.isfinite(x).all() and np.isfinite(y).all()]
    if not curves:
        return (np.empty(0),) * 4
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= first) & (grid <= last)]
    levels = np.array([np.interp(grid, x, y) for x, y in curves])
    bands = [t_interval(levels[:, i].tolist(), resolution=resolution) for i in range(len(grid))]
    if resolution > 0:  # the metric is a share
        bands = [of_share(band) for band in bands]
    mean, low, high = (np.array([band[i] for band in bands]) for i in range(3))
    return grid, mean, low, high

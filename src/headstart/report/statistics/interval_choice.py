"""Intervals of a study's numbers: over seeds, over seeds and images, or over folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from headstart.report.analysis.run_measures import END, TEST, ImageShares, Measure, MeasuredRun
from headstart.report.curves.arm_speed import Pair
from headstart.report.curves.learning_curve import one_image
from headstart.report.statistics.crossed_intervals import (
    Contributions,
    VarianceComponents,
    crossed_interval,
    crossed_parts,
    parts_over_seeds,
)
from headstart.report.statistics.fold_intervals import fold_interval
from headstart.report.statistics.seed_intervals import Interval, t_interval
from headstart.report.stored_runs.study_runs import FinishedRun, Replicate


def paired(base: Sequence[MeasuredRun], arm: Sequence[MeasuredRun]) -> tuple[list[Pair], tuple[Replicate, ...]]:
    """(baseline, arm) of each seed and fold that both have, and those that only one has.

    Args:
        base: The baseline's runs.
        arm: The arm's runs.
    """
    by_baseline, by_arm = {m.replicate: m for m in base}, {m.replicate: m for m in arm}
    shared = [replicate for replicate in by_arm if replicate in by_baseline]
    alone = tuple(key for key in (*by_arm, *by_baseline) if (key in by_arm) != (key in by_baseline))
    return [(by_baseline[key], by_arm[key]) for key in shared], alone


def mean_of(key: str, runs: Sequence[MeasuredRun], metric: str) -> Interval:
    """An arm's mean and its interval.

    Args:
        key: Of the runs' measures.
        runs: The arm's runs.
        metric: Name of the metric, without its split.
    """
    values = [m.values.get(key, math.nan) for m in runs]
    return interval_over(values, [m.by_image.get(key) for m in runs], [m.run for m in runs], metric, _split(key))


def difference_of(measure: Measure, pairs: Sequence[Pair], metric: str) -> Interval:
    """Arm minus baseline over the pairs, over the baseline's for ratios.

    Args:
        measure: What is compared.
        pairs: (baseline, arm) of each seed and fold.
        metric: Name of the metric, without its split.
    """
    key = measure.key
    if measure.compared == "relative":
        area = key.replace("transfer_ratio", "area")
        scales = [1 / abs(level) if (level := s.values.get(area, math.nan)) else math.nan for s, _ in pairs]
        key = area
    else:
        scales = [1.0] * len(pairs)
    values = [
        c * (t.values.get(key, math.nan) - s.values.get(key, math.nan)) for c, (s, t) in zip(scales, pairs, strict=True)
    ]
    parts = [
        _scaled(apart(s.by_image.get(key), t.by_image.get(key)), c) for c, (s, t) in zip(scales, pairs, strict=True)
    ]
    known = [c for c in scales if math.isfinite(c)]
    scale = sum(known) / len(known) if known else 1.0
    return interval_over(
        values, parts, [m.run for pair in pairs for m in pair], metric, _split(measure.key), scale=scale
    )


def interval_over(
    values: Sequence[float],
    parts: Sequence[ImageShares | None],
    runs: Sequence[FinishedRun],
    metric: str,
    split: str,
    *,
    scale: float = 1.0,
) -> Interval:
    """The interval of a mean: over seeds and images where each value has its images; over folds; else over seeds.

    Args:
        values: One a run.
        parts: What each image contributes to each value; None where it is not known.
        runs: What the values are of.
        metric: Name of the metric, without its split.
        split: Whose images they are.
        scale: What a difference was divided by.
    """
    resolution = scale * one_image(runs, f"{split}/{metric.partition('/')[2]}", split)
    crossed = None
    if all(part is not None for part in parts) and len(parts) > 1:
        crossed = crossed_interval([Contributions(*part) for part in parts if part is not None], resolution=resolution)
    if any(run.fold is not None for run in runs):
        over_folds = fold_interval(values, val_over_train=_val_over_train(runs), resolution=resolution)
        intervals = [interval for interval in (over_folds, crossed) if interval is not None and interval.known]
        return max(intervals, key=lambda interval: interval.high - interval.low, default=over_folds)
    return t_interval(values, resolution=resolution) if crossed is None else crossed


def components(parts: Sequence[ImageShares | None], values: Sequence[float]) -> VarianceComponents:
    if parts and all(part is not None for part in parts):
        return crossed_parts([Contributions(*part) for part in parts if part is not None])
    return parts_over_seeds(values)


def apart(baseline: ImageShares | None, arm: ImageShares | None) -> ImageShares | None:
    """What each image contributes to a difference; None where the two are not of the same images.

    Args:
        baseline: What it contributes to the baseline's metric.
        arm: What it contributes to the arm's.
    """
    if baseline is None or arm is None or len(baseline.image) != len(arm.image):
        return None
    if not np.array_equal(baseline.image, arm.image):
        order, arm_order = np.argsort(baseline.image, kind="stable"), np.argsort(arm.image, kind="stable")
        baseline, arm = (
            ImageShares(baseline.image[order], baseline.value[order]),
            ImageShares(arm.image[arm_order], arm.value[arm_order]),
        )
        if not np.array_equal(baseline.image, arm.image):
            return None
    return ImageShares(arm.image, arm.value - baseline.value)


def _scaled(part: ImageShares | None, factor: float) -> ImageShares | None:
    return None if part is None else ImageShares(part.image, factor * part.value)


def over_what(pairs: Sequence[Pair], by_test: str) -> str:
    """What the intervals of a comparison are over, in words.

    Args:
        pairs: (baseline, arm) of each seed and fold.
        by_test: Name of the metric on test.
    """
    key = TEST if by_test else END
    if any(run.replicate.fold is not None for pair in pairs for run in pair):
        return "folds"
    parts = [apart(s.by_image.get(key), t.by_image.get(key)) for s, t in pairs]
    return "seeds and images" if components(parts, []).shared > 0 else "seeds"


def _val_over_train(runs: Sequence[FinishedRun]) -> float:
    """Val images over those that are left to train on: 1 / (folds - 1), however few of them are shots."""
    folds = [folds for run in runs if isinstance(folds := run.settings.get("target.folds"), int) and folds > 1]
    return 1 / (min(folds, default=5) - 1)


def _split(key: str) -> str:
    return "test" if key == TEST else "val"


def mean(values: Iterable[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan

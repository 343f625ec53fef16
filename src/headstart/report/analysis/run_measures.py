"""Numbers that describe the runs that are compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.report.curves import learning_curve
from headstart.report.curves.learning_curve import Floats, LearningCurve
from headstart.report.stored_runs.stored_predictions import ImageContributions, StoredPredictions, answers_in
from headstart.report.stored_runs.study_runs import FinishedRun, Replicate
from headstart.system.metric_direction import is_share, lower_is_better

FEWEST_UNSEEN = 30  # val images that no trial saw: below, they say too little of a curve
LEAST_UNSEEN = 0.5  # of the val images: below, the level at the end is judged by test


@dataclass(frozen=True)
class Measure:
    """A number of each run, and how two of them are compared."""

    key: str
    title: str
    axis: str  # what it is counted by: "", step or examples
    compared: str  # difference, or relative (difference over the baseline's)
    what: str


START, END, TEST = "start_class_means", "asymptote", "test"  # the keys of what verdicts are about
RISING = "rising"  # the level at the end less that of as many evaluations before; no measure of its own
MEASURES = (
    Measure(START, "Start, head in closed form", "", "difference", "before the first step, like for like"),
    Measure("start", "Start, head as it began", "", "difference", "before the first step; in no verdict"),
    Measure("first_epoch", "After the first epoch", "", "difference", "a small, fixed budget"),
    Measure(END, "Level at the end of the budget", "", "difference", "mean of the last 10 % of evaluations"),
    Measure(TEST, "Best checkpoint on test", "", "difference", "chosen on val, measured once"),
    Measure("area_step", "Area under the curve", "step", "difference", "mean level, common range"),
    Measure("transfer_ratio_step", "Transfer ratio", "step", "relative", "area over the baseline's, less 1"),
    Measure("area_examples", "Area under the curve", "examples", "difference", "mean level, common range"),
    Measure("transfer_ratio_examples", "Transfer ratio", "examples", "relative", "area over the baseline's, less 1"),
)


class ImageShares(NamedTuple):
    """What each image, or group of images, contributed to one number, which is their mean."""

    image: NDArray[np.uint64]  # (M,)
    value: Floats  # (M,)


class TestAnswers(NamedTuple):
    """Which of the test images, each of one class, were predicted right."""

    image: NDArray[np.uint64]  # (N,)
    label: NDArray[np.int32]  # (N,) classes
    right: NDArray[np.bool_]  # (N,)


@dataclass(frozen=True)
class MeasuredRun:
    """A run, its curve and its numbers by the key of the measure; higher is better in all of them."""

    run: FinishedRun
    curve: LearningCurve
    values: dict[str, float]  # nan where not measured
    by_image: dict[str, ImageShares] = field(default_factory=dict)  # the same numbers, where the run kept its answers
    rows: ImageContributions | None = None  # of all evaluations of the curve
    seen: str = ""  # why the level at the end is that of test: the trials saw these val images
    has_curve: bool = True  # whether enough val images are left for a curve that no trial saw
    tested: TestAnswers | None = None  # None: its folder does not say it

    @property
    def has_predictions(self) -> bool:
        """Whether its folder says what each image contributed to one of its metrics."""
        return bool(self.by_image) or self.run.has_diverged

    @property
    def replicate(self) -> Replicate:
        return self.run.replicate


@dataclass(frozen=True)
class Reach:
    """When a run first came to a level; None where it never did (censored, never dropped)."""

    seed: int
    step: float | None
    examples: float | None
    wall_s: float | None


def measured(runs: Sequence[FinishedRun], metric: str) -> list[MeasuredRun]:
    """The numbers of runs that are looked at together; areas run over the range that all of them cover.

    A run whose trials saw a part of its val images is measured on the others, but for its start, which no trial had a
    part in; where these are fewer than half, its level at the end is to be judged by test. A diverged run, whose curve
    is cut, ends at chance (a share), or at the worst level that any of the runs had (a loss), and that is the mean
    level of its areas too.
    """
    material = [_of_run(run, metric) for run in runs]
    full = [curve for curve, *_ in material if len(curve.step)]
    whole = [
        parts.curve for run, parts in zip(runs, material, strict=True) if len(parts.curve.step) and not run.has_diverged
    ]
    until = {
        axis: min((float(getattr(curve, axis)[-1]) for curve in whole or full), default=math.nan)
        for axis in ("step", "examples")
    }
    levels = np.concatenate([curve.level for curve in full]) if full else np.empty(0)
    worst = float(np.nanmin(levels[np.isfinite(levels)], initial=math.inf)) if len(levels) else math.nan
    return [_measured(run, metric, parts, until, worst) for run, parts in zip(runs, material, strict=True)]


class _RunMaterial(NamedTuple):
    curve: LearningCurve
    answers: StoredPredictions | None  # of all val images
    judged: StoredPredictions | None  # of those that no trial saw
    rows: ImageContributions | None  # of these
    seen: str
    has_curve: bool


def _of_run(run: FinishedRun, metric: str) -> _RunMaterial:
    curve = learning_curve.curve_of(run, metric)
    answers = answers_in(run.folder, "val") if metric.startswith("val/") else None
    if answers is None:  # of a tuned run the trials may have seen everything
        tried = bool(run.tuned)
        seen = "the trials may have seen these val images" if tried else ""
        return _RunMaterial(curve, None, None, None, seen, has_curve=not tried)
    judged, seen = answers, ""
    if answers.seen_by_trials is None and (run.tuned or {}).get("tried"):
        return _RunMaterial(curve, answers, None, None, "the trials may have seen these val images", has_curve=False)
    if answers.seen_by_trials is not None and answers.seen_by_trials.any():
        judged = answers.unseen()
        left, of = len(judged.image), len(answers.image)
        seen = f"the trials saw {of - left} of {of} val images" if left < LEAST_UNSEEN * of else ""
        if left < FEWEST_UNSEEN:
            return _RunMaterial(curve, answers, None, None, seen or "few val images are left", has_curve=False)
    rows = judged.rows(metric.partition("/")[2])
    if rows is None:
        return _RunMaterial(curve, answers, judged, None, seen, has_curve=judged is answers)
    rows = replace(rows, value=_sign(metric) * rows.value)
    if judged is not answers:  # the curve on the images that no trial saw
        at = {int(step): i for i, step in enumerate(judged.step)}
        places = [i for i, step in enumerate(curve.step) if int(step) in at]
        levels = np.array([rows.value[at[int(curve.step[i])]].mean() for i in places])
        curve = curve.at(np.array(places, dtype=np.int64), levels)
    return _RunMaterial(curve, answers, judged, rows, seen, has_curve=True)


def _measured(run: FinishedRun, metric: str, parts: _RunMaterial, until: dict[str, float], worst: float) -> MeasuredRun:
    curve, answers, judged, rows, seen, has_curve = parts
    weights = {key: w for key, w in _weights(curve, until).items() if len(w)}
    values = {key: float(w @ curve.level) for key, w in weights.items()}
    by_image: dict[str, ImageShares] = {}
    if rows is not None and judged is not None:
        at = {int(step): i for i, step in enumerate(judged.step)}
        for key, w in weights.items():
            used = np.flatnonzero(w)
            if all(int(curve.step[i]) in at for i in used):
                value = sum(w[i] * rows.value[at[int(curve.step[i])]] for i in used)
                by_image[key] = ImageShares(rows.image, np.asarray(value))
    name, sign = metric.partition("/")[2], _sign(metric)
    values[START] = sign * _closed_form(run, metric)
    start = None if answers is None else answers.closed_form_rows(name)
    if start is not None and math.isfinite(values[START]):
        by_image[START] = ImageShares(start.image, sign * start.value[0])
        values[START] = float(by_image[START].value.mean())
    values[TEST] = sign * run.final_metric(f"test/{name}")
    test_predictions = answers_in(run.folder, "test")
    test_rows = None if test_predictions is None or not len(test_predictions.step) else test_predictions.rows(name)
    if test_rows is not None and math.isfinite(values[TEST]):
        by_image[TEST] = ImageShares(test_rows.image, sign * test_rows.value[-1])
    if run.has_diverged:
        values[RISING] = math.nan
        floor = _diverged_level(run, metric, worst)
        for key in (END, TEST, "area_step", "area_examples"):
            values[key] = floor
            by_image.pop(key, None)
    tested = None if run.has_diverged or test_predictions is None else _tested(test_predictions)
    complete = rows is not None and judged is not None and len(judged.step) == len(curve.step)
    return MeasuredRun(run, curve, values, by_image, rows if complete else None, seen, has_curve, tested)


def _tested(answers: StoredPredictions) -> TestAnswers | None:
    """The test answers of images that have one class each."""
    if answers.predicted is None or answers.label.ndim != 1 or not len(answers.predicted):
        return None
    return TestAnswers(answers.image, answers.label.astype(np.int32), answers.predicted[-1] == answers.label)


def _weights(curve: LearningCurve, until: dict[str, float]) -> dict[str, Floats]:
    """What each evaluation counts in each number that is a mean of levels (E,); empty where it was not measured."""
    n = len(curve.step)
    unit = np.eye(n)
    trained = np.flatnonzero(curve.step > 0)
    ending = learning_curve.ending(curve)
    before = trained[-2 * len(ending) : -len(ending)] if 0 < 2 * len(ending) <= len(trained) else trained[:0]
    return {
        "start": unit[0] if n and curve.step[0] == 0 else np.empty(0),
        "first_epoch": unit[trained[0]] if len(trained) else np.empty(0),
        END: unit[ending].mean(axis=0) if len(ending) else np.empty(0),
        RISING: unit[ending].mean(axis=0) - unit[before].mean(axis=0) if len(before) else np.empty(0),
        "area_step": learning_curve.area_weights(curve.step, until["step"]),
        "area_examples": learning_curve.area_weights(curve.examples, until["examples"]),
    }


def _closed_form(run: FinishedRun, metric: str) -> float:
    """The start with the head in closed form, of the metric that it is measured in; nan where it was not."""
    level = run.result.get("start_class_means") if metric == run.monitor else None
    return float(level) if isinstance(level, int | float) else math.nan


def _diverged_level(run: FinishedRun, metric: str, worst: float) -> float:
    """The level that a diverged run counts with."""
    if not is_share(metric):
        return worst
    classes = run.result.get("num_classes")
    accuracy = metric.rpartition("/")[2] in ("accuracy", "balanced_accuracy")
    return 1 / classes if accuracy and isinstance(classes, int) and classes > 0 else 0.0


def _sign(metric: str) -> float:
    return -1.0 if lower_is_better(metric) else 1.0


def reached(measured: MeasuredRun, threshold: float) -> Reach:
    """When a run first reached a level: its optimizer step, examples and wall seconds since fitting began."""
    i = None if measured.run.has_diverged else learning_curve.first_reaching(measured.curve, threshold)
    if i is None:
        return Reach(measured.run.seed, None, None, None)
    step, examples, wall = (float(x[i]) for x in (measured.curve.step, measured.curve.examples, measured.curve.wall_s))
    return Reach(measured.run.seed, step, *(value if math.isfinite(value) else None for value in (examples, wall)))


def median_reached(values: Sequence[float | None]) -> float | None:
    """The median where None is later than everything; None where it falls on such a run."""
    if not values:
        return None
    middle = statistics.median_high(math.inf if value is None else value for value in values)
    low = statistics.median_low(math.inf if value is None else value for value in values)
    return (low + middle) / 2 if math.isfinite(middle) else None

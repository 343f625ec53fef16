"""One arm of a study with its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from headstart.report.analysis import run_measures
from headstart.report.analysis.arms import Arm
from headstart.report.analysis.run_measures import END, MEASURES, RISING, START, Measure, MeasuredRun
from headstart.report.analysis.study_records import ArmSummary, SourceCost
from headstart.report.curves.learning_curve import one_image
from headstart.report.statistics.interval_choice import apart, interval_over, mean_of
from headstart.report.statistics.seed_intervals import Interval, of_share, t_interval
from headstart.report.stored_runs.study_runs import FinishedRun
from headstart.system.metric_direction import is_share


def arm_summary(
    arm: Arm, setting: frozenset[str], runs: tuple[MeasuredRun, ...], threshold: float, metric: str
) -> ArmSummary:
    tags = sorted({tag for m in runs for tag in test_metrics(m.run)})
    tests = {tag: [test_metrics(m.run).get(tag, math.nan) for m in runs] for tag in tags}
    finished = [m.run for m in runs]
    starts = [_own_start(m) for m in runs]
    gains = [m.values.get(END, math.nan) - value for m, (_, value) in zip(runs, starts, strict=True)]
    return ArmSummary(
        label=" ".join([arm.name, *sorted(arm.setting - setting)]),
        arm=arm,
        runs=runs,
        means={measure.key: _mean(measure, runs, metric) for measure in MEASURES},
        tests={
            tag: _level(t_interval(values, resolution=_resolution(finished, tag)), tag) for tag, values in tests.items()
        },
        reach=tuple(run_measures.reached(m, threshold) for m in runs) if math.isfinite(threshold) else (),
        source=_source_cost(finished),
        diverged=arm.diverged,
        best_before_training=sum(_best_before_training(run) for run in finished),
        rising=mean_of(RISING, runs, metric)
        if any(math.isfinite(m.values.get(RISING, math.nan)) for m in runs)
        else None,
        gain=_gain(runs, starts, metric) if any(map(math.isfinite, gains)) else None,
        below_start=sum(gain < 0 for gain in gains if math.isfinite(gain)),
        labelled=_labelled(finished),
    )


def _mean(measure: Measure, runs: tuple[MeasuredRun, ...], metric: str) -> Interval:
    mean = mean_of(measure.key, runs, metric)
    return mean if measure.compared == "relative" else _level(mean, metric)


def _level(interval: Interval, metric: str) -> Interval:
    return of_share(interval) if is_share(metric) else interval


def _resolution(runs: Sequence[FinishedRun], tag: str) -> float:
    """What one image is worth in a test metric, of a named test set by the number of its images."""
    _, name, *rest = tag.split("/")
    if not rest:
        return one_image(runs, tag, "test")
    counts = [facts["images"] for run in runs if (facts := named_tests(run).get(name)) and facts.get("images")]
    return 1 / min(counts) if counts and is_share(tag) else 0.0


def named_tests(run: FinishedRun) -> dict[str, dict[str, Any]]:
    """What a run's result says of its named test sets: name -> {images, passes, settings, kinds}."""
    entry = run.result.get("tests")
    items = entry.items() if isinstance(entry, dict) else ()
    return {str(name): facts for name, facts in items if isinstance(facts, dict)}


def _own_start(measured: MeasuredRun) -> tuple[str, float]:
    """What an arm's end is held against: the features alone where they were measured, else the start as it was."""
    key = START if math.isfinite(measured.values.get(START, math.nan)) else "start"
    return key, measured.values.get(key, math.nan)


def _gain(runs: Sequence[MeasuredRun], starts: Sequence[tuple[str, float]], metric: str) -> Interval:
    """The level at the end less the own start, over runs."""
    values = [m.values.get(END, math.nan) - value for m, (_, value) in zip(runs, starts, strict=True)]
    parts = [apart(m.by_image.get(key), m.by_image.get(END)) for m, (key, _) in zip(runs, starts, strict=True)]
    return interval_over(values, parts, [m.run for m in runs], metric, "val")


def test_metrics(run: FinishedRun) -> dict[str, float]:
    """The final metrics on the test split by tag."""
    final = run.result.get("metrics")
    items = final.items() if isinstance(final, dict) else ()
    return {tag: float(v) for tag, v in items if tag.startswith("test/") and isinstance(v, int | float)}


def _source_cost(runs: Iterable[FinishedRun]) -> SourceCost | None:
    """What the source model of an arm took; the dearest where its runs have several."""
    sources = [run.result.get("source") for run in runs]
    known = [source for source in sources if isinstance(source, dict)]
    if not known:
        return None
    wall = [float(s["wall_s"]) for s in known if isinstance(s.get("wall_s"), int | float)]
    examples = [float(s["examples"]) for s in known if isinstance(s.get("examples"), int | float)]
    return SourceCost(max(wall, default=None), max(examples, default=None))


def this_source(runs: Iterable[FinishedRun]) -> str:
    """How far a verdict on weights reaches: with one source model for all seeds, not beyond it."""
    sources = [run.result.get("source") for run in runs]
    known = {str(source.get("hash")) for source in sources if isinstance(source, dict)}
    if not known:
        return ""
    return "this source model" if len(known) == 1 else f"this kind of source ({len(known)} source models)"


def _best_before_training(run: FinishedRun) -> bool:
    flag = run.result.get("best_before_training")
    if isinstance(flag, bool):
        return flag
    best = run.result.get("best")
    return isinstance(best, dict) and best.get("step") == 0


def _labelled(runs: Iterable[FinishedRun]) -> dict[str, tuple[int, ...]]:
    """The labelled images that the runs read; of older results the sizes of their splits."""
    counts_by_split: dict[str, set[int]] = {"train": set(), "val": set()}
    for run in runs:
        counts = run.result.get("labelled_images") or run.result.get("sizes") or {}
        for split, split_counts in counts_by_split.items():
            if isinstance(counts.get(split), int):
                split_counts.add(counts[split])
    return {split: tuple(sorted(split_counts)) for split, split_counts in counts_by_split.items()}

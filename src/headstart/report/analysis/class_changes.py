"""What each arm changed class by class: recall on test, less that of its control or baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from headstart.report.analysis.run_measures import ImageShares, MeasuredRun
from headstart.report.analysis.study_records import ArmClassChanges, ArmComparison, ClassChange, Question
from headstart.report.curves.arm_speed import Pair
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval
from headstart.report.statistics.interval_choice import apart, mean
from headstart.report.statistics.seed_intervals import holm, t_interval


def class_changes(comparisons: Iterable[ArmComparison]) -> tuple[ArmClassChanges, ...]:
    """The changes of each arm, against its control where it has one; none of runs whose images have several labels.

    Intervals are over seeds and images where all runs stored their answers, and else over seeds. Arms with a diverged
    run, and cross-validation, whose test answers are no independent ones, have none.

    Args:
        comparisons: Of one section.
    """
    chosen: dict[str, ArmComparison] = {}
    for comparison in comparisons:
        if comparison.label not in chosen or comparison.question is Question.WEIGHTS:
            chosen[comparison.label] = comparison
    found = [changes for comparison in chosen.values() if (changes := _of_arm(comparison)) is not None]
    corrected = iter(holm([entry.change.p for changes in found for entry in changes.classes]))
    return tuple(
        replace(changes, classes=tuple(replace(entry, corrected_p=next(corrected)) for entry in changes.classes))
        for changes in found
    )


def recalls_of(run: MeasuredRun) -> dict[str, float]:
    """Class -> recall on test, as the run counted it; empty where it did not."""
    recalls = run.run.result.get("test_recall_per_class")
    if not isinstance(recalls, dict):
        return {}
    return {str(name): float(value) if isinstance(value, int | float) else math.nan for name, value in recalls.items()}


def _of_arm(comparison: ArmComparison) -> ArmClassChanges | None:
    pairs = comparison.pairs
    runs = [run for pair in pairs for run in pair]
    if not pairs or any(run.run.has_diverged or run.run.fold is not None for run in runs):
        return None
    names = list(recalls_of(pairs[0][0]))
    if not names or any(list(recalls_of(run)) != names for run in runs):
        return None
    stored = all(run.tested is not None for run in runs)
    classes = tuple(_changes(names, pairs, stored=stored))
    over = "seeds and images" if stored and len(pairs) > 1 else "seeds"
    return ArmClassChanges(comparison.label, comparison.against, len(pairs), over, classes) if classes else None


def _changes(names: Sequence[str], pairs: Sequence[Pair], *, stored: bool) -> Iterator[ClassChange]:
    for number, name in enumerate(names):
        before, after = ([recalls_of(pair[side])[name] for pair in pairs] for side in (0, 1))
        gaps = [ours - theirs for theirs, ours in zip(before, after, strict=True)]
        if not any(map(math.isfinite, gaps)):
            continue
        parts = [apart(*(_of_class(run, number) for run in pair)) for pair in pairs] if stored else []
        images = min((len(part.image) for part in parts if part is not None), default=0)
        resolution = 1 / images if images else 0.0
        if len(parts) > 1 and all(part is not None for part in parts):
            known = [Contributions(*part) for part in parts if part is not None]
            change = crossed_interval(known, resolution=resolution)
        else:
            change = t_interval(gaps, resolution=resolution)
        yield ClassChange(name, images, mean(before), mean(after), change)


def _of_class(run: MeasuredRun, number: int) -> ImageShares | None:
    """Whether each test image of a class was recognised."""
    if run.tested is None:
        return None
    own = np.flatnonzero(run.tested.label == number)
    return ImageShares(run.tested.image[own], run.tested.right[own].astype(np.float64)) if len(own) else None

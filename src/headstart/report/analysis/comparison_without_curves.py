"""What each arm reached in results that have levels and no curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from headstart.report.analysis.arms import finished_at, setting_of
from headstart.report.analysis.verdicts import JudgedDifference, TestedDifference
from headstart.report.statistics.seed_intervals import MATTERS, Interval, Verdict, of_share, t_interval
from headstart.report.stored_runs.study_runs import LeftOutRun, LevelsResult
from headstart.system.metric_direction import is_share, is_unit_free, lower_is_better


@dataclass(frozen=True)
class LevelArm:
    """One arm in one setting, over seeds."""

    label: str
    setting: frozenset[str]
    seeds: tuple[int, ...]
    means: dict[str, Interval]  # by tag, as they were measured
    difference: Interval | None  # to the baseline's metric, by seed, above 0 = better; None: it is the baseline
    verdict: Verdict | None = None
    why: str = ""
    corrected_p: float = math.nan


def without_replaced(levels: Iterable[LevelsResult]) -> tuple[tuple[LevelsResult, ...], tuple[LeftOutRun, ...]]:
    """The results, and those that a later one of the same setting and seed replaces."""
    latest: dict[tuple[frozenset[str], int], LevelsResult] = {}
    replaced = []
    for result in sorted(levels, key=finished_at):
        key = level_setting(result), result.seed
        if key in latest:
            why = f"{result.folder.name} has the same overrides and seed and finished later"
            replaced.append(LeftOutRun(latest[key].folder, "replaced", why))
        latest[key] = result
    return tuple(sorted(latest.values(), key=lambda result: str(result.folder))), tuple(replaced)


def level_setting(result: LevelsResult) -> frozenset[str]:
    """Its overrides but the seed and what does not change results; the mode counts, as it is no arm here."""
    return setting_of(result.overrides) | {text for text in result.overrides if text.lstrip("+").startswith("mode=")}


def level_arms(levels: Sequence[LevelsResult], metric: str, resolution: dict[str, float]) -> list[LevelArm]:
    """Each arm of each setting, compared with the setting's baseline; verdicts are still to come.

    resolution: of each tag, what one image is worth (`t_interval`).
    """
    by_setting: dict[frozenset[str], list[LevelsResult]] = {}
    for result in levels:
        by_setting.setdefault(level_setting(result), []).append(result)
    sign = -1.0 if lower_is_better(metric) else 1.0
    arms = []
    for setting, results in by_setting.items():
        for label in dict.fromkeys(label for result in results for label in result.levels):
            having = [result for result in results if label in result.levels]
            tags = dict.fromkeys(tag for result in having for tag in result.levels[label])
            means = {
                tag: t_interval(
                    [result.levels[label].get(tag, math.nan) for result in having], resolution=resolution[tag]
                )
                for tag in tags
            }
            means = {tag: of_share(mean) if is_share(tag) else mean for tag, mean in means.items()}
            gaps = [
                sign
                * (result.levels[label].get(metric, math.nan) - result.levels[result.baseline].get(metric, math.nan))
                for result in having
                if result.baseline in result.levels
            ]
            is_baseline = all(label == result.baseline for result in having)
            difference = None if is_baseline else t_interval(gaps, resolution=resolution.get(metric, 0.0))
            arms.append(LevelArm(label, setting, tuple(sorted(result.seed for result in having)), means, difference))
    return arms


def level_tests(arms: Sequence[LevelArm], metric: str) -> list[TestedDifference]:
    """What the verdicts on levels are about: each arm that has a baseline, in their order."""
    return [
        TestedDifference(
            family="level",
            key=f"level: {' '.join([arm.label, *sorted(arm.setting)])}, {metric}",
            difference=arm.difference,
            margin=MATTERS if is_unit_free(metric) else None,
            seeds=arm.seeds,
            digest=sha256(repr((metric, arm.seeds, arm.difference[:2])).encode()).hexdigest()[:16],
        )
        for arm in arms
        if arm.difference is not None
    ]


def with_verdicts(arms: Sequence[LevelArm], results: Sequence[JudgedDifference]) -> list[LevelArm]:
    """The arms with their verdicts, in the order of their tests."""
    judgements = iter(results)
    judged = []
    for arm in arms:
        if arm.difference is None:
            judged.append(arm)
            continue
        decision = next(judgements).decision
        judged.append(replace(arm, verdict=decision.verdict, why=decision.why, corrected_p=decision.p))
    return judged

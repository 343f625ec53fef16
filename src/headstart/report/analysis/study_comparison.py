"""What each way of reusing the source brought: its weights against random ones, and in practice against scratch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from headstart.report.analysis import adaptation_comparison, run_measures
from headstart.report.analysis.arm_comparison import ADD_CONTROL, ADD_TUNING, comparison_of, decided, tests_of
from headstart.report.analysis.arm_summaries import arm_summary
from headstart.report.analysis.arms import Arm, ArmGroup, arms_of, control_of, groups_of, left_out
from headstart.report.analysis.class_changes import class_changes
from headstart.report.analysis.comparison_without_curves import (
    LevelArm,
    level_arms,
    level_setting,
    level_tests,
    with_verdicts,
    without_replaced,
)
from headstart.report.analysis.run_measures import END, MEASURES, TEST
from headstart.report.analysis.study_records import (
    ArmComparison,
    ArmSummary,
    Benefit,
    BestArm,
    Question,
    Study,
    StudySection,
)
from headstart.report.analysis.swept_keys import PlacedArm, ReachedLevel, axes_of
from headstart.report.analysis.verdicts import History, PlannedSeeds, judged
from headstart.report.curves.learning_curve import one_image
from headstart.report.statistics.interval_choice import difference_of, mean, paired
from headstart.report.statistics.seed_intervals import ALPHA, Verdict, holm
from headstart.report.stored_runs.study_runs import LevelsResult, RunsBelow
from headstart.system.metric_direction import lower_is_better

_MODES = (
    "scratch",
    "feature_extraction",
    "fine_tuning",
    "gradual",
)  # the order that people know; others follow


def study_of(
    runs_below: RunsBelow, *, baseline: str, metric: str, history: History | None = None, planned: Iterable[int] = ()
) -> Study:
    """The comparison of all finished runs.

    Args:
        runs_below: The runs of the study.
        baseline: The mode that the others are compared with.
        metric: The metric of the learning curves.
        history: The looks of earlier reports on this folder, by test.
        planned: The seeds of the study's command, which count where its runs have fixed_seeds.
    """
    reusing = [run for run in runs_below.finished if not run.adapts]
    arms, replaced = arms_of(reusing)
    levels, replaced_levels = without_replaced(runs_below.levels)
    adapting, replaced_adapting = adaptation_comparison.adapted_arms(run for run in runs_below.finished if run.adapts)
    resolution = one_image(reusing or levels, metric, "val")
    settings = [arm.setting for arm in (*arms, *adapting)] + [level_setting(test) for test in levels]
    common = frozenset.intersection(*settings) if settings else frozenset()
    random = [arm for arm in arms if arm.begins_random]
    sections = [_section(g, random, baseline, metric, common) for g in groups_of(arms, baseline)]
    placed = level_arms(levels, metric, _resolutions(levels))
    adapted = adaptation_comparison.adapted(adapting, common)

    all_settings = [run.settings for run in runs_below.finished] + [test.config() for test in runs_below.levels]
    known = [config for config in all_settings if config]
    fixed = bool(known) and all(config.get("fixed_seeds") is True for config in known)
    seeds = PlannedSeeds(fixed, frozenset(planned))
    tests = [test for section in sections for c in section.comparisons for test in tests_of(c, section, metric)]
    n_tests = len(tests)
    tests += level_tests(placed, metric)
    n_levels = len(tests)
    tests += [test for section in adapted for test in adaptation_comparison.tests(section)]
    results, looks = judged(tests, history=history or {}, seeds=seeds)
    judgements = iter(results[:n_tests])
    sections = [decided(section, judgements, metric) for section in sections]
    placed = with_verdicts(placed, results[n_tests:n_levels])
    judgements = iter(results[n_levels:])
    adapted = [adaptation_comparison.decided(section, judgements) for section in adapted]
    if not arms:
        baseline = levels[0].baseline if levels else adaptation_comparison.BASELINE
    return Study(
        baseline=baseline,
        metric=metric,
        sections=tuple(sections),
        others=runs_below.others + replaced + replaced_levels + replaced_adapting,
        verdicts=sum(test.without is None for test in tests),
        resolution=resolution,
        common=tuple(sorted(common)),
        axes=axes_of(_along(sections, metric))
        + axes_of([_placed(arm, metric) for arm in placed])
        + axes_of(adaptation_comparison.along(adapted)),
        levels=levels,
        level_arms=tuple(placed),
        adapted=tuple(adapted),
        looks=tuple(looks.items()),
        fixed_seeds=fixed,
    )


def _section(group: ArmGroup, random: Sequence[Arm], mode: str, metric: str, common: frozenset[str]) -> StudySection:
    """random: the arms of the study that begin with random weights, among which the controls are."""
    members = ((group.baseline,) if group.baseline else ()) + tuple(sorted(group.arms, key=_rank))
    controls = {id(arm): control_of(arm, random) for arm in members}
    outside = [
        control for control in controls.values() if control is not None and not any(control is arm for arm in members)
    ]
    arms_and_controls = (*members, *{id(control): control for control in outside}.values())
    flat = iter(run_measures.measured([run for arm in arms_and_controls for run in arm.runs], metric))
    runs = {id(arm): tuple(next(flat) for _ in arm.runs) for arm in arms_and_controls}
    base_runs = runs[id(group.baseline)] if group.baseline else ()
    threshold = mean(m.values.get(END, math.nan) for m in base_runs)
    summaries = {
        id(arm): arm_summary(arm, group.setting, runs[id(arm)], threshold, metric) for arm in arms_and_controls
    }
    base = summaries[id(group.baseline)] if group.baseline else None
    others = [summaries[id(arm)] for arm in members if arm is not group.baseline]
    comparisons = []
    for arm in members:
        if arm is group.baseline or arm.is_control:
            continue
        control = controls[id(arm)]
        if control is not None:
            comparisons.append(comparison_of(Question.WEIGHTS, summaries[id(control)], summaries[id(arm)], metric))
        elif base is not None and not arm.begins_random:
            comparisons.append(comparison_of(Question.WEIGHTS, base, summaries[id(arm)], metric, has_control=False))
        if base is not None:
            comparisons.append(comparison_of(Question.PRACTICE, base, summaries[id(arm)], metric))
    section = StudySection(
        setting=tuple(sorted(group.setting - common)),
        baseline=base,
        arms=tuple(others),
        comparisons=tuple(sorted(comparisons, key=lambda c: c.question is Question.PRACTICE)),
        threshold=threshold,
        best=_best([summaries[id(arm)] for arm in members if not arm.is_control], metric),
        hints=tuple(_hints(mode, group, base, others, comparisons)),
        class_changes=class_changes(comparisons),
    )
    return replace(section, missing=tuple(_missing(section)))


def _hints(
    mode: str,
    group: ArmGroup,
    base: ArmSummary | None,
    others: Sequence[ArmSummary],
    comparisons: Sequence[ArmComparison],
) -> Iterator[str]:
    if base is None and group.apart:
        gaps = "; ".join(map(str, group.apart))
        again = " ".join(
            f"{difference.key}={_value(difference.ours)}" for difference in group.apart if difference.ours is not None
        )
        yield (
            f"No verdict against {mode}: it differs also in {gaps}. "
            f"Runs of mode={mode}{f' with {again}' if again else ''} would be comparable."
        )
    elif base is None:
        yield f"There are no runs of mode={mode} in this setting: run them to have something to compare with."
    elif not others:
        yield f"There is only mode={mode} in this setting: run another mode to compare."
    for c in comparisons:
        if c.dropped and c.question is Question.PRACTICE:
            yield left_out(c.label, c.dropped)
    without_images = [
        m.run for arm in ((base,) if base else ()) + tuple(others) for m in arm.runs if not m.has_predictions
    ]
    if without_images:
        yield (
            f"{len(without_images)} of the runs have no predictions of single images: their intervals are over "
            "seeds alone, and do not speak of other images."
        )
    for arm in ((base,) if base else ()) + tuple(others):
        if arm.diverged:
            yield (
                f"{arm.diverged} of {len(arm.runs)} runs of {arm.label} diverged (a loss or a weight became nan or "
                "infinite): they count as the worst, and the arm gets no yes. Try a smaller optimizer.lr."
            )


def _missing(section: StudySection) -> Iterator[tuple[Question, str]]:
    """The questions that the section cannot answer, and the override that would answer them."""
    treated = [arm.arm for arm in section.arms if not arm.arm.begins_random]
    if treated and not any(not c.unanswered for c in section.of(Question.WEIGHTS)):
        yield Question.WEIGHTS, ADD_CONTROL
    practice = section.of(Question.PRACTICE)
    if not practice and treated:
        yield Question.PRACTICE, "mode=scratch,... " + ADD_TUNING
    elif practice and all(c.unanswered for c in practice):
        yield Question.PRACTICE, ADD_TUNING


def _best(arms: Sequence[ArmSummary], metric: str) -> BestArm | None:
    """The highest level at the end. Holm over all pairs of arms, so that whichever is picked, its tests hold."""
    key = TEST if any(m.seen for arm in arms for m in arm.runs) else END
    ranked = [arm for arm in arms if math.isfinite(arm.means[key].mean) and not arm.diverged]
    if len(ranked) < 2:
        return None
    top = max(ranked, key=lambda arm: arm.means[key].mean)
    measure = next(summary for summary in MEASURES if summary.key == key)
    couples = [(other, summary) if summary is top else (summary, other) for summary, other in combinations(ranked, 2)]
    gaps = [difference_of(measure, paired(summary.runs, other.runs)[0], metric) for summary, other in couples]
    of_top = [
        (other.label, gap, p)
        for (other, summary), gap, p in zip(couples, gaps, holm([gap.p for gap in gaps]), strict=True)
        if summary is top
    ]
    label, gap, p = max(of_top, key=lambda our: math.inf if math.isnan(our[2]) else our[2])
    trials = {None if arm.arm.tuned is None else arm.arm.tuned.get("trials") for arm in ranked}
    why = ""
    if None in trials or len(trials) > 1:
        why = f"each arm ran at one setting; {ADD_TUNING} lets each find its own"
    clear = all(g.mean > 0 and q < ALPHA for _, g, q in of_top)
    return BestArm(top.label, label, gap, p, decided=clear and not why, why=why)


def _along(sections: Iterable[StudySection], metric: str) -> list[PlacedArm]:
    """The arms with their level at the end and its verdict, and their test metric."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    test = f"test/{metric.partition('/')[2]}"
    placed = []
    for section in sections:
        names = {arm.label: arm.arm.name for arm in section.all_arms}
        ends: dict[str, tuple[Benefit, str]] = {}  # of the first question that is answered
        for c in section.comparisons:
            end = next(b for b in c.benefits if b.name == "asymptote")
            if c.label not in ends or ends[c.label][0].verdict is Verdict.NOT_ANSWERED:
                ends[c.label] = end, names.get(c.against, c.against)
        for arm in section.all_arms:
            level = arm.means[END]
            low, high = sorted((sign * level.low, sign * level.high))
            end_level = ReachedLevel(level._replace(mean=sign * level.mean, low=low, high=high))
            if arm is not section.baseline and arm.label in ends:
                benefit, against = ends[arm.label]
                end_level = replace(
                    end_level,
                    difference=benefit.difference,
                    verdict=benefit.verdict,
                    corrected_p=benefit.p,
                    against=against,
                )
            levels = {f"{metric} at the end": end_level}
            if test in arm.tests:
                levels[test] = ReachedLevel(arm.tests[test])
            placed.append(PlacedArm(arm.arm.name, arm.arm.setting, arm is section.baseline, levels))
    return placed


def _placed(arm: LevelArm, metric: str) -> PlacedArm:
    levels = {
        tag: ReachedLevel(mean, arm.difference, arm.verdict, arm.corrected_p) if tag == metric else ReachedLevel(mean)
        for tag, mean in arm.means.items()
    }
    return PlacedArm(arm.label, arm.setting, arm.difference is None, levels)


def _rank(arm: Arm) -> tuple[int, str, bool, list[str]]:
    order = _MODES.index(arm.mode) if arm.mode in _MODES else len(_MODES)
    return order, arm.mode, arm.is_control, sorted(arm.setting)


def _resolutions(levels: Sequence[LevelsResult]) -> dict[str, float]:
    """What one image is worth, by tag."""
    tags = {tag for result in levels for metrics in result.levels.values() for tag in metrics}
    return {tag: one_image(levels, tag, tag.split("/")[0]) for tag in tags}


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What each way of reusing the source brought: its weights against random ones, and in practice against scratch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import combinations

import numpy as np

from headstart.report import adaptation, measures
from headstart.report.arms import (
    Arm,
    Group,
    arms_of,
    control_of,
    differences_of,
    groups_of,
    left_out,
    shown_differences,
)
from headstart.report.axes import Level, Placed, axes_of
from headstart.report.crossed import Contributions, Parts, crossed_interval, crossed_parts, parts_over_seeds
from headstart.report.curves import is_share, lower_is_better, one_image
from headstart.report.folds import fold_interval
from headstart.report.levels import LevelArm, level_arms, level_setting, level_tests, with_verdicts, without_replaced
from headstart.report.measures import END, MEASURES, RISING, START, TEST, ByImage, Measure, Measured
from headstart.report.power import images_needed, seeds_needed
from headstart.report.runs import Found, Levels, Replicate, Run
from headstart.report.slope import Slope
from headstart.report.speed import Pair, slope_of, sooner_of
from headstart.report.statistics import ALPHA, MATTERS, MATTERS_RATE, Interval, Verdict, holm, t_interval
from headstart.report.study import ArmSummary, Benefit, Best, Comparison, Question, Section, SourceCost, Study
from headstart.report.verdicts import History, Judged, Seeds, Tested, judged
from headstart.report.words import effect

BENEFITS = (("start", START), ("slope", "slope"), ("asymptote", END))  # and what decides each
ADD_CONTROL = "control=false,true"
ADD_TUNING = "tuning=equal tuning.trials=8"
_MODES = (
    "scratch",
    "feature_extraction",
    "fine_tuning",
    "gradual",
)  # the order that people know; others follow


def study_of(
    found: Found, *, baseline: str, metric: str, history: History | None = None, planned: Iterable[int] = ()
) -> Study:
    """The comparison of all finished runs.

    history: the looks of earlier reports on this folder. planned: the seeds of the study's command, which count where
    its runs say that they were fixed beforehand (fixed_seeds).
    """
    reusing = [run for run in found.finished if not run.adapts]
    arms, replaced = arms_of(reusing)
    levels, replaced_levels = without_replaced(found.levels)
    adapting, replaced_adapting = adaptation.adapted_arms(run for run in found.finished if run.adapts)
    resolution = one_image(reusing or levels, metric, "val")
    settings = [arm.setting for arm in (*arms, *adapting)] + [level_setting(one) for one in levels]
    common = frozenset.intersection(*settings) if settings else frozenset()
    sections = [_section(g, arms, baseline, metric, common) for g in groups_of(arms, baseline)]
    placed = level_arms(levels, metric, _resolutions(levels))
    adapted = adaptation.adapted(adapting, common)

    configs = [run.settings for run in found.finished] + [one.config() for one in found.levels]
    known = [config for config in configs if config]
    fixed = bool(known) and all(config.get("fixed_seeds") is True for config in known)
    seeds = Seeds(fixed, frozenset(planned))
    tests = [test for section in sections for c in section.comparisons for test in _tests(c, section, metric)]
    n_tests = len(tests)
    tests += level_tests(placed, metric)
    n_levels = len(tests)
    tests += [test for section in adapted for test in adaptation.tests(section)]
    results, looks = judged(tests, history=history or {}, seeds=seeds)
    coming = iter(results[:n_tests])
    sections = [_decided(section, coming, metric) for section in sections]
    placed = with_verdicts(placed, results[n_tests:n_levels])
    coming = iter(results[n_levels:])
    adapted = [adaptation.decided(section, coming) for section in adapted]
    if not arms:
        baseline = levels[0].baseline if levels else adaptation.BASELINE
    return Study(
        baseline=baseline,
        metric=metric,
        sections=tuple(sections),
        others=found.others + replaced + replaced_levels + replaced_adapting,
        verdicts=sum(one.without is None for one in tests),
        resolution=resolution,
        common=tuple(sorted(common)),
        axes=axes_of(_along(sections, metric))
        + axes_of([_placed(arm, metric) for arm in placed])
        + axes_of(adaptation.along(adapted)),
        levels=levels,
        level_arms=tuple(placed),
        adapted=tuple(adapted),
        looks=tuple(looks.items()),
        fixed_seeds=fixed,
    )


def paired(base: Sequence[Measured], arm: Sequence[Measured]) -> tuple[list[Pair], tuple[Replicate, ...]]:
    """(baseline, arm) of each seed and fold that both have, and those that only one has."""
    theirs, ours = {m.replicate: m for m in base}, {m.replicate: m for m in arm}
    both = [one for one in ours if one in theirs]
    alone = tuple(one for one in (*ours, *theirs) if (one in ours) != (one in theirs))
    return [(theirs[one], ours[one]) for one in both], alone


def _section(group: Group, arms: Sequence[Arm], mode: str, metric: str, common: frozenset[str]) -> Section:
    members = ((group.baseline,) if group.baseline else ()) + tuple(sorted(group.arms, key=_rank))
    controls = {id(arm): control_of(arm, arms) for arm in members}
    outside = [one for one in controls.values() if one is not None and not any(one is arm for arm in members)]
    listed = (*members, *{id(one): one for one in outside}.values())
    flat = iter(measures.measured([run for arm in listed for run in arm.runs], metric))
    runs = {id(arm): tuple(next(flat) for _ in arm.runs) for arm in listed}
    base_runs = runs[id(group.baseline)] if group.baseline else ()
    threshold = _mean(m.values.get(END, math.nan) for m in base_runs)
    found = {id(arm): _arm_summary(arm, group.setting, runs[id(arm)], threshold, metric) for arm in listed}
    base = found[id(group.baseline)] if group.baseline else None
    others = [found[id(arm)] for arm in members if arm is not group.baseline]
    comparisons = []
    for arm in members:
        if arm is group.baseline or arm.is_control:
            continue
        control = controls[id(arm)]
        if control is not None:
            comparisons.append(_comparison(Question.WEIGHTS, found[id(control)], found[id(arm)], metric))
        elif base is not None and not arm.begins_random:
            comparisons.append(_comparison(Question.WEIGHTS, base, found[id(arm)], metric, has_control=False))
        if base is not None:
            comparisons.append(_comparison(Question.PRACTICE, base, found[id(arm)], metric))
    section = Section(
        setting=tuple(sorted(group.setting - common)),
        baseline=base,
        arms=tuple(others),
        comparisons=tuple(sorted(comparisons, key=lambda c: c.question is Question.PRACTICE)),
        threshold=threshold,
        best=_best([found[id(arm)] for arm in members if not arm.is_control], metric),
        hints=tuple(_hints(mode, group, base, others, comparisons)),
    )
    return replace(section, missing=tuple(_missing(section)))


def _hints(
    mode: str, group: Group, base: ArmSummary | None, others: Sequence[ArmSummary], comparisons: Sequence[Comparison]
) -> Iterator[str]:
    if base is None and group.apart:
        gaps = "; ".join(map(str, group.apart))
        again = " ".join(f"{one.key}={_value(one.ours)}" for one in group.apart if one.ours is not None)
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
    for arm in ((base,) if base else ()) + tuple(others):
        if arm.diverged:
            yield (
                f"{arm.diverged} of {len(arm.runs)} runs of {arm.label} diverged (a loss or a weight was no finite "
                "number): no yes for it, and they count as the worst. Try a smaller optimizer.lr."
            )


def _missing(section: Section) -> Iterator[tuple[Question, str]]:
    """The questions that the section cannot answer, and the override that would answer them."""
    treated = [arm.arm for arm in section.arms if not arm.arm.begins_random]
    if treated and not any(not c.unanswered for c in section.of(Question.WEIGHTS)):
        yield Question.WEIGHTS, ADD_CONTROL
    practice = section.of(Question.PRACTICE)
    if not practice and treated:
        yield Question.PRACTICE, "mode=scratch,... " + ADD_TUNING
    elif practice and all(c.unanswered for c in practice):
        yield Question.PRACTICE, ADD_TUNING


def _arm_summary(
    arm: Arm, setting: frozenset[str], runs: tuple[Measured, ...], threshold: float, metric: str
) -> ArmSummary:
    tags = sorted({tag for m in runs for tag in _tests_of(m.run)})
    tests = {tag: [_tests_of(m.run).get(tag, math.nan) for m in runs] for tag in tags}
    ours = [m.run for m in runs]
    starts = [_own_start(m) for m in runs]
    gains = [m.values.get(END, math.nan) - value for m, (_, value) in zip(runs, starts, strict=True)]
    return ArmSummary(
        label=" ".join([arm.name, *sorted(arm.setting - setting)]),
        arm=arm,
        runs=runs,
        means={measure.key: _mean_of(measure.key, runs, metric) for measure in MEASURES},
        tests={
            tag: t_interval(values, resolution=one_image(ours, tag, tag.split("/")[0])) for tag, values in tests.items()
        },
        reach=tuple(measures.reached(m, threshold) for m in runs) if math.isfinite(threshold) else (),
        source=_source_cost(ours),
        diverged=arm.diverged,
        kept_before_training=sum(_kept_before_training(run) for run in ours),
        rising=_mean_of(RISING, runs, metric)
        if any(math.isfinite(m.values.get(RISING, math.nan)) for m in runs)
        else None,
        gain=_gain(runs, starts, metric) if any(map(math.isfinite, gains)) else None,
        below_start=sum(gain < 0 for gain in gains if math.isfinite(gain)),
        labelled=_labelled(ours),
    )


def _own_start(one: Measured) -> tuple[str, float]:
    """What an arm's end is held against: the features alone where they were measured, else the start as it was."""
    key = START if math.isfinite(one.values.get(START, math.nan)) else "start"
    return key, one.values.get(key, math.nan)


def _gain(runs: Sequence[Measured], starts: Sequence[tuple[str, float]], metric: str) -> Interval:
    """The level at the end less the own start, over runs."""
    values = [m.values.get(END, math.nan) - value for m, (_, value) in zip(runs, starts, strict=True)]
    parts = [_apart(m.by_image.get(key), m.by_image.get(END)) for m, (key, _) in zip(runs, starts, strict=True)]
    return _interval(values, parts, [m.run for m in runs], metric, "val")


def _mean_of(key: str, runs: Sequence[Measured], metric: str) -> Interval:
    """An arm's mean and its interval."""
    values = [m.values.get(key, math.nan) for m in runs]
    return _interval(values, [m.by_image.get(key) for m in runs], [m.run for m in runs], metric, _split(key))


def _comparison(
    question: Question, base: ArmSummary, arm: ArmSummary, metric: str, *, has_control: bool = True
) -> Comparison:
    pairs, dropped = paired(base.runs, arm.runs)
    differences = {measure.key: _difference(measure, pairs, metric) for measure in MEASURES}
    fast = slope_of(pairs, metric)
    differences["slope"] = fast.difference
    unanswered = _unanswered(question, base, arm, has_control=has_control)
    by_test, blind = _end_by_test(pairs), _blind(pairs)
    benefits = [
        _benefit(
            name,
            TEST if name == "asymptote" and by_test else key,
            differences,
            fast,
            (base, arm),
            unanswered,
            by_test,
            blind,
        )
        for name, key in BENEFITS
    ]
    return Comparison(
        question=question,
        label=arm.label,
        against=base.label,
        pairs=tuple(pairs),
        dropped=dropped,
        differences=differences,
        benefits=tuple(benefits),
        differs=tuple(map(str, shown_differences(differences_of(arm.arm, base.arm)))),
        unanswered=unanswered,
        over=_over(pairs, by_test),
        sooner=sooner_of(pairs),
        this_source=_this_source([m.run for m in arm.runs]),
    )


def _unanswered(question: Question, base: ArmSummary, arm: ArmSummary, *, has_control: bool) -> str:
    """Why the slope and the level at the end have no verdict; empty where they may have one."""
    ours, theirs = arm.arm.tuned, base.arm.tuned
    if question is Question.WEIGHTS:
        if not has_control:
            return f"no arm has the same recipe and random weights; add {ADD_CONTROL}"
        return _unequal(ours, theirs) if ours or theirs else ""
    if ours is None or theirs is None:
        return f"each arm ran at one setting, not at its best: weights, rates and head differ at once; add {ADD_TUNING}"
    return _unequal(ours, theirs)


def _unequal(ours: Mapping[str, object] | None, theirs: Mapping[str, object] | None) -> str:
    counts = [(one or {}).get("trials", 1) for one in (ours, theirs)]
    return "" if counts[0] == counts[1] else f"tuned over {counts[0]} settings against {counts[1]}; tune both equally"


def _benefit(
    name: str,
    key: str,
    differences: Mapping[str, Interval],
    fast: Slope,
    both: tuple[ArmSummary, ArmSummary],
    unanswered: str,
    by_test: str,
    blind: str,
) -> Benefit:
    """One benefit, its verdict still to come where it can be tested."""
    difference = differences[key]
    word, why = Verdict.UNDECIDED, ""
    if name != "start" and unanswered:
        word, why = Verdict.NOT_ANSWERED, unanswered
    elif told := [f"{arm.diverged} of {len(arm.runs)} runs of {arm.label} diverged" for arm in both if arm.diverged]:
        word, why = Verdict.UNDECIDED, "; ".join(told)
    elif blind and name != "asymptote" and (name == "slope" or difference.n == 0):
        word, why = Verdict.NOT_MEASURABLE, blind
    elif name == "slope" and fast.why:
        word, why = Verdict.NOT_MEASURABLE, fast.why
    elif name == "start" and difference.n == 0:
        word, why = (
            Verdict.NOT_MEASURABLE,
            "the start with the head in closed form was not measured (start_class_means)",
        )
    note = f"of the kept checkpoint on test: {by_test}" if by_test and name == "asymptote" else ""
    return Benefit(name, key, difference, word, why, note=note)


def _end_by_test(pairs: Sequence[Pair]) -> str:
    """Why the level at the end is that of the kept checkpoint on test; empty where val may be judged by."""
    runs = [m for pair in pairs for m in pair]
    if any(m.seen for m in runs):
        return next(m.seen for m in runs if m.seen)
    return "" if all(m.run.validates for m in runs) else "there is no val image"


def _blind(pairs: Sequence[Pair]) -> str:
    """Why there is no curve to judge by; empty where there is one."""
    runs = [m for pair in pairs for m in pair]
    if not all(m.run.validates for m in runs):
        return "there is no val image"
    return "" if all(m.has_curve for m in runs) else "the trials saw too many of these val images"


def _tests(c: Comparison, section: Section, metric: str) -> list[Tested]:
    """What the verdicts of a comparison are about."""
    where = " ".join(section.setting)
    digest = _digest(c, metric)
    return [
        Tested(
            family=f"{c.question.value} {b.name}",
            key=f"{c.question.value} {b.name}: {c.label} against {c.against}, {metric}{f', {where}' if where else ''}",
            difference=b.difference,
            margin=_margin(b.name, metric),
            seeds=c.seeds if all(one.fold is None for one in c.replicates) else tuple(range(len(c.replicates))),
            digest=digest,
            without=b.verdict if b.why else None,
            why=b.why,
        )
        for b in c.benefits
    ]


def _margin(name: str, metric: str) -> float | None:
    if name == "slope":
        return math.log(MATTERS_RATE)
    return MATTERS if is_share(metric) else None


def _digest(c: Comparison, metric: str) -> str:
    """What tells these data from others: the runs of the comparison by what they are and what they reached."""
    listed = [
        (m.run.result.get("hash"), str(m.replicate), m.run.result.get("weights_hash"), *map(m.values.get, (END, START)))
        for pair in c.pairs
        for m in pair
    ]
    return sha256(repr((metric, sorted(map(repr, listed)))).encode()).hexdigest()[:16]


def _difference(measure: Measure, pairs: Sequence[Pair], metric: str) -> Interval:
    """Arm minus baseline over the pairs, over the baseline's for ratios."""
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
        _scaled(_apart(s.by_image.get(key), t.by_image.get(key)), c) for c, (s, t) in zip(scales, pairs, strict=True)
    ]
    known = [c for c in scales if math.isfinite(c)]
    scale = sum(known) / len(known) if known else 1.0
    return _interval(values, parts, [m.run for pair in pairs for m in pair], metric, _split(measure.key), scale=scale)


def _interval(
    values: Sequence[float],
    parts: Sequence[ByImage | None],
    runs: Sequence[Run],
    metric: str,
    split: str,
    *,
    scale: float = 1.0,
) -> Interval:
    """Over seeds and images where each value has its images; over folds; else over seeds."""
    resolution = scale * one_image(runs, f"{split}/{metric.partition('/')[2]}", split)
    crossed = None
    if all(part is not None for part in parts) and len(parts) > 1:
        crossed = crossed_interval([Contributions(*part) for part in parts if part is not None], resolution=resolution)
    if any(run.fold is not None for run in runs):
        over_folds = fold_interval(values, val_over_train=_val_over_train(runs), resolution=resolution)
        both = [one for one in (over_folds, crossed) if one is not None and one.known]
        return max(both, key=lambda one: one.high - one.low, default=over_folds)
    return t_interval(values, resolution=resolution) if crossed is None else crossed


def _components(parts: Sequence[ByImage | None], values: Sequence[float]) -> Parts:
    if parts and all(part is not None for part in parts):
        return crossed_parts([Contributions(*part) for part in parts if part is not None])
    return parts_over_seeds(values)


def _apart(theirs: ByImage | None, ours: ByImage | None) -> ByImage | None:
    """What each image contributes to a difference; None where the two are not of the same images."""
    if theirs is None or ours is None or len(theirs.image) != len(ours.image):
        return None
    if not np.array_equal(theirs.image, ours.image):
        one, other = np.argsort(theirs.image, kind="stable"), np.argsort(ours.image, kind="stable")
        theirs, ours = ByImage(theirs.image[one], theirs.value[one]), ByImage(ours.image[other], ours.value[other])
        if not np.array_equal(theirs.image, ours.image):
            return None
    return ByImage(ours.image, ours.value - theirs.value)


def _scaled(part: ByImage | None, factor: float) -> ByImage | None:
    return None if part is None else ByImage(part.image, factor * part.value)


def _over(pairs: Sequence[Pair], by_test: str) -> str:
    """What the intervals of a comparison are over."""
    key = TEST if by_test else END
    if any(one.replicate.fold is not None for pair in pairs for one in pair):
        return "folds"
    parts = [_apart(s.by_image.get(key), t.by_image.get(key)) for s, t in pairs]
    return "seeds and images" if _components(parts, []).shared > 0 else "seeds"


def _decided(section: Section, coming: Iterator[Judged], metric: str) -> Section:
    """The section with its verdicts, in the order of its tests."""
    comparisons = []
    for c in section.comparisons:
        benefits = []
        for benefit in c.benefits:
            found = next(coming)
            decision, level = found.decision, found.level
            why = decision.why
            measured, of = benefit.difference.n, len(c.replicates)
            if 0 < measured < of and benefit.name != "slope":
                why += f"; measured in {measured} of {of} pairs"
            done = replace(
                benefit,
                verdict=decision.verdict,
                why=why,
                p=decision.p,
                p_equal=decision.p_equal,
                small=decision.small,
                level=level,
            )
            if decision.verdict is Verdict.UNDECIDED and benefit.difference.known and not benefit.why:
                done = replace(done, needed=_needed(done, c.pairs, metric))
            benefits.append(_noted(done, section, c))
        comparisons.append(replace(c, benefits=tuple(benefits)))
    return replace(section, comparisons=tuple(comparisons))


def _noted(benefit: Benefit, section: Section, c: Comparison) -> Benefit:
    if benefit.name != "asymptote":
        return benefit
    rising = [arm.label for arm in section.all_arms if arm.label in (c.label, c.against) and arm.still_rises]
    kept = c.differences[TEST]
    test = f"the kept checkpoint on test {effect(TEST, kept)}" if math.isfinite(kept.mean) else ""
    note = f"{' and '.join(rising)} still {'rises' if len(rising) == 1 else 'rise'} at the end" if rising else ""
    parts = (benefit.note, note, test if benefit.measure == END else "")
    return replace(benefit, note="; ".join(part for part in parts if part))


def _needed(benefit: Benefit, pairs: Sequence[Pair], metric: str) -> str:
    """How many seeds, or images, would decide a difference of the size that matters."""
    margin = _margin(benefit.name, metric)
    if margin is None or not pairs:
        return ""
    what = f"a difference of {margin:g}" if benefit.name != "slope" else f"a factor of {MATTERS_RATE:g}"
    if benefit.name == "slope":
        variance = benefit.difference.error**2 * benefit.difference.n
        parts = Parts(variance, 0.0, 0.0, math.inf, 0.0, benefit.difference.n)
        count = seeds_needed(parts, margin, ALPHA, allowance=benefit.difference.allowance)
        return f"about {count} seeds in all would decide {what}" if count else ""
    key = benefit.measure
    listed = [_apart(s.by_image.get(key), t.by_image.get(key)) for s, t in pairs]
    values = [t.values.get(key, math.nan) - s.values.get(key, math.nan) for s, t in pairs]
    parts = _components(listed, values)
    count = seeds_needed(parts, margin, ALPHA)
    if count is not None:
        return f"about {count} seeds in all would decide {what}"
    images = images_needed(parts, margin, ALPHA)
    split = "test" if key == TEST else "val"
    if images is not None:
        return f"no number of seeds would decide {what} on these {split} images; about {images:,} of them would"
    more = max(10, 2 * parts.seeds)
    images = images_needed(parts, margin, ALPHA, seeds=more)
    return f"about {images:,} {split} images and {more} seeds would decide {what}" if images is not None else ""


def _best(arms: Sequence[ArmSummary], metric: str) -> Best | None:
    """The highest level at the end. Holm over all pairs of arms, so that whichever is picked, its tests hold."""
    key = TEST if any(m.seen for arm in arms for m in arm.runs) else END
    ranked = [arm for arm in arms if math.isfinite(arm.means[key].mean) and not arm.diverged]
    if len(ranked) < 2:
        return None
    top = max(ranked, key=lambda arm: arm.means[key].mean)
    measure = next(one for one in MEASURES if one.key == key)
    couples = [(other, one) if one is top else (one, other) for one, other in combinations(ranked, 2)]
    gaps = [_difference(measure, paired(one.runs, other.runs)[0], metric) for one, other in couples]
    ours = [
        (other.label, gap, p)
        for (other, one), gap, p in zip(couples, gaps, holm([gap.p for gap in gaps]), strict=True)
        if one is top
    ]
    label, gap, p = max(ours, key=lambda our: math.inf if math.isnan(our[2]) else our[2])
    trials = {None if arm.arm.tuned is None else arm.arm.tuned.get("trials") for arm in ranked}
    why = ""
    if None in trials or len(trials) > 1:
        why = f"each arm ran at one setting; {ADD_TUNING} lets each find its own"
    clear = all(g.mean > 0 and q < ALPHA for _, g, q in ours)
    return Best(top.label, label, gap, p, decided=clear and not why, why=why)


def _along(sections: Iterable[Section], metric: str) -> list[Placed]:
    """The arms with their level at the end and its verdict, and their test figure."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    test = f"test/{metric.partition('/')[2]}"
    found = []
    for section in sections:
        ends: dict[str, Benefit] = {}
        for c in section.comparisons:
            end = next(b for b in c.benefits if b.name == "asymptote")
            if c.label not in ends or ends[c.label].verdict is Verdict.NOT_ANSWERED:
                ends[c.label] = end
        for arm in section.all_arms:
            benefit = None if arm is section.baseline else ends.get(arm.label)
            mean = arm.means[END]
            low, high = sorted((sign * mean.low, sign * mean.high))
            end_level = Level(mean._replace(mean=sign * mean.mean, low=low, high=high))
            if benefit is not None:
                end_level = replace(
                    end_level, difference=benefit.difference, verdict=benefit.verdict, corrected_p=benefit.p
                )
            levels = {f"{metric} at the end": end_level}
            if test in arm.tests:
                levels[test] = Level(arm.tests[test])
            found.append(Placed(arm.arm.name, arm.arm.setting, arm is section.baseline, levels))
    return found


def _placed(arm: LevelArm, metric: str) -> Placed:
    levels = {
        tag: Level(mean, arm.difference, arm.verdict, arm.corrected_p) if tag == metric else Level(mean)
        for tag, mean in arm.means.items()
    }
    return Placed(arm.label, arm.setting, arm.difference is None, levels)


def _rank(arm: Arm) -> tuple[int, str, bool, list[str]]:
    known = _MODES.index(arm.mode) if arm.mode in _MODES else len(_MODES)
    return known, arm.mode, arm.is_control, sorted(arm.setting)


def _resolutions(levels: Sequence[Levels]) -> dict[str, float]:
    """What one image is worth, by tag."""
    tags = {tag for one in levels for figures in one.levels.values() for tag in figures}
    return {tag: one_image(levels, tag, tag.split("/")[0]) for tag in tags}


def _tests_of(run: Run) -> dict[str, float]:
    """The final figures on the test split by tag."""
    final = run.result.get("metrics")
    found = final.items() if isinstance(final, dict) else ()
    return {tag: float(v) for tag, v in found if tag.startswith("test/") and isinstance(v, int | float)}


def _source_cost(runs: Iterable[Run]) -> SourceCost | None:
    """What the source model of an arm took; the dearest where its runs have several."""
    sources = [run.result.get("source") for run in runs]
    found = [source for source in sources if isinstance(source, dict)]
    if not found:
        return None
    wall = [float(s["wall_s"]) for s in found if isinstance(s.get("wall_s"), int | float)]
    examples = [float(s["examples"]) for s in found if isinstance(s.get("examples"), int | float)]
    return SourceCost(max(wall, default=None), max(examples, default=None))


def _this_source(runs: Iterable[Run]) -> str:
    """How far a verdict on weights reaches: with one source model for all seeds, not beyond it."""
    sources = [run.result.get("source") for run in runs]
    known = {str(source.get("hash")) for source in sources if isinstance(source, dict)}
    if not known:
        return ""
    return "this source model" if len(known) == 1 else f"this kind of source ({len(known)} source models)"


def _kept_before_training(run: Run) -> bool:
    found = run.result.get("best_before_training")
    if isinstance(found, bool):
        return found
    best = run.result.get("best")
    return isinstance(best, dict) and best.get("step") == 0


def _labelled(runs: Iterable[Run]) -> dict[str, tuple[int, ...]]:
    """The labelled images that the runs read; of older results the sizes of their splits."""
    found: dict[str, set[int]] = {"train": set(), "val": set()}
    for run in runs:
        counts = run.result.get("labelled_images") or run.result.get("sizes") or {}
        for split, listed in found.items():
            if isinstance(counts.get(split), int):
                listed.add(counts[split])
    return {split: tuple(sorted(listed)) for split, listed in found.items()}


def _images(run: Run, split: str) -> int | None:
    found = (run.result.get("sizes") or {}).get(split)
    return found if isinstance(found, int) else None


def _val_over_train(runs: Sequence[Run]) -> float:
    ratios = [
        val / train for run in runs if (val := _images(run, "val")) is not None and (train := _images(run, "train"))
    ]
    return sum(ratios) / len(ratios) if ratios else 0.25  # of five folds


def _split(key: str) -> str:
    return "test" if key == TEST else "val"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mean(values: Iterable[float]) -> float:
    listed = [value for value in values if math.isfinite(value)]
    return math.fsum(listed) / len(listed) if listed else math.nan

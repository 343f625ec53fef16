"""An arm against another: its three benefits, what may be said of them, and their verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from headstart.report.analysis.arm_summaries import this_source
from headstart.report.analysis.arms import differences_of, shown_differences
from headstart.report.analysis.run_measures import END, MEASURES, START, TEST
from headstart.report.analysis.study_records import ArmComparison, ArmSummary, Benefit, Question, StudySection
from headstart.report.analysis.verdicts import JudgedDifference, TestedDifference
from headstart.report.curves.arm_speed import Pair, slope_of, sooner_of
from headstart.report.curves.slope import Slope
from headstart.report.rendering.wording.number_format import difference_text
from headstart.report.statistics.crossed_intervals import VarianceComponents
from headstart.report.statistics.interval_choice import apart, components, difference_of, over_what, paired
from headstart.report.statistics.power import images_needed, seeds_needed
from headstart.report.statistics.seed_intervals import ALPHA, MATTERS, MATTERS_RATE, Interval, Verdict
from headstart.system.metric_direction import is_unit_free

BENEFITS = (("start", START), ("slope", "slope"), ("asymptote", END))  # and what decides each


ADD_CONTROL = "control=false,true"
ADD_TUNING = "tuning=equal tuning.trials=8"


def comparison_of(
    question: Question, base: ArmSummary, arm: ArmSummary, metric: str, *, has_control: bool = True
) -> ArmComparison:
    pairs, dropped = paired(base.runs, arm.runs)
    differences = {measure.key: difference_of(measure, pairs, metric) for measure in MEASURES}
    speed = slope_of(pairs, metric)
    differences["slope"] = speed.difference
    unanswered = _unanswered(question, base, arm, has_control=has_control)
    by_test, blind = _end_by_test(pairs), _blind(pairs)
    benefits = [
        _benefit(
            name,
            TEST if name == "asymptote" and by_test else key,
            differences,
            speed,
            (base, arm),
            unanswered,
            by_test,
            blind,
        )
        for name, key in BENEFITS
    ]
    return ArmComparison(
        question=question,
        label=arm.label,
        against=base.label,
        pairs=tuple(pairs),
        dropped=dropped,
        differences=differences,
        benefits=tuple(benefits),
        differs=tuple(map(str, shown_differences(differences_of(arm.arm, base.arm)))),
        unanswered=unanswered,
        over=over_what(pairs, by_test),
        sooner=sooner_of(pairs),
        this_source=this_source([m.run for m in arm.runs]),
    )


def _unanswered(question: Question, base: ArmSummary, arm: ArmSummary, *, has_control: bool) -> str:
    """Why the slope and the level at the end have no verdict; empty where they may have one."""
    tuned, baseline_tuned = arm.arm.tuned, base.arm.tuned
    if question is Question.WEIGHTS:
        if not has_control:
            return f"no arm has the same recipe and random weights; add {ADD_CONTROL}"
        return _unequal(tuned, baseline_tuned) if tuned or baseline_tuned else ""
    if tuned is None or baseline_tuned is None:
        return f"each arm ran at one setting, not at its best: weights, rates and head differ at once; add {ADD_TUNING}"
    return _unequal(tuned, baseline_tuned)


def _unequal(tuned: Mapping[str, object] | None, baseline_tuned: Mapping[str, object] | None) -> str:
    counts = [(search or {}).get("trials", 1) for search in (tuned, baseline_tuned)]
    return "" if counts[0] == counts[1] else f"tuned over {counts[0]} settings against {counts[1]}; tune both equally"


def _benefit(
    name: str,
    key: str,
    differences: Mapping[str, Interval],
    speed: Slope,
    arms: tuple[ArmSummary, ArmSummary],
    unanswered: str,
    by_test: str,
    blind: str,
) -> Benefit:
    """One benefit, its verdict still to come where it can be tested."""
    difference = differences[key]
    verdict, why = Verdict.UNDECIDED, ""
    if name != "start" and unanswered:
        verdict, why = Verdict.NOT_ANSWERED, unanswered
    elif diverged := [
        f"{arm.diverged} of {len(arm.runs)} runs of {arm.label} diverged" for arm in arms if arm.diverged
    ]:
        verdict, why = Verdict.UNDECIDED, "; ".join(diverged)
    elif blind and name != "asymptote" and (name == "slope" or difference.n == 0):
        verdict, why = Verdict.NOT_MEASURABLE, blind
    elif name == "slope" and speed.why:
        verdict, why = Verdict.NOT_MEASURABLE, speed.why
    elif name == "start" and difference.n == 0:
        verdict, why = (
            Verdict.NOT_MEASURABLE,
            "the start with the head in closed form was not measured (start_class_means)",
        )
    note = f"of the best checkpoint on test: {by_test}" if by_test and name == "asymptote" else ""
    return Benefit(name, key, difference, verdict, why, note=note)


def _end_by_test(pairs: Sequence[Pair]) -> str:
    """Why the level at the end is that of the best checkpoint on test; empty where val may be judged by."""
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


def tests_of(c: ArmComparison, section: StudySection, metric: str) -> list[TestedDifference]:
    """What the verdicts of a comparison are about."""
    where = " ".join(section.setting)
    digest = _digest(c, metric)
    has_folds = any(replicate.fold is not None for replicate in c.replicates)
    return [
        TestedDifference(
            family=f"{c.question.value} {b.name}",
            key=f"{c.question.value} {b.name}: {c.label} against {c.against}, {metric}{f', {where}' if where else ''}",
            difference=b.difference,
            margin=_margin(b.name, metric),
            seeds=tuple(range(len(c.replicates))) if has_folds else c.seeds,
            digest=digest,
            without=b.verdict if b.why else None,
            why=b.why,
        )
        for b in c.benefits
    ]


def _margin(name: str, metric: str) -> float | None:
    if name == "slope":
        return math.log(MATTERS_RATE)
    return MATTERS if is_unit_free(metric) else None


def _digest(c: ArmComparison, metric: str) -> str:
    """What tells these data from others: the runs of the comparison by what they are and what they reached."""
    runs = [
        (m.run.result.get("hash"), str(m.replicate), m.run.result.get("weights_hash"), *map(m.values.get, (END, START)))
        for pair in c.pairs
        for m in pair
    ]
    return sha256(repr((metric, sorted(map(repr, runs)))).encode()).hexdigest()[:16]


def decided(section: StudySection, judgements: Iterator[JudgedDifference], metric: str) -> StudySection:
    """The section with its verdicts, in the order of its tests."""
    comparisons = []
    for c in section.comparisons:
        benefits = []
        for benefit in c.benefits:
            judged = next(judgements)
            decision, level = judged.decision, judged.level
            why = decision.why
            measured, pairs = benefit.difference.n, len(c.replicates)
            if 0 < measured < pairs and benefit.name != "slope":
                why += f"; measured in {measured} of {pairs} pairs"
            tested = replace(
                benefit,
                verdict=decision.verdict,
                why=why,
                p=decision.p,
                p_equal=decision.p_equal,
                small=decision.small,
                level=level,
            )
            if decision.verdict is Verdict.UNDECIDED and benefit.difference.known and not benefit.why:
                tested = replace(tested, needed=_needed(tested, c.pairs, metric))
            benefits.append(_noted(tested, section, c))
        comparisons.append(replace(c, benefits=tuple(benefits)))
    return replace(section, comparisons=tuple(comparisons))


def _noted(benefit: Benefit, section: StudySection, c: ArmComparison) -> Benefit:
    if benefit.name != "asymptote":
        return benefit
    rising = [arm.label for arm in section.all_arms if arm.label in (c.label, c.against) and arm.still_rises]
    test = c.differences[TEST]
    test_note = f"the best checkpoint on test {difference_text(TEST, test)}" if math.isfinite(test.mean) else ""
    rising_note = f"{' and '.join(rising)} still {'rises' if len(rising) == 1 else 'rise'} at the end" if rising else ""
    parts = (benefit.note, rising_note, test_note if benefit.measure == END else "")
    return replace(benefit, note="; ".join(part for part in parts if part))


def _needed(benefit: Benefit, pairs: Sequence[Pair], metric: str) -> str:
    """How many seeds, or images, would decide a difference of the size that matters."""
    margin = _margin(benefit.name, metric)
    if margin is None or not pairs:
        return ""
    size = f"a difference of {margin:g}" if benefit.name != "slope" else f"a factor of {MATTERS_RATE:g}"
    if benefit.name == "slope":
        variance = benefit.difference.error**2 * benefit.difference.n
        parts = VarianceComponents(variance, 0.0, 0.0, math.inf, 0.0, benefit.difference.n)
        if benefit.difference.allowance >= margin:
            return f"no number of seeds would decide {size} at this distance of evaluations; evaluate more often"
        count = seeds_needed(parts, margin, ALPHA, allowance=benefit.difference.allowance)
        return f"about {count} seeds in all would decide {size}" if count else ""
    key = benefit.measure
    contributions = [apart(s.by_image.get(key), t.by_image.get(key)) for s, t in pairs]
    values = [t.values.get(key, math.nan) - s.values.get(key, math.nan) for s, t in pairs]
    parts = components(contributions, values)
    count = seeds_needed(parts, margin, ALPHA)
    if count is not None:
        return f"about {count} seeds in all would decide {size}"
    images = images_needed(parts, margin, ALPHA)
    split = "test" if key == TEST else "val"
    if images is not None:
        return f"no number of seeds would decide {size} on these {split} images; about {images:,} of them would"
    more = max(10, 2 * parts.seeds)
    images = images_needed(parts, margin, ALPHA, seeds=more)
    return f"about {images:,} {split} images and {more} seeds would decide {size}" if images is not None else ""

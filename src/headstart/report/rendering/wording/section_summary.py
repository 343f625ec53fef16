"""Sentences that sum up the comparison of modes in one setting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from headstart.report.analysis.run_measures import END, TEST
from headstart.report.analysis.study_records import ArmComparison, Benefit, BestArm, Question, Study, StudySection
from headstart.report.rendering.wording.number_format import difference_text, number
from headstart.report.rendering.wording.verdict_words import TITLES, benefit_title
from headstart.report.statistics.seed_intervals import Interval, Verdict
from headstart.system.metric_direction import lower_is_better

LabelledBenefits = Sequence[tuple[str, Benefit]]  # the arm's label, and one of its benefits


def section_summary(section: StudySection, study: Study) -> list[str]:
    """The answers to both questions, the best arm, and warnings against a wrong reading."""
    if not section.comparisons:
        if section.baseline is None:
            return ["Nothing to compare with: no baseline in this setting."]
        return ["Nothing to compare: only the baseline has finished runs."]
    sentences = [sentence for question in Question for sentence in _answers(section, question, study.metric)]
    if section.best:
        sentences.append(_best_arm(section, section.best, study.metric))
    return sentences + warnings(section)


def _answers(section: StudySection, question: Question, metric: str) -> list[str]:
    """One question: its answers by verdict, and what is not answered."""
    comparisons = section.of(question)
    benefits = [(comparison.label, benefit) for comparison in comparisons for benefit in comparison.benefits]
    baselines = ", ".join(dict.fromkeys(comparison.against for comparison in comparisons)) or "nothing"
    modes = len(comparisons)
    parts = []
    if better := _with_verdict(benefits, Verdict.YES, metric, modes):
        parts.append(better)
    if worse := _with_verdict(benefits, Verdict.NEGATIVE, metric, modes):
        worse = worse.replace("higher ", "lower ").replace("better ", "worse ")
        parts.append(f"negative transfer, worse than {baselines} beyond chance: {worse}")
    if equal := _with_verdict(benefits, Verdict.NO, metric, modes):
        parts.append(f"no difference that matters: {equal}")
    if undecided := _with_verdict(benefits, Verdict.UNDECIDED, metric, modes):
        seeds = max(len(comparison.replicates) for comparison in comparisons)
        single_seed = " (one seed cannot decide anything)" if seeds < 2 else ""
        parts.append(f"undecided{single_seed}: {undecided}")
    if not_measurable := _with_verdict(benefits, Verdict.NOT_MEASURABLE, metric, modes):
        parts.append(f"not measurable: {not_measurable}")
    scope = _source_scope(comparisons) if question is Question.WEIGHTS else _tuning_scope(section)
    override = dict(section.missing).get(question)
    if override is not None:
        parts.append(_unanswered(section, question, override, whole=not parts))
    return [f"{TITLES[question]}{f' ({scope})' if scope else ''}: {'; '.join(parts)}."] if parts else []


def _source_scope(comparisons: Sequence[ArmComparison]) -> str:
    """How far verdicts on weights reach: this source model; with the arms, where these have other sources."""
    labels_by_scope: dict[str, list[str]] = {}
    for comparison in comparisons:
        if comparison.this_source:
            labels_by_scope.setdefault(comparison.this_source, []).append(comparison.label)
    if len(labels_by_scope) < 2:
        return "".join(labels_by_scope)
    return "; ".join(f"{', '.join(labels)}: {scope}" for scope, labels in labels_by_scope.items())


def _tuning_scope(section: StudySection) -> str:
    """Each arm at its best of 8 settings; empty where arms were not tuned equally."""
    trials = {
        (arm.arm.tuned or {}).get("trials") for arm in section.all_arms if not arm.arm.is_control and arm.arm.tuned
    }
    return f"each arm at its best of {trials.pop()} settings" if len(trials) == 1 else ""


def _unanswered(section: StudySection, question: Question, override: str, *, whole: bool) -> str:
    """Why this study cannot answer a question, and the override that adds the answer."""
    subject = "" if whole else "the rest "
    if question is Question.WEIGHTS:
        return f"{subject}cannot be said, as no arm has the same settings with random weights (add {override})"
    if not section.of(question):
        return f"{subject}cannot be said, as there is no baseline in this setting (run {override})"
    baseline = section.baseline.label if section.baseline else "the baseline"
    gaps = [
        f"{comparison.label} {difference_text(END, comparison.differences[END])}"
        for comparison in section.of(Question.PRACTICE)
        if comparison.unanswered and math.isfinite(comparison.differences[END].mean)
    ]
    untuned = f"; as they ran, their levels at the end against {baseline} are {', '.join(gaps)}" if gaps else ""
    return (
        f"{subject}cannot be said, as each arm ran at one setting, and weights, rates and head differ at once "
        f"(add {override}){untuned}"
    )


def warnings(section: StudySection) -> list[str]:
    """What a reader must know besides the verdicts, arm by arm."""
    return list(dict.fromkeys([*_arm_warnings(section), *_sign_warnings(section), *_rising_warnings(section)]))


def _arm_warnings(section: StudySection) -> Iterator[str]:
    for arm in section.all_arms:
        runs = len(arm.runs)
        if arm.diverged:
            yield f"{arm.diverged} of {runs} runs of {arm.label} diverged and count as the worst."
        if 2 * arm.below_start > runs and arm.gain is not None and arm.gain.mean < 0 and not arm.arm.begins_random:
            yield (
                f"{arm.label} ends below its own start in {arm.below_start} of {runs} runs "
                f"({difference_text(END, arm.gain)}): the features alone are enough."
            )
        if arm.best_before_training and not arm.arm.begins_random:
            yield (
                f"The best checkpoint of {arm.label} is the one before training (step 0) in "
                f"{arm.best_before_training} of {runs} runs: its test metrics are those of an untrained model."
            )


def _sign_warnings(section: StudySection) -> Iterator[str]:
    """Comparisons whose val and test point in opposite directions."""
    for comparison in section.comparisons:
        end, test = comparison.differences[END], comparison.differences[TEST]
        opposite = all(map(math.isfinite, (end.mean, test.mean))) and end.mean * test.mean < 0
        if opposite and (_excludes_zero(end) or _excludes_zero(test)):
            yield (
                f"{comparison.label} against {comparison.against}: the level at the end on val "
                f"({difference_text(END, end)}) and the best checkpoint on test ({difference_text(TEST, test)}) "
                "disagree in sign."
            )


def _excludes_zero(interval: Interval) -> bool:
    return interval.known and (interval.low > 0 or interval.high < 0)


def _rising_warnings(section: StudySection) -> Iterator[str]:
    labels = [arm.label for arm in section.all_arms if arm.still_rises]
    if labels:
        verb = "rises" if len(labels) == 1 else "rise"
        yield f"Still rising at the end of the budget: {', '.join(labels)} {verb}; a longer run may end otherwise."


def _with_verdict(benefits: LabelledBenefits, verdict: Verdict, metric: str, modes: int) -> str:
    """The benefits with a verdict: higher start (all 3 modes), higher slope (fine_tuning, gradual but small)."""
    parts = []
    for name in dict.fromkeys(benefit.name for _, benefit in benefits):
        matching = [
            (label, benefit) for label, benefit in benefits if benefit.name == name and benefit.verdict is verdict
        ]
        if not matching:
            continue
        small = [benefit.small for _, benefit in matching]
        labels = [f"{label}{', but small' if b.small and not all(small) else ''}" for label, b in matching]
        who = f"all {modes} modes" if len(labels) == modes > 1 and len(set(small)) == 1 else ", ".join(labels)
        parts.append(f"{benefit_title(name, metric)} ({who}{', but small' if all(small) else ''})")
    return ", ".join(parts)


def _best_arm(section: StudySection, best: BestArm, metric: str) -> str:
    arm = next(arm for arm in section.all_arms if arm.label == best.label)
    sign = -1.0 if lower_is_better(metric) else 1.0
    level = number(sign * arm.means[END].mean)
    difference = difference_text(END, best.difference)
    if best.decided:
        return f"{best.label} ends best, at {level}: decided against every other arm ({difference} to {best.against})."
    why = f" ({best.why})" if best.why else ""
    return (
        f"{best.label} has the best mean level at the end, {level}; "
        f"whether it is better than {best.against} is undecided ({difference}){why}."
    )

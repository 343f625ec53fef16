"""Verdicts of a report as words, with their reasons."""

from __future__ import annotations

import math

from headstart.report.analysis.adaptation_comparison import AdaptationMethod
from headstart.report.analysis.study_records import ArmSummary, Benefit, Question
from headstart.report.analysis.swept_keys import ReachedLevel
from headstart.report.curves.level_passage import Speedup
from headstart.report.rendering.wording.number_format import MISSING, difference_text, p_text
from headstart.report.statistics.seed_intervals import Verdict
from headstart.system.metric_direction import lower_is_better

GAINS = {  # of an adaptation, whose only question is whether it is better than the source alone
    Verdict.YES: "gain",
    Verdict.NO: "no difference",
    Verdict.UNDECIDED: "undecided",
    Verdict.NEGATIVE: "negative transfer",
}
ICONS = {
    Verdict.YES: "▲",
    Verdict.NO: "=",
    Verdict.UNDECIDED: "?",
    Verdict.NEGATIVE: "▼",
    Verdict.NOT_MEASURABLE: "–",
    Verdict.NOT_ANSWERED: "–",
}
TITLES = {
    Question.WEIGHTS: "What the source's weights brought",
    Question.PRACTICE: "What transfer brings in practice",
}
AGAINST = {
    Question.WEIGHTS: "the same settings with random weights in place of the source's",
    Question.PRACTICE: "the baseline, each arm at its own best setting",
}
_BENEFITS = {"start": "start", "slope": "slope", "asymptote": "level at the end of the budget"}


def benefit_title(benefit: str, metric: str) -> str:
    """higher start; of a metric of which lower is better, better start."""
    better = "better" if lower_is_better(metric) and benefit != "slope" else "higher"
    return f"{better} {_BENEFITS.get(benefit, benefit)}"


def verdict_word(benefit: Benefit) -> str:
    """yes; yes, but small."""
    return f"{benefit.verdict}, but small" if benefit.small else str(benefit.verdict)


def verdict_text(benefit: Benefit) -> str:
    """yes +0.31 [+0.27, +0.35]; the word alone where there is no verdict."""
    if benefit.verdict is Verdict.NOT_ANSWERED:
        return str(benefit.verdict)
    return f"{verdict_word(benefit)} {difference_text(benefit.measure, benefit.difference)}".removesuffix(f" {MISSING}")


def verdict_reason(benefit: Benefit) -> str:
    """The reason of the verdict with the corrected p-value, then notes on it."""
    p = "" if math.isnan(benefit.p) else f" ({p_text(benefit.p)})"
    return "; ".join(part for part in (f"{benefit.why}{p}", benefit.needed, benefit.note) if part)


def gain_text(method: AdaptationMethod) -> str:
    """gain +0.19 [+0.16, +0.22]; empty for the baseline."""
    if method.difference is None or method.verdict is None:
        return ""
    return f"{GAINS[method.verdict]} {difference_text('asymptote', method.difference)}".removesuffix(f" {MISSING}")


def gain_reason(method: AdaptationMethod) -> str:
    """The reason of the verdict with the corrected p-value."""
    is_tested = method.difference is not None and method.difference.known
    return f"{method.why}{f' ({p_text(method.corrected_p)})' if is_tested else ''}".strip()


def level_text(level: ReachedLevel) -> str:
    """The comparison at one value of a swept key: yes +0.03 [+0.01, +0.05]; empty where there is none."""
    if level.difference is None or not math.isfinite(level.difference.mean):
        return ""
    return f"{level.verdict or ''} {difference_text('asymptote', level.difference)}".strip()


def reach_text(arm: ArmSummary) -> str:
    """4 of 5, or not reached."""
    count = sum(reach.step is not None for reach in arm.reach)
    return f"{count} of {len(arm.reach)}" if count else "not reached"


def speedup_text(speedup: Speedup) -> str:
    """3.2 times; at least 3.2 times; – where neither arm reaches the level."""
    if speedup.bound == "unknown":
        return MISSING
    if math.isinf(speedup.ratio):
        return "from the first evaluation on"
    return f"{speedup.bound} {speedup.ratio:.1f} times".strip()

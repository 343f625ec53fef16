"""Cards of the page: one arm, its verdicts and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.report.analysis.adaptation_comparison import AdaptationSection, differences
from headstart.report.analysis.study_records import ArmComparison, Benefit
from headstart.report.rendering.charts.interval_bar import BarScale, IntervalBar, bar_scale, interval_bar
from headstart.report.rendering.wording.number_format import difference_text
from headstart.report.rendering.wording.verdict_words import (
    GAINS,
    ICONS,
    benefit_title,
    gain_reason,
    verdict_reason,
    verdict_word,
)
from headstart.report.statistics.seed_intervals import Interval, Verdict


@dataclass(frozen=True)
class CardAnswer:
    """One verdict on a card."""

    question: str
    word: str
    kind: str  # yes, no, undecided, negative: how the word looks
    icon: str
    effect: str
    why: str
    bar: IntervalBar | None


@dataclass(frozen=True)
class AnswerCard:
    """One arm on the page."""

    label: str
    colour: int
    pairs: int
    against: str
    over: str  # what the intervals are over
    differs: str
    answers: list[CardAnswer]


def comparison_cards(comparisons: Sequence[ArmComparison], metric: str, colours: dict[str, int]) -> list[AnswerCard]:
    """A card for each mode, with an answer for each benefit."""
    benefits = range(len(comparisons[0].benefits) if comparisons else 0)
    scales = [bar_scale(comparison.benefits[i].difference for comparison in comparisons) for i in benefits]
    return [
        AnswerCard(
            label=comparison.label,
            colour=colours.get(comparison.label, 1),
            pairs=len(comparison.replicates),
            against=comparison.against,
            over=comparison.over,
            differs="; ".join(comparison.differs),
            answers=[_benefit_answer(b, metric, scale) for b, scale in zip(comparison.benefits, scales, strict=True)],
        )
        for comparison in comparisons
    ]


def method_cards(section: AdaptationSection, colours: dict[str, int]) -> list[AnswerCard]:
    """A card for each adaptation method, with its one answer."""
    scale = bar_scale(differences(section))
    return [
        AnswerCard(
            label=method.label,
            colour=colours[method.label],
            pairs=method.difference.n,
            against=section.baseline.label if section.baseline else "",
            over=method.over,
            differs="",
            answers=[
                CardAnswer(
                    question="the target's test accuracy",
                    word=GAINS[method.verdict],
                    kind=_kind(method.verdict),
                    icon=ICONS[method.verdict],
                    effect=_effect("asymptote", method.difference),
                    why=gain_reason(method),
                    bar=interval_bar(method.difference, scale),
                )
            ],
        )
        for method in section.methods
        if method.difference is not None and method.verdict is not None
    ]


def _benefit_answer(benefit: Benefit, metric: str, scale: BarScale) -> CardAnswer:
    answered = benefit.verdict is not Verdict.NOT_ANSWERED
    return CardAnswer(
        question=benefit_title(benefit.name, metric),
        word=verdict_word(benefit),
        kind=_kind(benefit.verdict),
        icon=ICONS[benefit.verdict],
        effect=_effect(benefit.measure, benefit.difference) if answered else "",
        why=verdict_reason(benefit),
        bar=interval_bar(benefit.difference, scale) if answered else None,
    )


def _effect(measure: str, difference: Interval) -> str:
    return difference_text(measure, difference) if math.isfinite(difference.mean) else ""


def _kind(verdict: Verdict) -> str:
    return verdict.split()[0]

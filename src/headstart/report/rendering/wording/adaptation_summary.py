"""Sentences that sum up the comparison of adaptation methods."""

from __future__ import annotations

from headstart.report.analysis.adaptation_comparison import TEST_METRIC, AdaptationMethod, AdaptationSection
from headstart.report.rendering.wording.number_format import signed
from headstart.report.statistics.seed_intervals import Verdict


def adaptation_summary(section: AdaptationSection) -> list[str]:
    """The methods that helped, that did harm, and that are undecided."""
    if section.baseline is None:
        return ["Nothing to compare with: no run of the source alone in this setting."]
    if not section.methods:
        return ["Nothing to compare: only the source alone has finished runs."]
    baseline = section.baseline.label
    beginnings = {
        Verdict.YES: f"Adaptation helped, better than {baseline} on the target beyond chance",
        Verdict.NEGATIVE: f"Negative transfer, worse than {baseline} on the target beyond chance",
        Verdict.NO: "No difference that matters",
        Verdict.UNDECIDED: "Undecided",
    }
    sentences = []
    for verdict, beginning in beginnings.items():
        labels = [f"{method.label} ({_gain(method)})" for method in section.methods if method.verdict is verdict]
        if labels:
            sentences.append(f"{beginning}: {', '.join(labels)}.")
    if max(len(method.seeds) for method in section.methods) < 2:
        sentences.append("One seed cannot decide anything.")
    return sentences


def checkpoint_choice(section: AdaptationSection) -> str:
    """The data that the test metric is of, and the metric that chose the checkpoints."""
    text = (
        f"{TEST_METRIC} is measured on the target, with each run's checkpoint chosen by "
        f"{' or '.join(section.selection_metrics)}, without labels of the target. Metrics called val are the source's."
    )
    if len(section.selection_metrics) > 1:
        choices = (f"{method.label}: by {', '.join(method.selection_metrics)}" for method in section.all_methods)
        text += f" {'; '.join(choices)}."
    return text


def _gain(method: AdaptationMethod) -> str:
    return "no seed in common" if method.difference is None or not method.seeds else signed(method.difference.mean)

"""The report as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.report.analysis.adaptation_comparison import BASELINE, TEST_METRIC, AdaptationSection
from headstart.report.analysis.study_records import ArmComparison, Question, Study, StudySection
from headstart.report.analysis.swept_keys import SweptAxis
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.tables.ranked_setting_tables import group_rows
from headstart.report.rendering.wording.adaptation_summary import adaptation_summary, checkpoint_choice
from headstart.report.rendering.wording.leaderboard_words import board_sentences
from headstart.report.rendering.wording.number_format import MISSING, plus_minus, short_values
from headstart.report.rendering.wording.section_summary import section_summary
from headstart.report.rendering.wording.study_notes import left_out_text, look_text
from headstart.report.rendering.wording.swept_key_summary import axis_summary
from headstart.report.rendering.wording.verdict_words import TITLES, benefit_title, gain_text, verdict_text
from headstart.system.printing.aligned_columns import aligned

LISTED = 10  # settings of a study that compares nothing
_ASCII = {ord("−"): "-", ord("×"): "x", ord("–"): "-", ord("±"): "+-"}


def terminal_report(study: Study, ranking: StudyRanking, name: str) -> str:
    """The verdicts and sentences of a study, in plain characters.

    Args:
        study: The comparison.
        ranking: All runs, ranked.
        name: The study's name, for the first line.
    """
    sentences = [f"  {sentence}" for sentence in board_sentences(ranking, study)]
    if study.compares:
        lines = [f"{name}: {study.metric} against {study.baseline}"]
    else:
        lines = [f"{name}: {study.metric}", "", *_columns(group_rows(ranking, LISTED)), *sentences]
    for section in study.shown_sections if study.compares else ():
        lines += _section_lines(section, study)
    for adaptation in study.shown_adapted:
        lines += _adaptation_lines(adaptation, has_modes=bool(study.sections or study.levels))
    for axis in study.axes:
        lines += ["", f"  {axis.metrics[0]} over {axis.key}", *_axis_rows(axis)]
        lines += [f"  {sentence}" for sentence in axis_summary(axis)]
    if study.verdicts:
        lines.append(f"  {look_text(study)}")
    if study.compares and study.folded:
        lines += sentences[1:]
    if study.others:
        lines.append(f"  {left_out_text(study)}")
    return "\n".join(lines).translate(_ASCII)


def _section_lines(section: StudySection, study: Study) -> list[str]:
    lines = ["", *([f"  {' '.join(section.setting)}"] if section.setting else [])]
    for question in Question:
        if comparisons := section.of(question):
            lines += [f"  {TITLES[question]}", *_verdict_rows(comparisons, study.metric)]
    return lines + [f"  {sentence}" for sentence in (*section_summary(section, study), *section.hints)]


def _adaptation_lines(section: AdaptationSection, *, has_modes: bool) -> list[str]:
    title = [*(["adaptation,", TEST_METRIC, "against", BASELINE] if has_modes else []), *section.setting]
    lines = ["", *([f"  {' '.join(title)}"] if title else [])]
    lines += _columns([[method.label, plus_minus(method.test), gain_text(method)] for method in section.all_methods])
    sentences = (*adaptation_summary(section), *section.hints, checkpoint_choice(section))
    return lines + [f"  {sentence}" for sentence in sentences]


def _verdict_rows(comparisons: Sequence[ArmComparison], metric: str) -> list[str]:
    head = ["", *(benefit_title(benefit.name, metric) for benefit in comparisons[0].benefits), "against"]
    return _columns([head, *([c.label, *(verdict_text(b) for b in c.benefits), c.against] for c in comparisons)])


def _axis_rows(axis: SweptAxis) -> list[str]:
    """The means by line and value of the swept key."""
    metric = axis.metrics[0]
    rows = [["", *short_values([text for _, text in axis.places])]]
    for line in axis.lines:
        means = {point.at: point.levels[metric].mean for point in line.points if metric in point.levels}
        rows.append([line.label, *(plus_minus(means[at]) if at in means else MISSING for at, _ in axis.places)])
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows)]

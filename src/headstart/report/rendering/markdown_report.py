"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.report.analysis.adaptation_comparison import AdaptationSection
from headstart.report.analysis.study_records import Question, Study, StudySection
from headstart.report.analysis.swept_keys import SweptAxis
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.tables.class_change_table import class_change_table
from headstart.report.rendering.tables.ranked_setting_tables import (
    front_table,
    importance_table,
    setting_table,
    study_table,
)
from headstart.report.rendering.tables.swept_key_tables import axis_tables
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.tables.table_lists import closing_tables, method_tables, section_tables
from headstart.report.rendering.tables.verdict_tables import untuned_table, verdict_table
from headstart.report.rendering.wording.adaptation_summary import adaptation_summary, checkpoint_choice
from headstart.report.rendering.wording.leaderboard_words import board_sentences
from headstart.report.rendering.wording.number_definitions import definitions
from headstart.report.rendering.wording.section_summary import section_summary
from headstart.report.rendering.wording.study_notes import left_out_text, look_text
from headstart.report.rendering.wording.swept_key_summary import axis_summary


def markdown(study: Study, ranking: StudyRanking, name: str, command: str | None) -> str:
    """The report's sentences and tables in GitHub's Markdown.

    Args:
        study: The comparison.
        ranking: All runs, ranked.
        name: The study's name, the title.
        command: The command line that makes the study again; None where there is none.
    """
    if study.compares:
        parts = [f"# {escaped(name)}: what transfer brought", f"{study.metric}, against {study.baseline}."]
    else:
        parts = [f"# {escaped(name)}: runs by {study.metric}"]
    parts.append(_bullets(board_sentences(ranking, study)))
    if command:
        parts.append(f"```\n{command}\n```")
    for adaptation in study.shown_adapted:
        parts += _adaptation_parts(adaptation)
    for axis in study.axes:
        parts += _axis_parts(axis)
    for section in study.shown_sections:
        parts += _section_parts(section, study)
    tables = (study_table(ranking), setting_table(ranking))
    parts += [markdown_table(table) for table in tables if table is not None]
    parts += [markdown_table(front_table(front, ranking.board.figure)) for front in ranking.fronts]
    if ranking.importance.shares:
        parts.append(markdown_table(importance_table(ranking)))
    parts += map(markdown_table, closing_tables(study))
    if study.verdicts:
        parts.append(look_text(study))
    if study.others:
        parts.append(left_out_text(study))
    parts.append("### How the numbers are defined")
    parts.append("\n".join(f"- **{term}**: {escaped(meaning)}" for term, meaning in definitions(study)))
    return "\n\n".join(parts) + "\n"


def _adaptation_parts(section: AdaptationSection) -> list[str]:
    title = " ".join(["On a target without labels", *section.setting])
    sentences = _bullets((*adaptation_summary(section), *section.hints))
    tables = map(markdown_table, method_tables(section))
    return [f"## {escaped(title)}", sentences, escaped(checkpoint_choice(section)), *tables]


def _axis_parts(axis: SweptAxis) -> list[str]:
    return [f"## Over {escaped(axis.key)}", _bullets(axis_summary(axis)), *map(markdown_table, axis_tables(axis))]


def _section_parts(section: StudySection, study: Study) -> list[str]:
    title = [f"## {escaped(' '.join(section.setting))}"] if section.setting else []
    sentences = _bullets((*section_summary(section, study), *section.hints))
    verdicts = [verdict_table(section, question, study.metric) for question in Question]
    tables = [*verdicts, untuned_table(section), *section_tables(section, study), class_change_table(section)]
    return [*title, sentences, *(markdown_table(table) for table in tables if table)]


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def markdown_table(table: ReportTable) -> str:
    """A table with its title and note, in GitHub's Markdown."""
    lines = [f"### {escaped(table.title)}", ""]
    if table.note:
        lines += [escaped(table.note), ""]
    lines.append(_row(table.head))
    lines.append(_row(["---"] * len(table.head)))
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: TableCell) -> str:
    text = escaped(cell.text)
    return f"{text} ({escaped(cell.below)})" if cell.below else text


def escaped(text: str) -> str:
    """Text that a Markdown reader shows as it is: no cell, tag or emphasis begins in it."""
    for mark in "\\|<>*_`":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

"""The report as Markdown."""

from __future__ import annotations

from headstart.report.analysis.study_analysis import Question, Study
from headstart.report.rendering import tables
from headstart.report.rendering.number_definitions import definitions
from headstart.report.rendering.sentences import (
    adapted_summary,
    axis_summary,
    chosen_by,
    look_text,
    others_text,
    summary,
)
from headstart.report.rendering.tables import Cell, Table


def markdown(study: Study, name: str, command: str | None) -> str:
    """The report's sentences and tables, GitHub's flavour."""
    parts = [f"# {_escaped(name)}: what transfer brought", f"{study.metric}, against {study.baseline}."]
    if command:
        parts.append(f"```\n{command}\n```")
    for adapted in study.adapted:
        parts.append(f"## {_escaped(' '.join(['On a target without labels', *adapted.setting]))}")
        sentences = (*adapted_summary(adapted), *adapted.hints)
        parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in sentences))
        parts.append(_escaped(chosen_by(adapted)))
        shown = [tables.methods(adapted), tables.per_class(adapted), tables.oracle(adapted)]
        parts += [_table(table) for table in shown if table]
    for axis in study.axes:
        parts.append(f"## Over {_escaped(axis.key)}")
        parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in axis_summary(axis)))
        parts += [_table(table) for table in tables.along(axis)]
    for section in study.sections:
        if section.setting:
            parts.append(f"## {_escaped(' '.join(section.setting))}")
        parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in (*summary(section, study), *section.hints)))
        found = [tables.verdicts(section, asked, study.metric) for asked in Question]
        found += [tables.as_set(section), *tables.of_section(section, study)]
        parts += [_table(table) for table in found if table]
    for table in (
        tables.level_arms(study),
        tables.settings(study),
        tables.sources(study),
        tables.run_list(study),
        tables.adapted_list(study),
        tables.level_list(study),
        tables.left_out(study),
    ):
        if table:
            parts.append(_table(table))
    if study.verdicts:
        parts.append(look_text(study))
    if study.others:
        parts.append(others_text(study))
    parts.append("### How the numbers are defined")
    parts.append("\n".join(f"- **{term}**: {_escaped(meaning)}" for term, meaning in definitions(study)))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [f"### {_escaped(table.title)}", ""]
    if table.note:
        lines += [_escaped(table.note), ""]
    lines.append(_row(table.head))
    lines.append(_row(["---"] * len(table.head)))
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"{text} ({_escaped(cell.below)})" if cell.below else text


def _escaped(text: str) -> str:
    """Text that a Markdown reader shows as it is: no cell, tag or emphasis begins in it."""
    for mark in "\\|<>*_`":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

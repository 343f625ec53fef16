"""A ranking of candidates as Markdown, and as lines for a terminal."""

from __future__ import annotations

from typing import Any

from headstart.report.rendering.markdown_report import escaped, markdown_table
from headstart.report.rendering.tables.ranking_tables import ranking_tables
from headstart.report.rendering.tables.table_cells import ReportTable
from headstart.report.rendering.wording.ranking_words import recommendation
from headstart.system.printing.aligned_columns import aligned

SHORT = ("Candidates", "Not computed")  # tables that a terminal shows


def ranking_markdown(result: dict[str, Any], command: str) -> str:
    """The page: the recommendation, then all tables, in GitHub's Markdown.

    Args:
        result: The content of result.json of task=rank_sources.
        command: That makes the ranking again.
    """
    parts = ["# Which source to start from", f"```\n{command}\n```"]
    parts.append("\n".join(f"- {escaped(sentence)}" for sentence in recommendation(result)))
    if result["picture"]:
        parts.append(f"![Ranks of the candidates by each score]({result['picture']})")
    parts += map(markdown_table, ranking_tables(result))
    return "\n\n".join(parts) + "\n"


def ranking_text(result: dict[str, Any], *, whole: bool = False) -> str:
    """The tables and the recommendation as aligned lines.

    Args:
        result: As for ranking_markdown.
        whole: Whether all tables are shown.
    """
    shown = [table for table in ranking_tables(result) if whole or table.title in SHORT]
    lines = [line for table in shown for line in table_lines(table)]
    return "\n".join([*lines, *(f"  {sentence}" for sentence in recommendation(result))])


def table_lines(table: ReportTable) -> list[str]:
    """A table with its note as aligned lines.

    Args:
        table: Of any report.
    """
    cells = [table.head, *([cell.text for cell in row] for row in table.rows)]
    note = [f"  {table.note}"] if table.note else []
    return [f"{table.title}:", *(f"  {line}" for line in aligned(cells)), *note, ""]

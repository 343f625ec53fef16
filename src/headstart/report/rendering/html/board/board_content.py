"""The list of runs as the page's template and script need it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from headstart.report.analysis.study_records import Study
from headstart.report.leaderboard.run_entries import BoardColumn, RunEntry
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.charts.cost_chart import cost_chart
from headstart.report.rendering.charts.parallel_chart import parallel_chart
from headstart.report.rendering.tables.ranked_setting_tables import front_table, importance_table, study_table
from headstart.report.rendering.tables.run_tables import relative_link
from headstart.report.rendering.tables.table_cells import TableCell
from headstart.report.rendering.wording.leaderboard_words import board_sentences
from headstart.report.rendering.wording.number_format import MISSING, number

SHOWN = 50  # runs in the page itself; the script shows the others
DIGITS = 6  # of the numbers that the script gets


def board_content(ranking: StudyRanking, study: Study, folder: Path) -> dict[str, Any]:
    """What the template shows of the list of runs.

    Args:
        ranking: The runs, ranked.
        study: The comparison.
        folder: Where the page will lie; links to run folders are relative to it.
    """
    board = ranking.board
    figure = board.figure
    return {
        "leads": not study.compares,
        "sentences": board_sentences(ranking, study),
        "keys": board.keys,
        "columns": board.columns,
        "rows": [_row(entry, board.keys, board.columns, folder) for entry in board.entries[:SHOWN]],
        "count": len(board.entries),
        "shown": min(SHOWN, len(board.entries)),
        "figure": figure.title,
        "data": board_data(ranking, folder),
        "costs": [(cost_chart(front, figure), front_table(front, figure)) for front in ranking.fronts],
        "parallel": parallel_chart(ranking),
        "importance": importance_table(ranking),
        "studies": study_table(ranking),
        "settings": ranking.measured,
    }


def board_data(ranking: StudyRanking, folder: Path) -> dict[str, Any]:
    """All runs in plain values, for the script: settings, numbers, state, reason, name and link of each.

    Args:
        ranking: The runs, ranked.
        folder: Where the page will lie.
    """
    board = ranking.board
    rows = []
    for entry in board.entries:
        link = relative_link(entry.folder, folder)
        rows.append(
            [
                [entry.settings[key] for key in board.keys],
                [_short(entry.values[column.key]) for column in board.columns],
                entry.state,
                entry.why,
                entry.folder.name,
                0 if link == entry.folder.name else link,
            ]
        )
    columns = [{"title": c.title, "lower": c.lower, "decimals": c.decimals} for c in board.columns]
    replicates = [key not in board.setting_keys for key in board.keys]
    return {"keys": board.keys, "replicates": replicates, "columns": columns, "rows": rows, "step": SHOWN}


def _row(entry: RunEntry, keys: tuple[str, ...], columns: tuple[BoardColumn, ...], folder: Path) -> dict[str, Any]:
    return {
        "settings": [entry.settings[key] or MISSING for key in keys],
        "values": [number(entry.values[column.key], column.decimals) for column in columns],
        "state": TableCell(entry.state, entry.why),
        "folder": TableCell(entry.folder.name, link=relative_link(entry.folder, folder)),
    }


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.{DIGITS}g}")

"""All runs of a report as a CSV file that no spreadsheet computes."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.tables.run_tables import relative_link
from headstart.system.files.csv_cells import cell


def run_csv(ranking: StudyRanking, folder: Path) -> str:
    """A line for each run, the best first: its settings, numbers in full, state, reason and folder; empty: not known.

    Args:
        ranking: The runs, ranked.
        folder: That the runs' folders are relative to.
    """
    board = ranking.board
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    keys = [column.key for column in board.columns]
    named = [board.figure.title, *keys[1:]]
    writer.writerow([cell(text) for text in (*board.keys, *named, "state", "why", "folder")])
    for entry in board.entries:
        numbers = [repr(entry.values[key]) if math.isfinite(entry.values[key]) else "" for key in keys]
        texts = [entry.settings[key] for key in board.keys]
        where = relative_link(entry.folder, folder) or entry.folder.name
        writer.writerow([*map(cell, texts), *numbers, *map(cell, (entry.state, entry.why, where))])
    return stream.getvalue()

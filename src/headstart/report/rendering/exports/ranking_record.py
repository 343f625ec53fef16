"""The ranking of all runs in plain values, as report.json has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.report.analysis.study_records import Study
from headstart.report.leaderboard.setting_groups import SettingGroup
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.tables.run_tables import relative_link
from headstart.report.rendering.wording.leaderboard_words import board_sentences
from headstart.system.files.atomic_write import plain


def ranking_record(ranking: StudyRanking, study: Study, folder: Path) -> dict[str, Any]:
    """`ranking` and `runs`, the best first.

    Args:
        ranking: The runs, ranked.
        study: The comparison.
        folder: That the runs' folders are relative to.
    """
    board = ranking.board
    importance = ranking.importance
    places = {id(group): place for place, group in enumerate(ranking.groups)}
    content: dict[str, Any] = plain(
        {
            "ranking": {
                "summary": board_sentences(ranking, study),
                "by": board.figure.title,
                "keys": board.keys,
                "best": None if ranking.best is None else _group(ranking.best, board.figure.key),
                "settings": [_group(group, board.figure.key) for group in ranking.groups],
                "fronts": {front.cost.key: [places[id(group)] for group in front.front] for front in ranking.fronts},
                "importance": {
                    "shares": {entry.key: entry.share for entry in importance.shares},
                    "of_settings": importance.settings,
                    "not_computed": importance.why or None,
                },
            },
            "runs": [
                {
                    "folder": relative_link(entry.folder, folder) or entry.folder.name,
                    "state": entry.state,
                    "why": entry.why or None,
                    "settings": entry.settings,
                    **{column.key: entry.values[column.key] for column in board.columns},
                }
                for entry in board.entries
            ],
        }
    )
    return content


def _group(group: SettingGroup, figure: str) -> dict[str, Any]:
    return {
        "settings": group.settings,
        "runs": len(group.entries),
        "measured": group.count,
        "mean": group.means[figure],
        "standard_deviation": group.spread,
        "means": group.means,
    }

"""Tables of settings: the best ones, those that nothing surpasses, and what each key explains."""

from __future__ import annotations

import math
import statistics

from headstart.report.leaderboard.run_entries import STUDY, BoardColumn
from headstart.report.leaderboard.setting_groups import SettingGroup
from headstart.report.leaderboard.study_ranking import CostFront, StudyRanking
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.leaderboard_words import setting_text
from headstart.report.rendering.wording.number_format import MISSING, number, short_values

MOST = 20  # settings of a table


def setting_table(ranking: StudyRanking) -> ReportTable:
    """The best settings with their runs, figure, spread and cost.

    Args:
        ranking: The runs, ranked.
    """
    head, *rows = group_rows(ranking, MOST)
    count = len(ranking.groups)
    note = f"The first {MOST} of {count} settings; report.csv has all runs." if count > MOST else ""
    return ReportTable("Settings by what they reached", head, [[TableCell(text) for text in row] for row in rows], note)


def study_table(ranking: StudyRanking) -> ReportTable | None:
    """Studies side by side: runs, the mean over settings that all of them have, and the best setting; None of one."""
    board = ranking.board
    if STUDY not in board.keys:
        return None
    figure, rest = board.figure, [key for key in board.setting_keys if key != STUDY]
    by_study: dict[str, dict[tuple[str, ...], SettingGroup]] = {}
    for group in ranking.groups:
        if group.is_whole:
            setting = tuple(group.settings[key] for key in rest)
            by_study.setdefault(group.settings[STUDY], {})[setting] = group
    shared = set.intersection(*(set(settings) for settings in by_study.values())) if len(by_study) > 1 else set()
    rows = [
        [
            TableCell(study),
            TableCell(str(sum(group.count for group in settings.values()))),
            TableCell(number(_mean([settings[setting].means[figure.key] for setting in shared]), figure.decimals)),
            TableCell(number(next(iter(settings.values())).means[figure.key], figure.decimals)),
            TableCell(setting_text({key: next(iter(settings.values())).settings[key] for key in rest})),
        ]
        for study, settings in sorted(by_study.items())
    ]
    head = [STUDY, "runs", f"mean of {len(shared)} shared settings", f"first by {figure.title}", "its setting"]
    note = "Settings whose runs all ended well. A shared setting is one that every study has."
    return ReportTable("Studies side by side", head, rows, note)


def _mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def front_table(front: CostFront, figure: BoardColumn) -> ReportTable:
    """The settings that no other surpasses in the figure and a cost.

    Args:
        front: Of one cost.
        figure: The column that ranks.
    """
    rows = [
        [
            TableCell(setting_text(group.settings)),
            TableCell(number(group.means[figure.key], figure.decimals)),
            TableCell(number(group.means[front.cost.key], front.cost.decimals)),
            TableCell(str(len(group.entries))),
        ]
        for group in front.front
    ]
    head = ["setting", figure.title, front.cost.title, "runs"]
    return ReportTable(f"No other setting surpasses these in {figure.title} and {front.cost.title}", head, rows)


def importance_table(ranking: StudyRanking) -> ReportTable:
    """The share of the variance that each setting explains; a note alone where there is none.

    Args:
        ranking: The runs, ranked.
    """
    importance = ranking.importance
    figure = ranking.board.figure.title
    if importance.why:
        return ReportTable("Importance of each setting", [], [], f"Not computed: {importance.why}.")
    rows = [[TableCell(entry.key), TableCell(f"{100 * entry.share:.0f} %")] for entry in importance.shares]
    rest = max(0.0, 1 - sum(entry.share for entry in importance.shares))
    note = (
        f"The share of the variance of {figure} between {importance.settings} settings that each explains alone, over "
        f"the values that were tried (functional ANOVA); {100 * rest:.0f} % are of settings together, and chance."
    )
    return ReportTable("Importance of each setting", ["setting", "share"], rows, note)


def group_rows(ranking: StudyRanking, most: int) -> list[list[str]]:
    """The first settings as texts: the head, then each with its runs, figure, spread, test metric and cost.

    Args:
        ranking: The runs, ranked.
        most: How many settings.
    """
    board = ranking.board
    others = [column for column in board.columns[1:] if column.key in ("test", "wall_s", "parameters")]
    head = [*board.setting_keys, "runs", board.figure.title, "std. dev.", *(column.title for column in others)]
    shown = ranking.groups[:most]
    columns = [short_values([group.settings[key] or MISSING for group in shown]) for key in board.setting_keys]
    rows = [
        [
            *(column[place] for column in columns),
            _runs(group),
            number(group.means[board.figure.key], board.figure.decimals),
            number(group.spread, board.figure.decimals),
            *(number(group.means[column.key], column.decimals) for column in others),
        ]
        for place, group in enumerate(shown)
    ]
    return [head, *rows]


def _runs(group: SettingGroup) -> str:
    """3; 2 of 3, where one failed or diverged."""
    return str(group.count) if group.is_whole else f"{group.count} of {len(group.entries)}"

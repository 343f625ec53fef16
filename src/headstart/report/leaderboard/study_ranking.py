"""A study's runs by what they reached: settings, the best one, what it costs, which settings matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headstart.report.analysis.study_records import Study
from headstart.report.leaderboard.pareto_front import pareto_front
from headstart.report.leaderboard.run_board import leaderboard_of
from headstart.report.leaderboard.run_entries import COSTS, BoardColumn, Leaderboard
from headstart.report.leaderboard.setting_groups import SettingGroup, best_setting, setting_groups
from headstart.report.leaderboard.setting_importance import SettingImportance, importance_of
from headstart.report.stored_runs.study_runs import RunsBelow


@dataclass(frozen=True)
class CostFront:
    """Settings by figure and one cost.

    Attributes:
        cost: The column.
        groups: All settings that have both, in the order of the ranking.
        front: Those that no other surpasses in both, by ascending cost.
    """

    cost: BoardColumn
    groups: tuple[SettingGroup, ...]
    front: tuple[SettingGroup, ...]


@dataclass(frozen=True)
class StudyRanking:
    """The runs of a study, ranked.

    Attributes:
        board: All runs.
        groups: Settings, the best first.
        best: The best of those whose runs all ended well; None where there is none, and where test ranks them.
        fronts: One for each cost that differs between settings.
        importance: Of each setting.
    """

    board: Leaderboard
    groups: tuple[SettingGroup, ...]
    best: SettingGroup | None
    fronts: tuple[CostFront, ...]
    importance: SettingImportance

    @property
    def measured(self) -> int:
        """How many settings have the figure."""
        return sum(group.count > 0 for group in self.groups)


def ranking_of(study: Study, runs_below: RunsBelow) -> StudyRanking:
    """The ranking of all runs that a report was made of.

    Args:
        study: The comparison.
        runs_below: What lies below the study's folder.
    """
    board = leaderboard_of(study, runs_below)
    groups = setting_groups(board)
    figure = board.figure.key
    return StudyRanking(
        board=board,
        groups=groups,
        best=None if study.metric.startswith("test/") else best_setting(groups, figure),
        fronts=tuple(front for key in COSTS if (front := _front(board, groups, key)) is not None),
        importance=importance_of(groups, board.setting_keys, figure),
    )


def _front(board: Leaderboard, groups: tuple[SettingGroup, ...], key: str) -> CostFront | None:
    figure = board.figure
    usable = tuple(g for g in groups if math.isfinite(g.means[figure.key]) and math.isfinite(g.means[key]))
    costs = [group.means[key] for group in usable]
    if len(set(costs)) < 2:
        return None
    figures = [group.means[figure.key] for group in usable]
    front = pareto_front(figures, costs, lower=bool(figure.lower))
    column = next(column for column in board.columns if column.key == key)
    return CostFront(column, usable, tuple(usable[i] for i in front))

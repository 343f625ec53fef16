"""Settings of a leaderboard: runs that differ in seed and fold alone, with their means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from headstart.report.leaderboard.run_entries import FINISHED, Leaderboard, RunEntry


@dataclass(frozen=True)
class SettingGroup:
    """Runs of one setting.

    Attributes:
        settings: Key -> value; without seed and fold.
        entries: The runs.
        means: Column -> mean over the finished runs that have the number; nan where none has.
        spread: Standard deviation of the figure over these runs; nan of fewer than two.
        count: How many finished runs have the figure.
    """

    settings: dict[str, str] = field(hash=False)
    entries: tuple[RunEntry, ...]
    means: dict[str, float] = field(hash=False)
    spread: float
    count: int

    @property
    def is_whole(self) -> bool:
        """Whether each of its runs ended well and has the figure, so that the mean leaves out no bad one."""
        return self.count == len(self.entries) > 0


def setting_groups(board: Leaderboard) -> tuple[SettingGroup, ...]:
    """The settings, the best mean of the figure first; those of which a run failed or diverged after the others.

    Args:
        board: The leaderboard.
    """
    by_setting: dict[tuple[str, ...], list[RunEntry]] = {}
    for entry in board.entries:
        if entry.state != "replaced":
            by_setting.setdefault(tuple(entry.settings[key] for key in board.setting_keys), []).append(entry)
    groups = [_group(board, values, entries) for values, entries in by_setting.items()]
    figure, sign = board.figure.key, 1.0 if board.figure.lower else -1.0

    def rank(group: SettingGroup) -> tuple[bool, bool, float]:
        mean = group.means[figure]
        return not math.isfinite(mean), not group.is_whole, sign * mean if math.isfinite(mean) else 0.0

    return tuple(sorted(groups, key=rank))


def best_setting(groups: Sequence[SettingGroup], figure: str) -> SettingGroup | None:
    """The setting with the best mean among those whose runs all ended well; None where there is none.

    Args:
        groups: As `setting_groups` gives them.
        figure: The column that ranks.
    """
    return next((group for group in groups if group.is_whole and math.isfinite(group.means[figure])), None)


def _group(board: Leaderboard, values: tuple[str, ...], entries: list[RunEntry]) -> SettingGroup:
    ended = [entry for entry in entries if entry.state == FINISHED]
    numbers = {
        column.key: [entry.values[column.key] for entry in ended if math.isfinite(entry.values[column.key])]
        for column in board.columns
    }
    figures = numbers[board.figure.key]
    return SettingGroup(
        settings=dict(zip(board.setting_keys, values, strict=True)),
        entries=tuple(entries),
        means={key: statistics.fmean(found) if found else math.nan for key, found in numbers.items()},
        spread=statistics.stdev(figures) if len(figures) > 1 else math.nan,
        count=len(figures),
    )

"""The error that each look at a growing study spends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from headstart.report.statistics.seed_intervals import ALPHA


@dataclass(frozen=True)
class Look:
    """One report of a study."""

    seeds: int  # the number of seeds, the least of any arm
    digest: str  # of the data that were looked at: the same data again are the same look
    spent: float  # the level of this look
    decided: dict[str, str] = field(default_factory=dict)  # by question and arm: yes, negative transfer or no


def cumulative_share(seeds: int) -> float:
    """The share of the error that a study may have spent once it has so many seeds, 0 .. 1, rising.

    0.85 (1 - exp(-((n - 2) / 2.4)²)) + 0.15 (1 - 2/n): little at 3 seeds (.19), most by 5 (.76), the rest for ever.

    Args:
        seeds: n, the least number of seeds of any arm.
    """
    if seeds < 2:
        return 0.0
    return 0.85 * (1 - math.exp(-(((seeds - 2) / 2.4) ** 2))) + 0.15 * (1 - 2 / seeds)


def level_of(seeds: int, earlier: Sequence[Look], *, fixed: bool, digest: str = "", alpha: float = ALPHA) -> float:
    """The level of a look now: alpha times the cumulative share, less what earlier looks have spent.

    The same digest as an earlier look has that look's level. The levels of all looks add up to alpha at most, so by
    Bonferroni's inequality the probability of any false verdict in any look is at most alpha, whenever one looks.
    Lan & DeMets 1983, Discrete sequential boundaries for clinical trials.

    Args:
        seeds: The least number of seeds of any arm.
        earlier: The looks before, in order.
        fixed: The seeds were fixed before the first look, which then has all of alpha, and later looks have nothing.
        digest: Of the data that are looked at.
        alpha: The error that all looks may spend.
    """
    for look in earlier:
        if digest and look.digest == digest:
            return look.spent
    spent = math.fsum(look.spent for look in earlier)
    share = 1.0 if fixed else cumulative_share(seeds)
    return max(0.0, alpha * share - spent)

"""Candidates of a ranking, in the order of a score or of what is known without the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Ranked = dict[str, Any]  # a candidate as result.json of task=rank_sources has it


def by_score(listed: Sequence[Ranked], score: str) -> list[Ranked]:
    """The candidates that have a score, the best first.

    Args:
        listed: The candidates of a ranking.
        score: Its name.
    """
    having = [entry for entry in listed if score in entry["scores"]]
    return sorted(having, key=lambda entry: entry["scores"][score]["value"], reverse=True)


def by_static_rank(listed: Sequence[Ranked]) -> list[Ranked]:
    """The candidates by the static rank: more parameters first, of equals the better one on its own data.

    Args:
        listed: The candidates of a ranking.
    """
    return sorted(listed, key=lambda entry: (entry["parameters"], entry["own_accuracy"] or -1.0), reverse=True)


def scores_in(listed: Sequence[Ranked]) -> list[str]:
    """The names of the scores that a candidate has, in their order.

    Args:
        listed: The candidates of a ranking.
    """
    return list(dict.fromkeys(name for entry in listed for name in [*entry["scores"], *entry["missing"]]))

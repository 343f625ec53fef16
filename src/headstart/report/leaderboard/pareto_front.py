"""Settings that no other one surpasses in a figure and a cost at once."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(figures: Sequence[float], costs: Sequence[float], *, lower: bool) -> list[int]:
    """Positions of the points on the front, by ascending cost.

    No other point is at least as good in both and better in one.

    Args:
        figures: Of each point.
        costs: Of each point; less is better.
        lower: Whether less of the figure is better.
    """
    sign = 1.0 if lower else -1.0
    order = sorted(range(len(figures)), key=lambda i: (costs[i], sign * figures[i]))
    front: list[int] = []
    for i in order:
        if not front:
            front.append(i)
            continue
        last = front[-1]
        if sign * figures[i] < sign * figures[last] or (figures[i] == figures[last] and costs[i] == costs[last]):
            front.append(i)
    return front

"""A part of a split with images of each of its classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.labelled_split import Labels
from headstart.data.splits.interleaved_classes import by_turns, class_positions


def stratified(label: Labels, at_most: int | None, of_each: int) -> NDArray[np.int64]:
    """Positions (n,), ascending, of `at_most` images, and of so many more that each class has `of_each` or all it has.

    label (N,): the classes as equal as their images allow, the first of each class. label (N, classes), 0 or 1: spread
    evenly over the split, so that classes stay about as frequent. None: all positions. No random number is drawn: the
    same labels give the same positions.
    """
    count = len(label)
    if at_most is None or at_most >= count:
        return np.arange(count)
    if label.ndim == 1:
        order = by_turns(label)
        needed = sum(min(of_each, len(pool)) for pool in class_positions(label))
        return np.sort(order[: max(at_most, needed)])
    spread = by_turns(label)[np.linspace(0, count - 1, at_most).round().astype(np.int64)]
    chosen = [spread, *(np.flatnonzero(column)[:of_each] for column in label.T)]
    return np.unique(np.concatenate(chosen))

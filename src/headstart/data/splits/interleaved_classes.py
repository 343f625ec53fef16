"""Orders of a split in which the classes take turns, and the images of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.labelled_split import Labels
from headstart.data.splits.multi_label_division import leading
from headstart.data.splits.number_division import quantile_bins


def by_turns(label: Labels, *, numbers: bool = False) -> NDArray[np.int64]:
    """Positions with the classes taking turns, each class in its own order: any first part holds all classes alike.

    `limit_val_batches` and `overfit_batches` look at the first batches only. An image of several classes counts for
    the rarest of them. numbers: labels are numbers (N, columns), and the quantiles of the first column take turns.
    """
    if numbers:
        label = quantile_bins(label[:, 0].astype(np.float32))
    number = label.astype(np.int64) if label.ndim == 1 else leading(label.astype(np.float32))
    turn = np.zeros_like(number)
    for class_number in np.unique(number):
        turn[number == class_number] = np.arange((number == class_number).sum())
    return np.lexsort((number, turn))


def class_positions(label: Labels) -> list[NDArray[np.int64]]:
    """The positions of each class's images, those without any label at the end."""
    if label.ndim == 1:
        return [np.flatnonzero(label == number) for number in np.unique(label)]
    return [*(np.flatnonzero(column) for column in label.T), np.flatnonzero(~label.any(axis=1))]

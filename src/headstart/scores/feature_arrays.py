"""Features and labels of a score: read in blocks of rows, checked, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Features = Any  # an array-like (N, D), or its shards, each (n, D), in order
BLOCK_ROWS = 4096
NOT_FINITE = "features must be finite, got NaN or infinity; did the source model diverge?"


def feature_shards(features: Features) -> list[Any]:
    """The shards of features; an array is one shard.

    Args:
        features: An array (N, D), memory-mapped or not, or a sequence of such arrays, which are read in order.

    Raises:
        ValueError: Where there are no rows, or the shards are not matrices of one width.
    """
    shards = list(features) if isinstance(features, (list, tuple)) and np.ndim(features[0]) == 2 else [features]
    shards = [shard if hasattr(shard, "shape") else np.asarray(shard, dtype=np.float64) for shard in shards]
    shapes = [tuple(shard.shape) for shard in shards]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
        raise ValueError(f"features must be a matrix (images, width) or shards of one width, got the shapes {shapes}")
    if not sum(shape[0] for shape in shapes) or not shapes[0][1]:
        raise ValueError(f"features must have at least one row and one column, got the shapes {shapes}")
    return shards


def feature_blocks(features: Features, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, Floats]]:
    """Blocks of features in order, each with the number of its first row.

    Args:
        features: An array (N, D) or its shards.
        rows: The largest number of rows in a block.

    Raises:
        ValueError: Where a value is not finite.
    """
    first = 0
    for shard in feature_shards(features):
        for begin in range(0, len(shard), rows):
            block = np.asarray(shard[begin : begin + rows], dtype=np.float64)
            if not np.isfinite(block).all():
                raise ValueError(NOT_FINITE)
            yield first + begin, block
        first += len(shard)


def feature_rows(features: Features, chosen: Integers, rows: int) -> Iterator[Floats]:
    """Blocks of some of the rows, in the order given.

    Args:
        features: An array (N, D) or its shards.
        chosen: Numbers of rows, in rising order.
        rows: The largest number of rows in a block.

    Raises:
        ValueError: Where a value is not finite.
    """
    shards = feature_shards(features)
    ends = np.cumsum([len(shard) for shard in shards])
    for begin in range(0, len(chosen), rows):
        part = chosen[begin : begin + rows]
        of_shard = np.searchsorted(ends, part, side="right")
        taken = [
            np.asarray(
                shards[number][part[of_shard == number] - (ends[number] - len(shards[number]))], dtype=np.float64
            )
            for number in np.unique(of_shard)
        ]
        block = taken[0] if len(taken) == 1 else np.concatenate(taken)
        if not np.isfinite(block).all():
            raise ValueError(NOT_FINITE)
        yield block


def feature_matrix(features: Features) -> Floats:
    """All features at once, (N, D).

    Args:
        features: An array (N, D) or its shards.

    Raises:
        ValueError: Where a value is not finite.
    """
    blocks = [block for _, block in feature_blocks(features)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@dataclass(frozen=True)
class TargetClasses:
    """Labels as indices of the classes that occur.

    Args:
        index: (N,), from 0 to C - 1.
        counts: (C,), images of each class, at least 1.
    """

    index: Integers
    counts: Integers

    @property
    def number(self) -> int:
        return len(self.counts)

    @property
    def shares(self) -> Floats:
        """(C,), the share of each class."""
        return np.asarray(self.counts / len(self.index), dtype=np.float64)


def target_classes(labels: ArrayLike, images: int) -> TargetClasses:
    """The classes that occur in labels; a class without images does not count.

    Args:
        labels: Integers (N,).
        images: N, the rows of the features.

    Raises:
        ValueError: Where the labels are no integers, their number is not that of the images, or all are of one class.
    """
    classes = np.asarray(labels)
    if classes.ndim != 1 or not (np.issubdtype(classes.dtype, np.integer) or classes.dtype == bool):
        raise ValueError(f"labels must be a vector of integers, got {classes.dtype} of the shape {classes.shape}")
    if len(classes) != images:
        raise ValueError(f"labels must be as many as the images, got {len(classes)} labels and {images} images")
    _, index, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError("a score compares classes, but all images are of one class; take more of the target's images")
    return TargetClasses(index.astype(np.int64), counts.astype(np.int64))


def number_of_images(features: Features) -> int:
    """The rows of features.

    Args:
        features: An array (N, D) or its shards.
    """
    return sum(len(shard) for shard in feature_shards(features))


def probability_matrix(probabilities: ArrayLike) -> Floats:
    """The source model's softmax over its own classes, in float64.

    Args:
        probabilities: (N, Z); each row sums to 1.

    Raises:
        ValueError: Where the rows are no distributions: logits, or the transposed matrix.
    """
    matrix = np.asarray(probabilities, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"probabilities must be a matrix (images, source classes), got the shape {matrix.shape}")
    sums = matrix.sum(axis=1)
    if not np.isfinite(matrix).all() or matrix.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            "each row of the source model's probabilities must sum to 1; are these logits? Apply a softmax first"
        )
    return np.asarray(matrix / sums[:, None], dtype=np.float64)

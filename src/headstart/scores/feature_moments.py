"""Counts, sums and products of features by class, from one pass over their rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import (
    Features,
    Floats,
    TargetClasses,
    feature_blocks,
    number_of_images,
    target_classes,
)


@dataclass(frozen=True)
class FeatureMoments:
    """What scores of second order need of the features, which is independent of the number of images.

    All but `total` is of x - origin, as sums of squares of features that lie far from 0 lose their digits.

    Args:
        classes: The target's classes.
        origin: (D,), the mean of the first block.
        sums: (C, D), the sum of each class.
        squares: (C, D), the sum of squares of each class.
        products: (D, D), the sum of x xᵀ.
        norms: Sum over the images of |x|^4.
        norm_weighted: (D,), sum of |x|^2 x.
    """

    classes: TargetClasses
    origin: Floats
    sums: Floats
    squares: Floats
    products: Floats
    norms: float
    norm_weighted: Floats

    @property
    def images(self) -> int:
        return len(self.classes.index)

    @property
    def mean(self) -> Floats:
        """(D,), less the origin."""
        return np.asarray(self.sums.sum(axis=0) / self.images)

    @property
    def class_means(self) -> Floats:
        """(C, D), less the origin."""
        return np.asarray(self.sums / self.classes.counts[:, None])

    @property
    def class_variances(self) -> Floats:
        """(C, D), over n."""
        return np.maximum(self.squares / self.classes.counts[:, None] - self.class_means**2, 0)

    @property
    def covariance(self) -> Floats:
        """(D, D), over N."""
        return np.asarray(self.products / self.images - np.outer(self.mean, self.mean))

    @property
    def between_classes(self) -> Floats:
        """(D, D), the covariance over N of the features where each is replaced by the mean of its class."""
        away = self.class_means - self.mean
        return np.asarray((away * self.classes.shares[:, None]).T @ away)

    @property
    def shrinkage(self) -> float:
        """The share of the scaled identity in Ledoit and Wolf's estimate of the covariance, from 0 to 1.

        Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices, section 3.3.
        """
        width, images, covariance, mean = len(self.mean), self.images, self.covariance, self.mean
        identity = np.trace(covariance) / width
        distance = float((covariance**2).sum() - width * identity**2)
        if distance <= 0:
            return 0.0
        # sum over the images of |x - mean|^4
        offset, trace = float(mean @ mean), float(np.trace(self.products))
        fourth = (
            self.norms + 4 * mean @ self.products @ mean + images * offset**2 - 4 * mean @ self.norm_weighted
            + 2 * offset * trace - 4 * offset * images * offset
        )  # fmt: skip
        error = (float(fourth) / images - float((covariance**2).sum())) / images
        return float(min(max(error, 0.0) / distance, 1.0))


def feature_moments(features: Features, labels: ArrayLike) -> FeatureMoments:
    """The moments of features by class, from one pass.

    Args:
        features: An array (N, D) or its shards.
        labels: Integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    return moments_of_blocks(feature_blocks(features), target_classes(labels, number_of_images(features)))


def moments_of_blocks(blocks: Iterable[tuple[int, Floats]], classes: TargetClasses) -> FeatureMoments:
    """The moments of features that come in blocks.

    Args:
        blocks: Of rows (n, D) in order, each with the number of its first row.
        classes: The target's classes.
    """
    origin = np.zeros(0)
    for first, block in blocks:
        if not len(origin):
            width, origin = block.shape[1], block.mean(axis=0)
            sums, squares = np.zeros((classes.number, width)), np.zeros((classes.number, width))
            products, norm_weighted, norms = np.zeros((width, width)), np.zeros(width), 0.0
        away = block - origin
        member = np.zeros((classes.number, len(block)))
        member[classes.index[first : first + len(block)], np.arange(len(block))] = 1
        lengths = (away**2).sum(axis=1)
        sums += member @ away
        squares += member @ away**2
        products += away.T @ away
        norms += float((lengths**2).sum())
        norm_weighted += lengths @ away
    return FeatureMoments(classes, origin, sums, squares, products, norms, norm_weighted)

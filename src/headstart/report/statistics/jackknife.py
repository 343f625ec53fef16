"""Delete-a-group jackknife: what groups of images contribute to a metric that is no mean over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.report.statistics.crossed_intervals import Contributions

GROUPS = 40  # 39 degrees of freedom between them: t is 2.02 in place of 1.96


def image_groups(images: Sequence[NDArray[np.uint64]], groups: int = GROUPS) -> list[NDArray[np.intp]]:
    """The group, 0 .. groups - 1, of each image of each run; an image is in the same group in all runs.

    Groups are equal in size, to one image, over all images together; there are fewer where fewer images are.

    Args:
        images: Of each run the numbers of its images, (n,).
        groups: How many at most.
    """
    every, place = np.unique(np.concatenate(list(images)), return_inverse=True)
    group = place % max(1, min(groups, len(every)))  # the numbers are digests: their order is random
    return np.split(group, np.cumsum([len(image) for image in images])[:-1])


def pseudo_values(statistic: Callable[[NDArray[np.intp]], float], group: NDArray[np.intp]) -> Contributions:
    """What each group of images contributes to a metric of one seed, to be put into `crossed_interval`.

    One value a group, G * all - (G - 1) * all without it, moved so that their mean is the metric of all images (the
    jackknife's correction of bias is left out: a seed's difference stays what the page shows). For a mean over images
    and equal groups the values are the groups' means.
    Tukey 1958; Efron & Stein 1981, The jackknife estimate of variance; groups: Shao & Tu 1995, ch. 2.

    Args:
        statistic: The metric of the images with these indices; of a paired difference: mode minus baseline.
        group: Each image's group (n,), of `image_groups`.
    """
    groups = np.unique(group)
    whole = statistic(np.arange(len(group)))
    without = np.array([statistic(np.flatnonzero(group != number)) for number in groups], dtype=np.float64)
    return Contributions(groups.astype(np.uint64), pseudo_from(whole, without))


def pseudo_from(whole: float, without: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pseudo-values (G,) of a metric; their mean is the metric itself.

    Args:
        whole: The metric of all images.
        without: The metrics (G,) without each group.
    """
    values = -(len(without) - 1) * without
    moved: NDArray[np.float64] = values - values.mean() + whole
    return moved

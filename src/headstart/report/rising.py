"""Whether an arm's curves still rise at the end of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.report.crossed import Contributions, crossed_interval
from headstart.report.passage import last_window
from headstart.report.statistics import Interval, t_interval

Floats = NDArray[np.float64]


class Rise(NamedTuple):
    """The last window of evaluations against the one before it."""

    difference: Interval  # of the mean levels, over seeds (and images)
    rising: bool | None  # None: too few seeds or evaluations to tell


def still_rising(
    levels: Sequence[Floats],
    *,
    resolution: float,
    window: int | None = None,
    images: Sequence[Contributions] | None = None,
) -> Rise:
    """Whether the last evaluations lie above those before them by more than noise.

    levels: of each run (E,), higher is better, training's evaluations. window: evaluations that give the level at
    the end (None: 10 %, at least 3); as many before them are what it is compared with. images: of each run the
    contributions of its images to that difference (`rise_of_images`), where the runs share images.
    resolution: as in `t_interval`.
    """
    size = [last_window(len(level)) if window is None else window for level in levels]
    enough = [len(level) >= 2 * n for level, n in zip(levels, size, strict=True)]
    if images is not None and all(enough):
        difference = crossed_interval(images, resolution=resolution)
    else:
        pairs = zip(levels, size, enough, strict=True)
        rises = [float(y[-n:].mean() - y[-2 * n : -n].mean()) for y, n, there in pairs if there]
        difference = t_interval(rises, resolution=resolution)
    return Rise(difference, difference.low > 0 if difference.known else None)


def rise_of_images(image: NDArray[np.uint64], answers: NDArray[np.generic], window: int | None = None) -> Contributions:
    """What each image contributes to one run's rise at the end.

    image (N,); answers (E, N): right or wrong, or any figure of an image whose mean is the level.
    """
    n = last_window(len(answers)) if window is None else window
    values = answers[-n:].mean(axis=0, dtype=np.float64) - answers[-2 * n : -n].mean(axis=0, dtype=np.float64)
    return Contributions(image, values)

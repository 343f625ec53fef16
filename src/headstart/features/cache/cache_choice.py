"""Choice of what a run caches: the borders of its phases, the places worth storing, the groups of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

from headstart.features.cache.activation_key import Place

C = TypeVar("C")


class ImageGroup(NamedTuple):
    """Images of a data set: a split, or `views` augmented views of each of its images."""

    split: str
    views: int = 0


def border(names: Sequence[str], parameters: Mapping[str, Iterable[str]], trainable: Set[str]) -> int:
    """How many leading stages have parameters, none of which is trainable.

    A stage without any may hold dropout, which is as what is around it.

    Args:
        names: Of the stages, from the input on.
        parameters: Stage -> the names of its parameters.
        trainable: The names of the parameters that learn.
    """
    for count, name in enumerate(names):
        own = tuple(parameters.get(name, ()))
        if not own or not trainable.isdisjoint(own):
            return count
    return len(names)


def phase_borders(
    names: Sequence[str], parameters: Mapping[str, Iterable[str]], trainable: Sequence[Set[str]], *, runs_copies: bool
) -> list[int]:
    """The border of each phase.

    Args:
        names: Of the stages, from the input on.
        parameters: Stage -> the names of its parameters.
        trainable: In each phase, the names of the parameters that learn.
        runs_copies: Whether a regularizer runs copies of the stages as they began: what was trainable meanwhile gives
            other activations than these.
    """
    opened: frozenset[str] = frozenset()
    borders = []
    for learns in trainable:
        opened = opened.union(learns) if runs_copies else frozenset(learns)
        borders.append(border(names, parameters, opened))
    return borders


def places_to_cache(borders: Sequence[int], *, stages: int, pools: bool) -> list[Place]:
    """What is worth storing in one pass: the border of a phase, and those of later ones in what stays frozen.

    Args:
        borders: Of the phase, then of those after it.
        stages: Of the backbone.
        pools: Whether what is behind the last stage is kept as pooled features.
    """
    worth, lowest = [], stages
    for number, at in enumerate(borders):
        if at <= lowest or number == 0:
            worth.append(at)
        lowest = min(lowest, at)
    if worth[0] == 0:
        return []
    return [Place(at, at == stages and pools) for at in dict.fromkeys(worth) if at]


def groups_to_cache(*, augments: bool, views: int, mixes: bool) -> list[ImageGroup]:
    """The images that a phase of training reads from the cache where it can.

    Args:
        augments: Whether training images are augmented.
        views: Cached views of each; 0 is none.
        mixes: Whether training images are mixed with each other before they enter the backbone.
    """
    if mixes:
        return [ImageGroup("val")]
    if not augments:
        return [ImageGroup("train"), ImageGroup("val")]
    return [*([ImageGroup("train", views)] if views else []), ImageGroup("val")]


def fitting(cuts: Sequence[C], needed_bytes: Callable[[C], int], max_bytes: int) -> list[C]:
    """The cuts that fit into the cache; the first, which the phase itself needs, comes first.

    Args:
        cuts: In the order of their use.
        needed_bytes: Of a cut.
        max_bytes: Of the cache.
    """
    chosen: list[C] = []
    left = max_bytes
    for cut in cuts:
        if (needed := needed_bytes(cut)) <= left:
            chosen, left = [*chosen, cut], left - needed
    return chosen

"""What a kind of picture receives and returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from headstart.explain.explained_network import Network
from headstart.types import Batch, UserError

Step = TypeVar("Step")
TO_ALL = ("gradient", "integrated_gradients", "smooth_grad", "occlusion")  # kinds that ask nothing of a network


class Shown(NamedTuple):
    """One image for a person to look at.

    name: of its file, without the ending, no two alike within a kind. image (H, W, 3), uint8. caption: what it is, in
    a line or two. alt: what can be seen in it, for those who cannot see it.
    """

    name: str
    image: NDArray[np.uint8]
    caption: str
    alt: str


class ExplainedImages(NamedTuple):
    """The images that are explained."""

    pixels: Tensor  # (N, C, H, W), uint8, of the size that the network wants
    names: tuple[str, ...]
    label: Tensor | None = None  # (N,), int64, the true class, or (N, classes) of several; None: nobody knows

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Subject:
    """What is explained. `network.at_rest()` is around all calls of a kind of picture.

    `searched`, `searched_names` and `before` are called only where a picture needs them.

    Args:
        network: The explained network.
        images: The explained images.
        class_names: In the order of the logits.
        batch_size: Images that pass through the network at once, at most.
        searched: All images of a split in batches of at most `batch_size`, uint8.
        searched_names: The names of these images, in the same order.
        before: The network with the weights that training began from; None where they are not known.
        quiet: Whether progress bars are hidden.
    """

    network: Network
    images: ExplainedImages
    class_names: tuple[str, ...]
    batch_size: int
    searched: Callable[[], Iterator[Batch]]
    searched_names: Callable[[], tuple[str, ...]]
    before: Callable[[], Network | None] = lambda: None
    quiet: bool = False

    def progress(self, steps: Iterable[Step], *, title: str, total: int | None = None) -> Iterable[Step]:
        """The same steps, with a bar while they are gone through."""
        bar: Iterable[Step] = tqdm(steps, desc=title, total=total, leave=False, disable=True if self.quiet else None)
        return bar

    def searching(self, *, title: str) -> Iterable[Batch]:
        """What is searched, with a bar."""
        total = math.ceil(len(self.searched_names()) / self.batch_size)
        return self.progress(self.searched(), title=title, total=total)

    def called(self, index: int) -> str:
        """A class's name."""
        return self.class_names[index]


class Picture(Protocol):
    """A kind of picture: a class with the settings of a YAML file in conf/picture/."""

    title: str  # a heading
    about: str  # what it shows and how to read it, in a sentence or two

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """Its images of a subject. Raises UnfitError where it does not apply to such a network."""
        ...


class UnfitError(UserError):
    """A kind of picture does not apply to this network; the message says why, and which kinds do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; {', '.join(TO_ALL[:-1])} and {TO_ALL[-1]} apply to every network")

"""A user's own data set, backbone and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Unpack

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import nn

from headstart.backbones.stages import Backbone
from headstart.data.dataset_settings import LoadingSettings
from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.types import SPLITS, Pixels
from headstart.unfreeze.schedules.schedule_phases import Phase

CLASSES = ("circle", "square", "triangle")
SIDE = 32  # pixels


class Shapes(InMemory):
    """Outlines of circles, squares and triangles, somewhere in an image, grey on black.

    thickness: of the line, in pixels. shots: training images a class; val and test have held_out a class each.
    """

    def __init__(
        self,
        *,
        thickness: Annotated[int, Interval(ge=1, le=5)],
        shots: Annotated[int, Ge(1)],
        held_out: Annotated[int, Ge(1)],
        **loading: Unpack[LoadingSettings],
    ) -> None:
        super().__init__(class_names=CLASSES, **loading)
        self.thickness, self.shots, self.held_out = thickness, shots, held_out

    def load(self) -> dict[str, LabelledImages]:
        counts = {"train": self.shots, "val": self.held_out, "test": self.held_out}
        return {split: self._drawn(split, counts[split]) for split in SPLITS}

    def _drawn(self, split: str, count: int) -> LabelledImages:
        seed = 0 if split == "test" else self.seed + 1  # the test is the same for every seed
        rng = np.random.default_rng([seed, SPLITS.index(split), self.thickness])
        images = [outline(name, self.thickness, rng) for name in CLASSES for _ in range(count)]
        return LabelledImages(np.stack(images), np.repeat(np.arange(len(CLASSES)), count))


def outline(name: str, thickness: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One shape of 10 to 20 pixels, turned at random: (SIDE, SIDE), uint8."""
    image = Image.new("L", (SIDE, SIDE))
    radius, turn = rng.uniform(5, 10), rng.uniform(0, 2 * np.pi)
    x, y = rng.uniform(radius + 2, SIDE - radius - 2, size=2)
    corners = {"circle": 60, "square": 4, "triangle": 3}[name]
    angles = turn + 2 * np.pi * np.arange(corners + 1) / corners
    line = [(x + radius * np.cos(angle), y + radius * np.sin(angle)) for angle in angles]
    ImageDraw.Draw(image).line(line, fill=int(rng.integers(120, 256)), width=thickness, joint="curve")
    return np.asarray(image)


def two_stages(*, width: Annotated[int, Ge(1)], keep: Annotated[int, Ge(1)] | None) -> Backbone:
    """Edges and corners: two convolutions of stride 2; its features are 2 * width wide."""
    stages = {
        "edges": nn.Sequential(nn.Conv2d(1, width, 5, 2, 2), nn.BatchNorm2d(width), nn.ReLU()),
        "corners": nn.Sequential(nn.Conv2d(width, 2 * width, 5, 2, 2), nn.BatchNorm2d(2 * width), nn.ReLU()),
    }
    return Backbone(stages, pixels=Pixels(SIDE, 1, (0.5,), (0.5,)), keep=keep)


@dataclass(frozen=True, kw_only=True)
class OneByOne:
    """The head alone, then each stage alone with it, from the head on, `epochs` each; all to the end of the run."""

    epochs: Annotated[int, Ge(1)]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        *stages, head = parts
        alone = [
            Phase(name=f"{stage} alone", trainable=(stage, head), epochs=self.epochs) for stage in reversed(stages)
        ]
        return (
            Phase(name=head, trainable=(head,), epochs=self.epochs),
            *alone,
            Phase(name="all", trainable=tuple(parts)),
        )

"""Data whose target has another share of each class than its source: what makes domains alike must then mix classes."""

import numpy as np

from headstart.data.datasets.in_memory import InMemory, LabelledImages

SIZES = {"train": 320, "val": 80, "test": 400}
SIDE = 16


class Corners(InMemory):
    """Grey noise with one bright corner, which is the class; `shares` of the classes, `light` on all of the image."""

    def __init__(self, *, shares: list[float], light: int, batch_size: int, num_workers: int, augment, pixels, seed):
        super().__init__(
            class_names=("north-west", "north-east", "south-west", "south-east"),
            batch_size=batch_size, num_workers=num_workers, augment=augment, pixels=pixels, seed=seed,
        )  # fmt: skip
        self.shares, self.light = shares, light

    def load(self):
        return {split: self._drawn(number, count) for number, (split, count) in enumerate(SIZES.items())}

    def _drawn(self, number, count):
        chance = np.random.default_rng([self.seed, number, self.light])
        label = np.repeat(np.arange(4), np.round(np.array(self.shares) * count).astype(int))
        image = 90 + self.light + 40 * chance.standard_normal((len(label), SIDE, SIDE))
        half = SIDE // 2
        for picture, corner in zip(image, label, strict=True):
            down, right = half * (corner // 2), half * (corner % 2)
            picture[down : down + half, right : right + half] += 60
        return LabelledImages(image.clip(0, 255).astype(np.uint8), label)

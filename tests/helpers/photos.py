"""Photos, so to speak, of three classes that a small network can tell apart."""

import numpy as np
from PIL import Image

CLASSES = ("dark", "light", "ramp")


def three_classes(folder, count):
    """Write photos/<class>/<number>.png into a folder, `count` of each class."""
    chance = np.random.default_rng(0)
    for name, low, high in zip(CLASSES, (0, 160, 0), (80, 255, 255), strict=True):
        for number in range(count):
            image = chance.integers(low, high + 1, (40, 48, 3)).astype(np.uint8)
            path = folder / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)

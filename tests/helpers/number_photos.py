"""Photos of a bar whose width and brightness a table has as numbers."""

import csv

import numpy as np
from PIL import Image

from composed import TINY

SMALL = [*TINY, "backbone.size=16", "target.batch_size=16", "trainer.max_epochs=4", "optimizer.lr=0.003"]


def number_photos(folder, images=120):
    """Images with a bar; age is 20 + 5 times its width, glow its brightness over 100."""
    chance, rows = np.random.default_rng(0), []
    for number in range(images):
        width, bright = int(chance.integers(1, 13)), chance.uniform(60, 220)
        image = chance.normal(20, 8, (16, 16))
        image[2:14, 1 : 1 + width] = bright + chance.normal(0, 5, (12, width))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
        rows.append([f"{number:03}.png", round(20 + 5 * width + chance.normal(0, 0.5), 3), round(bright / 100, 4)])
    with (folder / "bars.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "age", "glow"], *rows])
    return folder


def of_numbers(folder, columns="age"):
    return ["data@target=table", f"target.table={folder}/bars.csv", f"target.target_column={columns}"]

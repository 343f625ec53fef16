"""A sheet of images with a title each."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, LETTERS, LINES = 8, 20, 3
WIDTH, HEIGHT, SIDE = 1.3, 1.75, 1.2  # inches of a place for an image and its title, of the image


def image_sheet(images: Sequence[Tensor], titles: Sequence[str]) -> Figure:
    """Images in rows, the title above each.

    Args:
        images: (channels, H, W) each, uint8, grey or in colour; of other channels the first is shown.
        titles: Of each.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(COLUMNS, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: axes of their own would take four times as long
    axes.axis("off")
    for place, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, bottom = WIDTH * (place % columns) + (WIDTH - SIDE) / 2, HEIGHT * (place // columns + 1) - 0.03
        grey = image.shape[0] != 3
        shown = image[0] if grey else image.permute(1, 2, 0)
        extent = (left, left + SIDE, bottom, bottom - SIDE)
        axes.imshow(shown.numpy(), cmap="gray" if grey else None, vmin=0, vmax=255, extent=extent, aspect="auto")
        text = fill(title, LETTERS, max_lines=LINES, placeholder="...", break_on_hyphens=False)
        axes.text(left + SIDE / 2, bottom - SIDE - 0.03, text, size=6.5, ha="center", va="bottom", linespacing=1)
    axes.set(xlim=(0, WIDTH * columns), ylim=(HEIGHT * rows, 0))
    return figure

"""Rendering of maps, filters and photos as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

RgbImage = NDArray[np.uint8]  # (H, W, 3)

GAP = 2  # pixels between the tiles of a sheet
PAPER = 255
BAR_DPI = 100
SIDE = 224  # pixels of a smaller image's longer side on a sheet


def photo(image: Tensor) -> RgbImage:
    """An image (C, H, W), uint8, grey or RGB; of other channels the first."""
    planes = image if image.shape[0] == 3 else image[:1].expand(3, -1, -1)
    return np.ascontiguousarray(planes.permute(1, 2, 0).cpu().numpy())


def projection(values: Tensor, *, scale: float | None = None) -> RgbImage:
    """What lies around 0 in an image's own colours (C, H, W): 0 is middle grey, -scale black, scale white.

    scale: None = the largest magnitude, so that the strongest pixel is as bright as can be.
    """
    most = float(values.abs().max()) if scale is None else scale
    planes = values.detach().float().cpu() / (2 * most if most > 0 else 1) + 0.5
    planes = planes if len(planes) == 3 else planes[:1].expand(3, -1, -1)
    return np.ascontiguousarray((planes.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def heat(
    values_map: Tensor, *, low: float | None = None, high: float | None = None, colours: str = "viridis"
) -> RgbImage:
    """A map (H, W) in colours; low and high: its values at their ends, None = its own least and greatest."""
    values = values_map.detach().float().cpu()
    least = float(values.min()) if low is None else low
    most = float(values.max()) if high is None else high
    share = (values - least) / (most - least) if most > least else torch.zeros_like(values)
    painted = matplotlib.colormaps[colours](share.clamp(0, 1).numpy(), bytes=True)
    return np.ascontiguousarray(painted[..., :3])


def signed(values: Tensor) -> RgbImage:
    """A map (H, W) around 0: red above, blue below, white at 0, full at its 99th percentile, which one pixel is not."""
    most = float(values.detach().float().abs().flatten().quantile(0.99)) or float(values.abs().max()) or 1.0
    return heat(values, low=-most, high=most, colours="RdBu_r")


def over(image: RgbImage, painted: RgbImage, *, opacity: float = 0.5) -> RgbImage:
    """A painted map over an image of the same size."""
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * painted.astype(np.float32)
    return mixed.round().astype(np.uint8)


def enlarged(image: RgbImage, side: int, *, smooth: bool = False) -> RgbImage:
    """As large as its longer side is `side` pixels; smooth: bilinear, else each pixel a block."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize(size, kind))


def larger(image: RgbImage) -> RgbImage:
    """As large as it is, but with a longer side of SIDE pixels where it is smaller."""
    return enlarged(image, SIDE) if max(image.shape[:2]) < SIDE else image


def sheet(tiles: Sequence[RgbImage], *, columns: int | None = None, gap: int = GAP) -> RgbImage:
    """Tiles in rows on white paper, from the left above; columns: None = about as many as rows.

    Tiles may differ in size: each has the room of the largest.
    """
    wide = math.ceil(math.sqrt(len(tiles))) if columns is None else min(columns, len(tiles))
    high = math.ceil(len(tiles) / wide)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    paper = np.full((high * (height + gap) - gap, wide * (width + gap) - gap, 3), PAPER, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // wide) * (height + gap), (place % wide) * (width + gap)
        paper[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return paper


def sheet_in_a_row(tiles: Sequence[RgbImage], *, gap: int = GAP) -> RgbImage:
    """Tiles beside each other on white paper, each as wide as it is."""
    height = max(tile.shape[0] for tile in tiles)
    paper = np.full((height, sum(tile.shape[1] + gap for tile in tiles) - gap, 3), PAPER, np.uint8)
    left = 0
    for tile in tiles:
        paper[: tile.shape[0], left : left + tile.shape[1]] = tile
        left += tile.shape[1] + gap
    return paper


def colour_bar(low: float, high: float, *, height: int, colours: str = "viridis") -> RgbImage:
    """The scale of a heat map: the colours from low, below, to high, above, with numbers; `height` pixels high."""
    figure = Figure(figsize=(0.62, height / BAR_DPI), dpi=BAR_DPI)
    axes = figure.add_axes((0.04, 0.06, 0.16, 0.88))
    scale = ScalarMappable(Normalize(low, high if high > low else low + 1), colours)
    bar = figure.colorbar(scale, cax=axes, ticks=[low, (low + high) / 2, high] if high > low else [low])
    bar.ax.set_yticklabels([f"{tick:.3g}" for tick in bar.get_ticks()], fontsize=7)
    return drawing(figure)[:height]


def drawing(figure: Figure) -> RgbImage:
    """A figure of matplotlib's as pixels."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3].copy()

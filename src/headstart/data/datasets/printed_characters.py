"""Characters in many fonts, drawn at random sizes, angles and strokes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from math import cos, sin
from pathlib import Path
from typing import Annotated, Literal, Unpack

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from headstart.data.dataset_settings import (
    BoxSettings,
    ClassSettings,
    CorruptionSettings,
    LoadingSettings,
    check_names,
    loading_of,
)
from headstart.data.datasets.in_memory import InMemory, LabelledImages, as_corrupted
from headstart.data.splits.chosen_classes import chosen_classes
from headstart.types import SPLITS, UserError

DIGITS = "0123456789"
# capitals and the 11 small letters that do not look like theirs: the classes of EMNIST Balanced
# (Cohen et al. 2017, arXiv:1702.05373)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abdefghnqrt"
CHARACTERS = {"letters": LETTERS, "digits": DIGITS, "all": DIGITS + LETTERS}

# Whole designs are held out: training never sees Computer Modern. DejaVu Sans Mono, a sister of DejaVu Sans,
# is a test font all the same: its widths, serifs and dotted zero are its own.
FONTS = {
    "train": (
        *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
        *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
        *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    ),
    "val": ("cmr10", "cmb10", "cmti10"),
    "test": (
        *("cmss10", "cmtt10"),
        *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    ),
}

SIZE = 32
CANVAS = 2 * SIZE  # drawn twice as large, then halved: smooth edges at any angle
CELLS = 2  # the canvas bends along a grid of 2 x 2 cells: strokes curve a little, as no affine map would do
CELL = CANVAS // CELLS
LONGEST = 54  # pixels of a glyph's longer side: about what it has on the canvas, so that little is lost


class PrintedSettings(ClassSettings, CorruptionSettings, BoxSettings, LoadingSettings):
    """What Printed shares with other data sets."""


class Printed(InMemory):
    """Characters in matplotlib's text fonts, white on black, 32x32, each image with random numbers of its own.

    An image depends on seed, split, character, font and its number in the class only, so that more images a class
    contain the fewer ones, and `all` contains `digits`.

    Args:
        characters: Which classes there are.
        per_class: Training images of each class; characters that `classes` merges take turns.
        fraction: The share of them that there is; None means all.
        val_per_class: Val images of each class; 0 means no validation.
        test_per_class: Test images of each class.
        fonts: The split whose fonts all splits are drawn in, in place of each one's own: a domain by itself, with the
            same characters; None means each one's own.
        settings: As ClassSettings, CorruptionSettings, BoxSettings and LoadingSettings say.
    """

    def __init__(
        self,
        *,
        characters: Literal["letters", "digits", "all"],
        per_class: Annotated[int, Ge(1)],
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        val_per_class: Annotated[int, Ge(0)],
        test_per_class: Annotated[int, Ge(1)],
        fonts: Literal["train", "val", "test"] | None,
        **settings: Unpack[PrintedSettings],
    ) -> None:
        check_names(settings, PrintedSettings, self)
        if characters not in CHARACTERS:
            raise UserError(f"characters must be one of {', '.join(CHARACTERS)}, got {characters!r}")
        if fraction is not None and not 0 < fraction <= 1:
            raise UserError(f"fraction must be above 0 and at most 1, or null for all, got {fraction}")
        self._classes = chosen_classes(settings["classes"], CHARACTERS[characters])
        self._corruption: CorruptionSettings = {
            "corruption": settings["corruption"],
            "severity": settings["severity"],
        }
        super().__init__(class_names=self._classes.names, box=settings["box"], **loading_of(settings))
        if fonts is not None and fonts not in FONTS:
            raise UserError(f"fonts must be one of {', '.join(FONTS)}, or null, got {fonts!r}")
        train = per_class if fraction is None else max(1, round(fraction * per_class))
        self.counts = {"train": train, "val": val_per_class, "test": test_per_class}
        self.fonts = {split: FONTS[fonts or split] for split in SPLITS}

    def load(self) -> dict[str, LabelledImages]:
        drawn = {split: self._drawn(split, count) for split, count in self.counts.items()}
        return as_corrupted(drawn, self._corruption)

    def _drawn(self, split: str, count: int) -> LabelledImages:
        image = np.empty((self.num_classes, count, SIZE, SIZE), np.uint8)
        for label, members in enumerate(self._classes.members):
            for at in range(count):
                character, number = members[at % len(members)], at // len(members)
                rng = np.random.default_rng([self.seed, SPLITS.index(split), ord(character), number])
                font = self.fonts[split][number % len(self.fonts[split])]  # each font equally often
                image[label, at] = picture(character, font, rng)
        return LabelledImages(image.reshape(-1, SIZE, SIZE), np.repeat(np.arange(self.num_classes), count))


def picture(character: str, font: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One image (32, 32): size, place, angle, slant, bends, pen, blur, ink and noise are drawn."""
    share = iter(rng.random(9).tolist())

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(next(share))

    shape = glyph(character, font, round(between(-0.5, 3.5)))
    longest = max(shape.size)
    height = between(26, 33) * CANVAS / SIZE  # of the longer side, as handwritten data sets fill their frame
    zoom_y = height / longest
    zoom_x = zoom_y * between(0.75, 1.25)
    angle, slant = between(-0.25, 0.25), between(-0.35, 0.35)  # radians (14 degrees); x a unit of y
    shift = between(-2, 2) * CANVAS / SIZE, between(-2, 2) * CANVAS / SIZE
    blurred = between(0.5, 5)  # pixels of the canvas; the upper end is as soft as 8x8 digits enlarged
    ink = between(0.8, 1)
    bent = rng.normal(0, 0.04 * longest, (CELLS + 1, CELLS + 1, 2)).tolist()

    def within(column: int, row: int) -> tuple[float, float]:
        """Where in the glyph a corner of a cell of the canvas comes from."""
        x, y = column * CELL - CANVAS / 2 - shift[0], row * CELL - CANVAS / 2 - shift[1]
        x, y = cos(angle) * x + sin(angle) * y, cos(angle) * y - sin(angle) * x
        x, y = (x + slant * y) / zoom_x, y / zoom_y
        bend_x, bend_y = bent[row][column]
        return shape.width / 2 + x + bend_x, shape.height / 2 + y + bend_y

    cells = [
        (
            (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL),
            (
                *(*within(column, row), *within(column, row + 1)),
                *(*within(column + 1, row + 1), *within(column + 1, row)),
            ),
        )
        for row in range(CELLS)
        for column in range(CELLS)
    ]
    drawn = shape.transform((CANVAS, CANVAS), Image.Transform.MESH, data=cells, resample=Image.Resampling.BICUBIC)
    small = np.asarray(drawn.filter(ImageFilter.GaussianBlur(blurred)).reduce(CANVAS // SIZE), np.float64)
    small *= 255 * ink / max(small.max(), 1)  # a thin line stays as bright as a thick one after the blur
    small += rng.normal(0, 1, small.shape) * rng.random() * 0.05 * 255
    whole: NDArray[np.uint8] = np.rint(small.clip(0, 255)).astype(np.uint8)
    return whole


@cache
def glyph(character: str, font: str, stroke: int) -> Image.Image:
    """The character's own box, white on black, 54 pixels long and then `stroke` wider on either side."""
    left, top, right, bottom = typeface(font, LONGEST).getmask(character).getbbox()  # of the ink alone
    longest = max(right - left, bottom - top)
    face = typeface(font, round(LONGEST * LONGEST / longest))
    left, top, right, bottom = face.getbbox(character, stroke_width=stroke)
    image = Image.new("L", (round(right - left), round(bottom - top)))
    ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=face, stroke_width=stroke)
    return image.crop(image.getbbox())


@cache
def typeface(font: str, em: int) -> ImageFont.FreeTypeFont:
    """The font of that file name, `em` pixels high.

    Raises UserError where this matplotlib does not ship it.
    """
    path = font_folder() / f"{font}.ttf"
    if not path.is_file():
        raise UserError(
            f"matplotlib should ship the font {path}, but it is missing: try `pip install --force-reinstall matplotlib`"
        )
    # basic layout: the other engine, if installed at all, differs between machines
    return ImageFont.truetype(str(path), em, layout_engine=ImageFont.Layout.BASIC)


def font_folder() -> Path:
    """Where matplotlib keeps its fonts; nothing of it needs to be imported for that."""
    spec = find_spec("matplotlib")
    places: Sequence[str] = (spec.submodule_search_locations or []) if spec else []
    if not places:
        raise UserError("the printed characters need matplotlib's fonts: try `pip install matplotlib`")
    return Path(places[0]) / "mpl-data" / "fonts" / "ttf"

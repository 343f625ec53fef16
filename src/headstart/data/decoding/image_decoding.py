"""Decoding of an image file to the pixels and the size that a backbone expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import ceil, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import DecodingSettings
from headstart.data.decoding.eight_bit import Samples, eight_bit, samples_of
from headstart.data.decoding.file_opening import BEGIN, MAX_PIXELS, UnfitImageError, check_size, opened, regular
from headstart.data.decoding.jpeg_completeness import is_cut
from headstart.data.decoding.object_box import boxed, check_box
from headstart.data.decoding.utf8_names import escaped
from headstart.types import LARGER, Pixels, UserError

if TYPE_CHECKING:
    from PIL.Image import Image


MIRRORED = {2: (True, False), 3: (True, True), 4: (False, True), 6: (False, True), 7: (True, True), 8: (True, False)}
ORIENTATION = 0x0112  # of EXIF


@dataclass(frozen=True)
class Decoder:
    """File -> (size, size) grey or (size, size, 3) RGB, uint8: the shorter side is resized, the centre is cut out.

    Upright as EXIF says; bilinear or bicubic, antialiased; of several frames the first. The bytes alone decide,
    whatever brings them. docs/how_to/data.md has what becomes of each format, mode and depth.

    Args:
        size: Height and width of the result, in pixels.
        resize: The shorter side before the centre is cut out, in pixels.
        channels: 1 for grey, 3 for RGB.
        reduced: Whether a JPEG whose shorter side is at least twice `resize` is decoded at 1/2, 1/4 or 1/8 of its size,
            never below `resize`. That takes about half the time; values then differ by about 1 of 255 on average from
            those of a full decoding.
        interpolation: How pixels are resampled.
        value_range: As headstart.data.decoding.eight_bit says.
        background: The same.
        keeps_small: Whether a shorter side of `size` or less becomes `size`, whatever `resize` says, so that nothing
            is cut off but what makes it square.
        box: Pixels of the longer side of the object on a plain background, as headstart.data.decoding.object_box draws
            it, whatever `resize` says; None leaves images as they are.
        max_pixels: Of a file's image; one that has more is never decoded.
        of_run: Whether the settings are a finished run's, so that an error that advises another one says it.
    """

    size: int  # pixels
    resize: int  # pixels
    channels: Literal[1, 3]
    reduced: bool
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    value_range: tuple[float, float] | None = None
    background: int = 255
    keeps_small: bool = False
    box: int | None = None
    max_pixels: int = field(default=MAX_PIXELS, repr=False)  # no pixel depends on it
    of_run: bool = field(default=False, repr=False)  # nor on this

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """The image of a file. Raises UserError with the file's name where there is none."""
        try:
            with regular(path) as stream:
                stored = stream.read()
        except (OSError, UnfitImageError) as error:
            raise self._unreadable(str(path), error) from error
        return self.of_bytes(stored, str(path))

    def of_bytes(self, stored: bytes, name: str) -> NDArray[np.uint8]:
        """The image of a file's bytes. Raises UserError with this name where there is none."""
        try:
            with opened(BytesIO(stored), max_pixels=self.max_pixels) as image:
                width = image.width
                samples = samples_of(image, stored[:BEGIN])
                drafted = self._drafted(image)
                # the last pixel of a row or column may stand for less than a whole one
                made = self._made(image, samples, drafted[1][2:] if drafted else None)
                if is_cut(image, stored, reduction=round(width / image.width), decoded=self._decoded):
                    raise UnfitImageError("the data of its last pixels are missing; repair it, or take it away")
                return made
        except Exception as error:  # each format's decoder raises errors of its own
            raise self._unreadable(name, error) from error

    def of(self, image: Image, name: str) -> NDArray[np.uint8]:
        """The same of an image that is open already. Raises UserError with this name where it has no pixels."""
        try:
            return self._made(image, samples_of(image, b""), None)
        except Exception as error:
            raise self._unreadable(name, error) from error

    def _drafted(self, image: Image) -> tuple[str, tuple[int, int, float, float]] | None:
        # of a JPEG only; grey asks for the luma alone, which is in the file as it is
        return image.draft(self._mode, (self.resize, self.resize)) if self.reduced and not self.box else None

    def _decoded(self, stored: bytes, *, whole: bool) -> Image:
        with opened(BytesIO(stored), max_pixels=self.max_pixels) as image:
            if not whole:
                self._drafted(image)
            image.load()
            return image

    def _made(self, image: Image, samples: Samples, extent: tuple[float, float] | None) -> NDArray[np.uint8]:
        """Of the first `extent` pixels (width, height) of an image that is open, None = of all."""
        image.load()
        check_size(image, self.max_pixels)
        orientation = orientation_of(image)  # PNG may say it behind the pixels, and of TIFF Pillow has turned them
        plain = eight_bit(image, self._mode, samples=samples, value_range=self.value_range, background=self.background)
        if self.box is not None:
            return boxed(upright(plain, orientation), size=self.size, box=self.box)
        # the centre is the centre however the image is turned, and fewer pixels are turned faster
        centre = self._cut(plain, extent or image.size, MIRRORED.get(orientation, (False, False)))
        return np.asarray(upright(centre, orientation))

    def _unreadable(self, name: str, error: Exception) -> UserError:
        # what is unfit says itself what to try
        hint = "" if isinstance(error, UnfitImageError) else "; repair it, or take it away"
        if self.of_run and "target." in str(error):
            hint = "; a finished run reads images with the settings of its training: train it with this one, or convert"
            hint += " the image"
        return UserError(f"{escaped(name)} is no image that can be read ({why(error)}){hint}")

    @property
    def _mode(self) -> Literal["L", "RGB"]:
        return "L" if self.channels == 1 else "RGB"

    def _cut(self, image: Image, extent: tuple[float, float], mirrored: tuple[bool, bool]) -> Image:
        """The centre of the first `extent` pixels (width, height), resized.

        Only what is kept is computed, and no edge is rounded to whole pixels. mirrored: whether left is right, and
        above below, once the image stands upright.
        """
        from PIL.Image import Resampling

        resize = self.size if self.keeps_small and min(extent) <= self.size else self.resize
        side = min(extent) * self.size / resize  # pixels of the image that are kept
        left, top = (extent[0] - side) / 2, (extent[1] - side) / 2
        if side == self.size:  # the size is right: to sample between pixels would only blur them
            x, y = (ceil(at) if turned else int(at) for at, turned in zip((left, top), mirrored, strict=True))
            return image.crop((x, y, x + self.size, y + self.size))
        box = (left, top, left + side, top + side)
        how = Resampling.BICUBIC if self.interpolation == "bicubic" else Resampling.BILINEAR
        return image.resize((self.size, self.size), how, box=box)


def orientation_of(image: Image) -> int:
    """How a loaded image is turned, 1 to 8 as EXIF says; 1 where nothing that can be read says it."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block of a whole picture: each parser raises errors of its own
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def upright(image: Image, orientation: int) -> Image:
    """The image as it stands when EXIF's orientation (1 to 8) is undone."""
    from PIL.Image import Transpose

    turns = (
        Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE,
        Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90,
    )  # fmt: skip
    return image if orientation == 1 else image.transpose(turns[orientation - 2])


def why(error: Exception) -> str:
    """Why a file is no image."""
    from PIL import UnidentifiedImageError

    reason = str(error)
    if not isinstance(error, UnfitImageError):
        # what Pillow says of a file that it does not know is its path, or a buffer's address
        reason = type(error).__name__ + ("" if isinstance(error, UnidentifiedImageError) else f": {error}")
    # a reason may quote the file's bytes, and a terminal obeys some of them
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in reason)


def decoder_of(
    pixels: Pixels,
    *,
    resize: int | None,
    reduced: bool,
    value_range: Sequence[float] | None = None,
    background: int = 255,
    max_pixels: int = MAX_PIXELS,
    box: int | None = None,
) -> Decoder:
    """The decoder that makes of a file what a backbone expects.

    Args:
        pixels: The images that the backbone expects.
        resize: What the shorter side becomes; None means what pixels say, else 256/224 of the size, or the size
            where it is no longer than that.
        reduced: As Decoder says.
        value_range: As Decoder says.
        background: As Decoder says.
        max_pixels: As Decoder says.
        box: As Decoder says.

    Raises UserError where resize is less than the size, box is more, value_range is none, or no file has so many
    channels.
    """
    keeps_small = resize is None and pixels.resize is None
    if resize is None:
        resize = round(pixels.size * LARGER) if pixels.resize is None else pixels.resize
    if resize < pixels.size:
        raise UserError(
            f"resize must be at least the backbone's {pixels.size} pixels, which are cut out of it, got {resize}; "
            "try resize=null"
        )
    check_box(box, pixels.size)
    if pixels.channels not in (1, 3):
        raise UserError(f"image files become grey or RGB, so backbone.channels must be 1 or 3, got {pixels.channels}")
    if value_range is not None and not (
        len(value_range) == 2 and all(map(isfinite, value_range)) and value_range[0] < value_range[1]
    ):
        raise UserError(
            f"value_range must be two numbers, the value that becomes black and a higher one that becomes white, got "
            f"{list(value_range)}; as in target.value_range=[0,4095]"
        )
    channels: Literal[1, 3] = 1 if pixels.channels == 1 else 3
    return Decoder(
        pixels.size,
        resize,
        channels,
        reduced=reduced,
        interpolation=pixels.interpolation,
        value_range=None if value_range is None else (float(value_range[0]), float(value_range[1])),
        background=background,
        keeps_small=keeps_small,
        box=box,
        max_pixels=max_pixels,
    )


def configured_decoder(pixels: Pixels, settings: DecodingSettings) -> Decoder:
    """The decoder that makes of a file what a backbone expects, with the settings of a data set."""
    return decoder_of(
        pixels,
        resize=settings["resize"],
        reduced=settings["decode"] == "reduced",
        value_range=settings["value_range"],
        background=settings["background"],
        max_pixels=settings["max_pixels"],
        box=settings["box"],
    )


def decoder_like(node: Mapping[str, Any], pixels: Pixels, *, resize: int | None) -> Decoder:
    """The decoder of images for a trained model, with the settings of `node`, the config of its own data set.

    Data sets that read no files have no such settings.
    """
    shared = ("value_range", "background", "max_pixels", "box")
    return decoder_of(
        pixels,
        resize=resize,
        reduced=node.get("decode", "reduced") == "reduced",
        **{name: node[name] for name in shared if name in node},
    )

"""How does an image file become pixels of the size that is asked for?"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from headstart.types import LARGER, Pixels, UserError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Decoder:
    """File -> (size, size) grey or (size, size, 3) RGB, uint8: the shorter side becomes `resize`, the centre is kept.

    Upright as EXIF says; bilinear or bicubic, antialiased; of several frames the first; transparency is ignored.
    reduced: a JPEG whose shorter side is at least twice `resize` is decoded at 1/2, 1/4 or 1/8 of its size, never
    below `resize`. That takes about half the time; values then differ by about 1 of 255 on average from
    those of a full decoding.
    """

    size: int  # pixels
    resize: int  # pixels
    channels: Literal[1, 3]
    reduced: bool
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """The image of a file. Raises UserError with the file's name where there is none."""
        return self._image(path, str(path))

    def of_bytes(self, stored: bytes, name: str) -> NDArray[np.uint8]:
        """The image of a file's bytes. Raises UserError with this name where there is none."""
        return self._image(BytesIO(stored), name)

    def _image(self, file: Path | IO[bytes], name: str) -> NDArray[np.uint8]:
        from PIL import Image

        try:
            with Image.open(file) as image:
                extent: tuple[float, float] = image.size
                if self.reduced:
                    # of a JPEG only; grey asks for the luma alone, which is in the file as it is
                    drafted = image.draft(self._mode, (self.resize, self.resize))
                    if drafted:  # the last pixel of a row or column may stand for less than a whole one
                        extent = drafted[1][2:]
                return self.of(image, extent)
        except Exception as error:  # each format's decoder raises errors of its own
            raise UserError(
                f"{name} is no image that can be read ({type(error).__name__}: {error}); repair it, or take it away"
            ) from error

    def of(self, image: Image, extent: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """The same of an image that is open already, or of its first `extent` pixels (width, height)."""
        from PIL import ImageOps

        # the centre is the centre however the image is turned, and fewer pixels are turned faster
        kept = self._cut(eight_bit(image, self._mode), extent or image.size)
        return np.asarray(ImageOps.exif_transpose(kept))

    @property
    def _mode(self) -> Literal["L", "RGB"]:
        return "L" if self.channels == 1 else "RGB"

    def _cut(self, image: Image, extent: tuple[float, float]) -> Image:
        """The centre of the first `extent` pixels (width, height), resized.

        Only what is kept is computed, and no edge is rounded to whole pixels.
        """
        from PIL.Image import Resampling

        side = min(extent) * self.size / self.resize  # pixels of the image that are kept
        left, top = (extent[0] - side) / 2, (extent[1] - side) / 2
        if side == self.size:  # the size is right: to sample between pixels would only blur them
            return image.crop((int(left), int(top), int(left) + self.size, int(top) + self.size))
        box = (left, top, left + side, top + side)
        how = Resampling.BICUBIC if self.interpolation == "bicubic" else Resampling.BILINEAR
        return image.resize((self.size, self.size), how, box=box)


def decoder_of(pixels: Pixels, *, resize: int | None, reduced: bool) -> Decoder:
    """The decoder that makes of a file what a backbone expects.

    resize: what the shorter side becomes, None for what pixels say, else 256/224 of the size. Raises UserError where
    resize is less than the size, or no file has so many channels.
    """
    if resize is None:
        resize = round(pixels.size * LARGER) if pixels.resize is None else pixels.resize
    if resize < pixels.size:
        raise UserError(
            f"resize must be at least the backbone's {pixels.size} pixels, which are cut out of it, got {resize}; "
            "try resize=null"
        )
    if pixels.channels not in (1, 3):
        raise UserError(f"image files become grey or RGB, so backbone.channels must be 1 or 3, got {pixels.channels}")
    channels: Literal[1, 3] = 1 if pixels.channels == 1 else 3
    return Decoder(pixels.size, resize, channels, reduced=reduced, interpolation=pixels.interpolation)


def eight_bit(image: Image, mode: Literal["L", "RGB"]) -> Image:
    """The image with 8 bits a channel. 16-bit grey keeps its upper 8; Pillow itself would make nearly all white.

    Raises ValueError where values have no known range.
    """
    from PIL.Image import fromarray

    if image.mode.startswith("I"):  # I;16, I;16B, and I, as older versions of Pillow open 16-bit PNG
        image = fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its values are floats of an unknown range")
    if image.mode == "P":  # Pillow warns where a palette's transparency is lost on the way
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image if image.mode == mode else image.convert(mode)

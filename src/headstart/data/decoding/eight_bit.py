"""Conversion of an image of any mode and depth to 8 bits a channel, grey or RGB, on an opaque background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.data.decoding.file_opening import UnfitImageError

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "F"}  # and I, I;16
DARK = 2**14  # 16-bit values below this are those of a camera of 10, 12 or 14 bits, and would be nearly black
BITS, PHOTOMETRIC, SAMPLE_FORMAT, SUBSAMPLING = 258, 262, 339, 530  # tags of TIFF
SWAPPED = {
    "I;16BS",
    "I;32BS",
    "F;32BF",
}  # libtiff gives these in the machine's order of bytes, and Pillow turns them again
SET_RANGE = "set target.value_range=[low,high], which become black and white"


class Samples(NamedTuple):
    """What a file says of the numbers that it holds, beside Pillow's mode."""

    bits: int  # of each number
    is_signed: bool = False
    is_white_zero: bool = False  # and Pillow leaves it so
    white: int = 0  # what a PNM file says is white, which Pillow makes 65535 or 255; 0: of others

    @property
    def has_range(self) -> bool:
        """Whether integers go from 0 to all bits set."""
        return self.bits <= 16 and not self.is_signed


def samples_of(image: Image, begin: bytes) -> Samples:
    """Of an image that is open and not yet loaded; begin: the file's first 32 bytes.

    Raises UnfitImageError where such pixels are never converted.
    """
    if image.mode not in MODES and not image.mode.startswith("I"):
        raise UnfitImageError(f"its colours are {image.mode}, which have no conversion here; save it as RGB")
    tiles: Any = getattr(image, "tile", ())  # how the pixels lie in a file; gone once they are loaded
    wide = 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8
    if image.format == "PNG" and begin[12:16] == b"IHDR":
        return Samples(begin[24])
    if image.format == "PPM" and image.mode in ("I", "RGB") and tiles:
        stated = tiles[0][3]  # (mode, white), but for files that need no scaling
        white = int(stated[1]) if isinstance(stated, tuple) else 65535 if image.mode == "I" else 255
        return Samples(16 if image.mode == "I" or white == 65535 else 8, white=white)
    tags: Any = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return Samples(wide)
    bits, is_signed = max(tags.get(BITS, (1,))), 2 in tags.get(SAMPLE_FORMAT, (1,))
    if is_signed and bits == 8:
        raise UnfitImageError("its values are 8-bit integers with a sign, of an unknown range; save it as 8-bit grey")
    if image.mode == "YCbCr" and tags.get(SUBSAMPLING, (2, 2)) != (1, 1):
        raise UnfitImageError("its YCbCr colours are subsampled and not compressed; save it as RGB")
    if tiles and tiles[0][0] == "libtiff" and tiles[0][3][0] in SWAPPED:
        raise UnfitImageError(
            "its compressed numbers have their highest byte first, which Pillow mixes up; save it without compression, "
            "or with the lowest byte first"
        )
    is_white_zero = tags.get(PHOTOMETRIC) == 0 and wide > 8
    return Samples(bits, is_signed=is_signed, is_white_zero=is_white_zero)


def is_wide(mode: str) -> bool:
    """Whether an image of this mode, as Header has it, has values of more than 8 bits."""
    return mode.startswith("I") or mode == "F" or ";" in mode


def eight_bit(
    image: Image,
    mode: Literal["L", "RGB"],
    *,
    samples: Samples,
    value_range: tuple[float, float] | None,
    background: int,
) -> Image:
    """The image with 8 bits a channel, without what says how it is turned. Colour profiles are not applied.

    Args:
        image: Loaded by Pillow.
        mode: Grey or RGB.
        samples: What the file says of its values.
        value_range: Of grey values of more than 8 bits, the one that becomes black and the one that becomes white; None
            means 0 and the highest value that the file's bits can hold, of which the upper 8 stay.
        background: The grey level, 0 to 255, that shows where pixels are transparent.

    Raises UnfitImageError where the range is not known, or the image would be one colour though its values are not.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = _narrowed(image, samples, value_range)
    elif samples.bits > 8:
        _check_colours(image, value_range)
    image = _without_palette(image, samples)
    if "A" in image.getbands():
        image = _laid(image, background)
    if image.mode == mode:
        return image
    return (image if image.mode in ("1", "L", "RGB") else image.convert("RGB")).convert(mode)


def _narrowed(image: Image, samples: Samples, value_range: tuple[float, float] | None) -> Image:
    """Grey values of 16 or 32 bits, or floats, as L, or LA where a value stands for transparent pixels."""
    from PIL.Image import fromarray

    values: NDArray[Any] = np.asarray(image)
    if image.mode == "I" and samples.bits == 32 and not samples.is_signed:
        values = values.view(np.uint32)  # Pillow has no such mode
    grey = _full_range(values, image.mode, samples) if value_range is None else _scaled(values, samples, value_range)
    narrowed = fromarray(255 - grey if samples.is_white_zero else grey)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return narrowed
    narrowed.putalpha(fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return narrowed


def _full_range(values: NDArray[Any], mode: str, samples: Samples) -> NDArray[np.uint8]:
    if mode == "F":
        raise UnfitImageError(f"its values are floats of an unknown range; {SET_RANGE}")
    if not samples.has_range:
        number_type = f"{samples.bits}-bit integers{' with a sign' if samples.is_signed else ''}"
        raise UnfitImageError(f"its values are {number_type} of an unknown range; {SET_RANGE}")
    most = int(values.max())
    if samples.bits == 16 and 0 < most < DARK and samples.white in (0, 65535):
        raise UnfitImageError(
            f"its 16-bit values reach {most} of 65535 and would be nearly black; {SET_RANGE}, as [0,{_filled(most)}]"
        )
    return (values >> max(samples.bits - 8, 0)).astype(np.uint8)


def _scaled(values: NDArray[Any], samples: Samples, value_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Values between the two as 0 to 255, rounded; what lies outside is black or white."""
    low, high = (limit * 65535 / samples.white for limit in value_range) if samples.white else value_range
    if not np.isfinite(values).all():
        raise UnfitImageError("some of its values are not finite; replace them by numbers")
    scaled: NDArray[np.uint8] = np.rint((values.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
    if scaled.min() == scaled.max() and values.min() != values.max():
        raise UnfitImageError(
            f"its values go from {values.min():g} to {values.max():g}, and it would be one colour with "
            f"target.value_range=[{value_range[0]:g},{value_range[1]:g}]; set a range that they lie in"
        )
    return scaled


def _filled(most: int) -> int:
    """The highest value of the fewest bits that hold a value, an even number of them and 8 at least."""
    bits = max(most.bit_length(), 8)
    return int(2 ** (bits + bits % 2) - 1)


def _check_colours(image: Image, value_range: tuple[float, float] | None) -> None:
    """Of colours of 16 bits Pillow gives the upper 8 alone. Raises UnfitImageError where these are not the picture."""
    if value_range is not None:
        if list(value_range) == [0, 65535]:
            return
        raise UnfitImageError(
            "its colours have 16 bits, of which the upper 8 can be read alone, so that target.value_range cannot be "
            "another one than [0,65535]; save it with 8 bits"
        )
    highest = [band[1] for band in _extrema(image)[: 1 if image.mode in ("LA", "La") else 3]]
    if 0 < max(highest) <= DARK >> 8:
        raise UnfitImageError(
            f"its 16-bit colours reach {max(highest) << 8} of 65535 and would be nearly black; save it with 8 bits, "
            "or, if it is so dark, set target.value_range=[0,65535]"
        )


def _without_palette(image: Image, samples: Samples) -> Image:
    """L, LA, RGB, RGBA or a mode without transparency."""
    key = image.info.get("transparency")
    if image.mode in ("L", "1", "RGB") and key is not None:
        if samples.bits > 8:
            raise UnfitImageError("one of its 16-bit colours is transparent, and the upper 8 bits do not tell which")
        if image.mode == "L" and samples.bits < 8 and isinstance(key, int):  # PNG, whose values Pillow has stretched
            image = image.copy()
            image.info["transparency"] = key * 255 // (2**samples.bits - 1)
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ("P", "PA", "La", "RGBa"):
        if image.mode == "La":
            return image.convert("LA")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _laid(image: Image, background: int) -> Image:
    """LA or RGBA on an opaque background. Raises UnfitImageError where nothing of the image would be seen."""
    from PIL.Image import new

    colour: Literal["L", "RGB"] = "L" if image.mode == "LA" else "RGB"
    canvas = new(colour, image.size, background if colour == "L" else (background,) * 3)
    alpha = image.getchannel("A")
    canvas.paste(image.convert(colour), mask=alpha)
    if _is_plain(canvas) and not _is_plain(image):
        if alpha.getextrema() == (0, 0):
            raise UnfitImageError("all its pixels are transparent, though their colours differ; save it without alpha")
        raise UnfitImageError(
            f"what it shows lies in its transparency, and it would be one colour on target.background={background}; "
            f"set target.background={0 if background > 127 else 255}"
        )
    return canvas


def _is_plain(image: Image) -> bool:
    return all(low == high for low, high in _extrema(image))


def _extrema(image: Image) -> list[tuple[int, int]]:
    """Lowest and highest value of each band."""
    extrema: Any = image.getextrema()
    return list(extrema) if isinstance(extrema[0], tuple) else [extrema]

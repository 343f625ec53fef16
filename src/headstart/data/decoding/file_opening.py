"""Opening of image files: regular files only, in the formats that Pillow reads, up to a limit of pixels."""

from __future__ import annotations

import os
import stat
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 178_956_970  # what Pillow itself takes for an attack
FIRST = ("BMP", "GIF", "JPEG", "PNG", "PPM")  # Pillow knows these at once; all others take it a quarter of a second
# EPS is drawn by Ghostscript, which runs the file as a program; of the others Pillow reads the header alone
NEVER = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
BEGIN = 32  # bytes that tell the format
MAGIC = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51",
)  # fmt: skip  # JPEG, PNG, GIF, TIFF, JPEG 2000
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
AVIF = {b"avif", b"avis"}
HEIC_MISSING = "HEIC, which needs pip install 'headstart[heic]'"


class UnfitImageError(ValueError):
    """An image that becomes no pixels: the message says why, and what to try."""


def regular(path: Path | str) -> IO[bytes]:
    """A file, open for reading. Raises OSError where there is none, UnfitImageError where it is no regular one.

    A pipe would wait for ever for somebody to write to it.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # of many files: a Path takes twice as long
        raise UnfitImageError("it is no regular file but a folder, a pipe, a socket or a device, and is never opened")
    return Path(path).open("rb")


def opened(stored: IO[bytes], *, max_pixels: int) -> Image:
    """The image of a file's bytes, its header read and nothing decoded; a path would be read in other ways by some.

    Raises UnfitImageError where it has more pixels, or must not or cannot be read for a known reason; else what Pillow
    raises, which depends on the format.
    """
    from PIL import Image, UnidentifiedImageError

    _let_pillow_take(max_pixels)
    try:
        try:
            image: Image.Image = Image.open(stored, formats=FIRST)
        except UnidentifiedImageError:
            stored.seek(0)
            _prepare_for(stored.read(BEGIN))
            stored.seek(0)
            Image.init()
            image = Image.open(stored, formats=[kind for kind in Image.ID if kind not in NEVER])
    except Image.DecompressionBombError as error:
        raise UnfitImageError(_too_large(str(error), max_pixels)) from error
    check_size(image, max_pixels)
    return image


def check_size(image: Image, max_pixels: int) -> None:
    """Raises UnfitImageError where an image has more pixels; some formats say another number before they are loaded."""
    width, height = image.size
    if width * height > max_pixels:
        raise UnfitImageError(_too_large(f"{width} x {height} = {width * height} pixels", max_pixels))


def begins_as_image(begin: bytes) -> bool:
    """Whether a file's first bytes are those of an image: JPEG, PNG, GIF, TIFF, WebP, BMP, JPEG 2000, HEIC or AVIF."""
    if begin[:4] == b"RIFF":
        return begin[8:12] == b"WEBP"
    if begin[:2] == b"BM":  # two letters alone are any text: behind them stands the size of the header
        return begin[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    return begin.startswith(MAGIC) or bool(_brands(begin) & (HEIC | AVIF))


def _prepare_for(begin: bytes) -> None:
    """Make Pillow ready for what begins so. Raises UnfitImageError where it must not or cannot be."""
    if begin.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        raise UnfitImageError("EPS, which is a program that Ghostscript would have to run; save it as PNG")
    if _brands(begin) & HEIC and not _brands(begin) & AVIF and not _can_heic():
        raise UnfitImageError(HEIC_MISSING)


def _brands(begin: bytes) -> set[bytes]:
    """What an ISO media file says it is; others say nothing."""
    if begin[4:8] != b"ftyp":
        return set()
    return {begin[at : at + 4] for at in (8, *range(16, min(len(begin), int.from_bytes(begin[:4])), 4))}


@cache
def _can_heic() -> bool:
    """Whether Pillow reads HEIC from now on, by the extra."""
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _too_large(size: str, limit: int) -> str:
    return f"it has more pixels than max_pixels={limit} allows ({size}); where it is no attack, raise target.max_pixels"


def _let_pillow_take(pixels: int) -> None:
    """Pillow's own limit stays behind ours, and does not come before it: it warns at its limit, and raises at twice."""
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-pixels // 2)
    _quieten()


@cache
def _quieten() -> None:
    """Once a process, as changing filters is not safe among threads."""
    from PIL.Image import DecompressionBombWarning

    warnings.simplefilter("ignore", DecompressionBombWarning)

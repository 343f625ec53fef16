"""Small image files in many formats, and what chance makes of their bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, features

WRITTEN: tuple[tuple[str, tuple[str, ...], dict[str, object]], ...] = (  # format, modes, settings of the writer
    ("JPEG", ("L", "RGB", "CMYK"), {"quality": 80}),
    ("JPEG", ("L", "RGB"), {"progressive": True}),
    ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {}),
    ("GIF", ("L", "P", "RGB"), {}),
    ("BMP", ("1", "L", "P", "RGB"), {}),
    ("TIFF", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB"), {}),
    ("TIFF", ("L", "RGB", "I;16"), {"compression": "tiff_lzw"}),
    ("TIFF", ("L", "RGB"), {"compression": "tiff_adobe_deflate"}),
    ("TIFF", ("L", "RGB"), {"compression": "packbits"}),
    ("TIFF", ("L", "RGB"), {"compression": "jpeg"}),
    ("TIFF", ("1",), {"compression": "group4"}),
    ("PPM", ("1", "L", "RGB", "I;16"), {}),
    ("ICO", ("RGBA",), {}),
    ("TGA", ("L", "RGB", "RGBA"), {"compression": "tga_rle"}),
    ("PCX", ("L", "RGB"), {}),
    ("SGI", ("L", "RGB"), {}),
    ("DDS", ("RGBA",), {}),
    ("QOI", ("RGB", "RGBA"), {}),
    ("XBM", ("1",), {}),
    ("IM", ("L", "RGB"), {}),
    ("SPIDER", ("F",), {}),
    ("MSP", ("1",), {}),
)
OF_PLUGINS: tuple[tuple[str, str, tuple[str, ...], dict[str, object]], ...] = (  # what Pillow may be built without
    ("webp", "WEBP", ("RGB", "RGBA"), {}),
    ("webp", "WEBP", ("RGB", "RGBA"), {"lossless": True}),
    ("jpg_2000", "JPEG2000", ("L", "RGB", "RGBA"), {}),
    ("avif", "AVIF", ("RGB",), {"speed": 10}),
)
TURNED = ("JPEG", "PNG", "TIFF", "WEBP")  # formats that hold EXIF
ORIENTATION = 0x0112
FLOODS = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\x01", b" ", b"9")


@cache
def whole_images() -> list[tuple[str, bytes]]:
    """A name and the bytes of small images, one for each format, mode and setting that can be written here."""
    chance = np.random.default_rng(0)
    wanted = [*WRITTEN, *(entry[1:] for entry in OF_PLUGINS if features.check(entry[0]))]
    images = []
    for form, modes, settings in wanted:
        for mode in modes:
            for turned in (1, 6) if form in TURNED else (1,):
                image = drawn(chance, mode, (int(chance.integers(3, 40)), int(chance.integers(3, 40))))
                more = {"exif": with_orientation(turned)} if turned > 1 else {}
                stored = BytesIO()
                image.save(stored, form, **settings, **more)
                images.append((f"{form} {mode} {settings} {turned}", stored.getvalue()))
    frames = [drawn(chance, "RGB", (9, 7)) for _ in range(3)]
    for form in ("GIF", "PNG", "TIFF"):
        stored = BytesIO()
        frames[0].save(stored, form, save_all=True, append_images=frames[1:])
        images.append((f"{form} of 3 frames", stored.getvalue()))
    return images


def drawn(chance: np.random.Generator, mode: str, size: tuple[int, int]) -> Image.Image:
    """An image of this mode and size (width, height) with random values."""
    width, height = size
    if mode == "I;16":
        return Image.fromarray(chance.integers(0, 2**16, (height, width), dtype=np.uint16))
    if mode == "I":
        return Image.fromarray(chance.integers(0, 2**16, (height, width), dtype=np.int32))
    if mode == "F":
        return Image.fromarray(chance.random((height, width), dtype=np.float32))
    if mode == "LAB":
        return Image.frombytes("LAB", size, chance.bytes(3 * width * height))
    values = chance.integers(0, 256, (height, width, 4), dtype=np.uint8)
    image = Image.fromarray(values)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode) if mode != "LA" else image.convert("LA")


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return exif


def damaged(chance: random.Random) -> tuple[str, bytes]:
    """What it was, and the bytes after one to three faults: flipped, cut, put in, taken out, flooded, spliced."""
    known = whole_images()
    name, stored = chance.choice(known)
    content = bytearray(stored)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if content:
            chance.choice(FAULTS)(chance, content)
    return name, bytes(content)


def _flip(chance: random.Random, content: bytearray) -> None:
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        content[_place(chance, content)] ^= 1 << chance.randrange(8)


def _replace(chance: random.Random, content: bytearray) -> None:
    at = _place(chance, content)
    content[at] = chance.randrange(256)


def _cut(chance: random.Random, content: bytearray) -> None:
    del content[chance.randrange(len(content)) :]


def _take_out(chance: random.Random, content: bytearray) -> None:
    at = _place(chance, content)
    del content[at : at + chance.choice((1, 2, 4, 16, 100))]


def _put_in(chance: random.Random, content: bytearray) -> None:
    at = _place(chance, content)
    content[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16, 100)))


def _flood(chance: random.Random, content: bytearray) -> None:
    at, flood = _place(chance, content), chance.choice(FLOODS)
    length = min(len(content) - at, chance.choice((1, 2, 4, 4, 8, 64)))
    content[at : at + length] = (flood * length)[:length]


def _double(chance: random.Random, content: bytearray) -> None:
    at = _place(chance, content)
    part = content[at : at + chance.choice((4, 12, 16, 100))]
    content[at:at] = part * chance.choice((1, 1, 2, 50))


def _splice(chance: random.Random, content: bytearray) -> None:
    _, other = chance.choice(whole_images())
    content[chance.randrange(len(content)) :] = other[chance.randrange(len(other)) :]


def _head(chance: random.Random, content: bytearray) -> None:
    _, other = chance.choice(whole_images())
    length = chance.choice((2, 4, 8, 12, 16, 32, 64))
    content[:length] = other[:length]


def _place(chance: random.Random, content: bytearray) -> int:
    # formats say most in their first bytes
    return chance.randrange(min(len(content), chance.choice((16, 64, 256, len(content)))))


FAULTS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _flip, _replace, _cut, _take_out, _put_in, _flood, _flood, _double, _splice, _head,
)  # fmt: skip

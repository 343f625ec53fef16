"""Small images of every mode, none of whose eight orientations are the same, and their files by Pillow."""

import io

import numpy as np
from PIL import Image

from containers import exif

SIDE = 16
RNG = np.random.default_rng(7)
Y, X = np.mgrid[0:SIDE, 0:SIDE]
GREY = (X * 12 + Y * 3 + 10).astype(np.uint8)  # no two of its eight orientations are the same
RGB = np.stack([X * 15 + 5, Y * 14 + 9, 250 - X * 6 - Y * 8], -1).astype(np.uint8)
ALPHA = ((X + Y) * 8).astype(np.uint8)
INDEX = (X * 16 + Y).astype(np.uint8)
PALETTE = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
TRANSPARENT = np.where(np.arange(256) % 3 == 0, np.arange(256), 255).astype(np.uint8)  # alpha of each colour
WIDE = (X * 4000 + Y * 300).astype(np.uint16)
REFUSED_PACKED = {"int 16", "int 32", "float 32"}
CMYK = np.stack([X * 10, Y * 9, 200 - X * 8, Y * 5], -1).astype(np.uint8)


def of_pillow(image, kind, *, takes_exif=False, **settings):
    def made(orientation):
        stream = io.BytesIO()
        more = {} if orientation == 1 or not takes_exif else {"exif": b"Exif\0\0" + exif(orientation)}
        image.save(stream, kind, **settings, **more)
        return stream.getvalue()

    return made


def p_image():
    image = Image.new("P", (SIDE, SIDE))
    image.putdata(INDEX.ravel().tolist())
    image.putpalette(PALETTE.ravel().tolist())
    return image

"""A container without loss gives back the pixels that were put into it, whatever their size, mode and orientation."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from damaged_images import with_orientation
from fuzzed import thorough
from headstart.data.decoding.image_decoding import Decoder

pytestmark = pytest.mark.faults

LOSSLESS = {  # format -> (modes, settings)
    "PNG": (("1", "L", "P", "RGB"), {}),
    "BMP": (("1", "L", "P", "RGB"), {}),
    "GIF": (("L", "P"), {}),
    "PPM": (("1", "L", "RGB"), {}),
    "TGA": (("L", "P", "RGB"), {}),
    "PCX": (("1", "L", "P", "RGB"), {}),
    "SGI": (("L", "RGB"), {}),
    "TIFF": (("1", "L", "P", "RGB"), {}),
    "TIFF lzw": (("1", "L", "P", "RGB"), {"compression": "tiff_lzw"}),
    "TIFF deflate": (("L", "RGB"), {"compression": "tiff_adobe_deflate"}),
    "TIFF packbits": (("1", "L", "RGB"), {"compression": "packbits"}),
    "TIFF group4": (("1",), {"compression": "group4"}),
    **({"WEBP": (("RGB",), {"lossless": True})} if features.check("webp") else {}),
    **({"JPEG2000": (("L", "RGB"), {"irreversible": False})} if features.check("jpg_2000") else {}),
}
TURNED = ("PNG", "TIFF", "TIFF lzw", "TIFF deflate", "TIFF packbits", "WEBP")
UPRIGHT = {  # what undoes an orientation of EXIF, by numpy alone: rows first
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@st.composite
def files(draw):
    """The bytes of an image file and the colours that a person sees in it, (H, W, 3) uint8."""
    form = draw(st.sampled_from(sorted(LOSSLESS)))
    modes, settings = LOSSLESS[form]
    mode = draw(st.sampled_from(modes))
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    turned = draw(st.sampled_from((1, *range(1, 9)))) if form in TURNED else 1
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if mode == "1":
        stored = chance.integers(0, 2, (height, width), dtype=np.uint8) * 255
        image, seen = Image.fromarray(stored).convert("1", dither=Image.Dither.NONE), stored
    elif mode == "P":
        palette, stored = chance.integers(0, 256, (256, 3), dtype=np.uint8), chance.integers(0, 256, (height, width))
        image = Image.fromarray(stored.astype(np.uint8), "P")
        image.putpalette(palette.tobytes())
        seen = palette[stored]
    else:
        seen = chance.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width), dtype=np.uint8)
        image = Image.fromarray(seen)
    if turned > 1:
        settings = settings | {"exif": with_orientation(turned)}
    content = BytesIO()
    image.save(content, form.partition(" ")[0], **settings)
    seen = seen if seen.ndim == 3 else np.repeat(seen[:, :, None], 3, axis=2)
    return content.getvalue(), UPRIGHT[turned](seen), f"{form} {mode} {turned} {width} x {height}"


def centre(seen):
    """The square in the middle, as large as the shorter side."""
    height, width = seen.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return seen[top : top + side, left : left + side]


@given(files())
@thorough(2000)
def test_a_container_without_loss_gives_back_its_pixels_from_a_path_and_from_bytes(tmp_path, file):
    content, seen, name = file
    want = centre(seen)
    decoder = Decoder(len(want), len(want), 3, reduced=True)
    assert np.array_equal(decoder.of_bytes(content, name), want), name
    path = tmp_path / "image"
    path.write_bytes(content)
    assert np.array_equal(decoder(path), want), name


@given(files())
@thorough(500)
def test_as_grey_it_is_the_luma_of_its_colours_to_a_step_of_rounding(file):
    content, seen, name = file
    want = centre(seen).astype(np.float64) @ (0.299, 0.587, 0.114)
    found = Decoder(len(want), len(want), 1, reduced=False).of_bytes(content, name)
    assert np.abs(found - want).max() <= 1, name

"""Images whose values cannot be known are refused, with what to set."""

import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from container_cases import CASES
from container_pixels import (
    ALPHA,
    GREY,
    REFUSED_PACKED,
    RGB,
    RNG,
    SIDE,
    WIDE,
)
from containers import chunk, exif, png, tiff, upright
from headstart.data.decoding import file_opening
from headstart.data.decoding.image_decoding import Decoder
from headstart.types import UserError


def refused(stored, channels=3, **settings) -> str:
    """Why a file becomes no pixels."""
    with pytest.raises(UserError, match=r"^a is no image that can be read \(") as told:
        Decoder(SIDE, SIDE, channels, reduced=True, **settings).of_bytes(stored, "a")
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("top", [255, 1023, 4095, 16383])
@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
def test_small_values_in_16_bits_ask_for_their_range(top, kind):
    values = np.linspace(0, top, SIDE * SIDE).reshape(SIDE, SIDE).round().astype(np.uint16)
    stored = {
        "png": lambda: png(values, colour=0, depth=16),
        "tiff": lambda: tiff(values, photometric=1, order=">"),
        "pgm": lambda: b"P5 16 16 65535\n" + values.astype(">u2").tobytes(),
    }[kind]()
    said = refused(stored, channels=1)
    assert (
        f"its 16-bit values reach {top} of 65535 and would be nearly black; set target.value_range=[low,high]" in said
    )
    assert f"as [0,{top}]" in said
    with pytest.raises(UserError, match=r"; a finished run reads images with the settings of its training"):
        Decoder(SIDE, SIDE, 1, reduced=True, of_run=True).of_bytes(stored, "a")
    decode = Decoder(SIDE, SIDE, 1, reduced=True, value_range=(0, 65535))  # who says so has so dark an image
    assert np.array_equal(decode.of_bytes(stored, "a"), np.rint(values / 257.0))


def test_an_image_that_is_black_is_black_in_any_range():
    black = np.zeros((SIDE, SIDE), np.uint16)
    for stored in (png(black, colour=0, depth=16), tiff(np.dstack([black] * 3), photometric=2)):
        assert not Decoder(SIDE, SIDE, 1, reduced=True).of_bytes(stored, "a").any()


@pytest.mark.parametrize("top", [1023, 4095, 16383])
def test_small_values_in_16_bit_colours_are_refused_as_their_lower_bits_cannot_be_read(top):
    values = np.linspace(0, top, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3).astype(np.uint16)
    ppm = b"P6 16 16 65535\n" + values.astype(">u2").tobytes()
    for stored in (png(values, colour=2, depth=16), tiff(values, photometric=2), ppm):
        assert "16-bit colours" in refused(stored)
        assert "cannot be another one than [0,65535]" in refused(stored, value_range=(0, top))
        Decoder(SIDE, SIDE, 3, reduced=True, value_range=(0, 65535)).of_bytes(stored, "a")


def test_values_without_a_range_ask_for_it():
    small = GREY.astype(np.int32)
    assert "32-bit integers with a sign of an unknown range; set target.value_range" in refused(
        tiff(small, photometric=1)
    )
    assert "32-bit integers of an unknown range" in refused(tiff(small.astype(np.uint32), photometric=1))
    assert "16-bit integers with a sign of an unknown range" in refused(tiff(small.astype(np.int16), photometric=1))
    assert "floats of an unknown range; set target.value_range" in refused(
        tiff(small.astype(np.float32), photometric=1)
    )


def test_a_range_that_makes_an_image_one_colour_is_refused():
    said = refused(tiff(WIDE[:, :8].repeat(2, 1) // 256, photometric=1), value_range=(1000, 2000))
    assert "its values go from 0 to 126, and it would be one colour with target.value_range=[1000,2000]" in said


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    values = GREY.astype(np.float32)
    values[3, 4] = value
    assert "some of its values are not finite" in refused(tiff(values, photometric=1), value_range=(0, 255))


@pytest.mark.parametrize("name", sorted(REFUSED_PACKED))
def test_numbers_that_pillow_mixes_up_are_refused(name):
    values = GREY.astype({"int 16": np.int16, "int 32": np.int32, "float 32": np.float32}[name])
    stored = tiff(values, photometric=1, order=">", is_packed=True)
    assert "highest byte first, which Pillow mixes up" in refused(stored, value_range=(0, 255))


def test_colours_without_a_conversion_are_refused():
    assert "its colours are LAB" in refused(tiff(RGB, photometric=8))
    assert "subsampled" in refused(tiff(RGB, photometric=6))
    assert "8-bit integers with a sign" in refused(tiff(GREY.astype(np.int8), photometric=1))


def test_a_transparent_colour_of_16_bits_is_refused():
    stored = png(RGB * np.uint16(257), colour=2, depth=16, before=[(b"tRNS", b"\0\1" * 3)])
    assert "one of its 16-bit colours is transparent" in refused(stored)


def test_what_lies_in_transparency_alone_asks_for_another_background():
    white = np.full_like(RGB, 255)
    stored = png(np.dstack([white, ALPHA]), colour=6)
    assert "it would be one colour on target.background=255; set target.background=0" in refused(stored)
    seen = Decoder(SIDE, SIDE, 1, reduced=True, background=0).of_bytes(stored, "a")
    assert np.array_equal(seen, ALPHA)


def test_an_image_that_is_transparent_all_over_is_refused_where_it_holds_colours_and_blank_where_it_does_not():
    none = np.zeros_like(ALPHA)
    assert "all its pixels are transparent" in refused(png(np.dstack([RGB, none]), colour=6))
    blank = png(np.dstack([none] * 4), colour=6)
    assert (Decoder(SIDE, SIDE, 3, reduced=True, background=77).of_bytes(blank, "a") == 77).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(17, 16), (16, 17), (16, 21), (23, 16)])
def test_the_centre_of_a_turned_image_is_that_of_the_upright_one(size, orientation):
    shown = RNG.integers(0, 256, (*size, 3)).astype(np.uint8)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = np.ascontiguousarray(upright(shown, back))
    top, left = ((side - SIDE) // 2 for side in size)
    want = shown[top : top + SIDE, left : left + SIDE]
    for file in (png(stored, colour=2, orientation=orientation), tiff(stored, photometric=2, orientation=orientation)):
        assert np.array_equal(Decoder(SIDE, SIDE, 3, reduced=True).of_bytes(file, "a"), want)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("block", [b"", b"nonsense", exif(0), exif(9), b"MM\0*\0\0\xff\xff", exif(6)[:20]])
def test_a_damaged_exif_block_turns_nothing(block):
    stored = png(GREY, colour=0, before=[(b"eXIf", block)])
    assert np.array_equal(Decoder(SIDE, SIDE, 1, reduced=True).of_bytes(stored, "a"), GREY)


def test_eps_is_never_run_and_heic_names_the_extra_where_it_is_missing(monkeypatch):
    assert "EPS, which is a program" in refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    monkeypatch.setattr(file_opening, "_can_heic", lambda: False)
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic", b"heix\0\0\0\0mif1heix"):
        assert file_opening.HEIC_MISSING in refused(b"\0\0\0\x18ftyp" + brands + bytes(40))


@pytest.mark.parametrize("limit", [255, 256])
def test_the_limit_of_pixels_is_the_same_for_each_container_and_needs_no_decoding(tmp_path, limit, monkeypatch):
    files = [png(GREY, colour=0), tiff(GREY, photometric=1), CASES["JPEG RGB"].made(1), CASES["GIF"].made(1)]
    decode = Decoder(8, 8, 3, reduced=True, max_pixels=limit)
    for number, stored in enumerate(files):
        path = tmp_path / f"{number}"
        path.write_bytes(stored)
        if limit == 256:
            assert np.array_equal(decode(path), decode.of_bytes(stored, "a"))
            continue
        said = refused(stored, max_pixels=limit)
        assert (
            "it has more pixels than max_pixels=255 allows (16 x 16 = 256 pixels); where it is no attack, raise" in said
        )
        with pytest.raises(UserError, match="more pixels than max_pixels=255"):
            decode(path)


def bomb(side=20_000):
    """A PNG file of a few bytes that says it is large."""
    return png(np.zeros((1, 1), np.uint8), colour=0).replace(
        chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"),
        chunk(b"IHDR", side.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"),
    )


def test_a_bomb_is_one_line_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file_opening._quieten.cache_clear()
        said = refused(bomb())
        assert "it has more pixels than max_pixels=178956970 allows (Image size (400000000 pixels)" in said
        assert "10000 x 10000 = 100000000" in refused(bomb(10_000), max_pixels=10**6)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_limit_above_pillows_own_is_taken(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    stored = png(GREY, colour=0)
    assert np.array_equal(Decoder(SIDE, SIDE, 1, reduced=True, max_pixels=256).of_bytes(stored, "a"), GREY)
    assert Image.MAX_IMAGE_PIXELS == 128


@pytest.mark.filterwarnings("ignore:Image was not the expected size")
def test_an_icon_that_holds_more_pixels_than_it_says_meets_the_limit_too():
    inside = png(GREY, colour=0)
    head = b"\0\0\1\0\1\0\x08\x08\0\0\1\0\x08\0" + struct.pack("<II", len(inside), 22)
    assert "max_pixels=255 allows (16 x 16 = 256 pixels)" in refused(head + inside, max_pixels=255)
    assert np.array_equal(Decoder(SIDE, SIDE, 1, reduced=True).of_bytes(head + inside, "a"), GREY)


def damaged(stored: bytes, chance: np.random.Generator) -> bytes:
    """Bytes changed, cut off, left out or doubled."""
    made = bytearray(stored)
    for _ in range(chance.integers(1, 6)):
        at, what = int(chance.integers(len(made))), chance.integers(4)
        if what == 0:
            made = made[: max(at, 1)]
        elif what == 1:
            del made[at : at + int(chance.integers(1, 9))]
            made = made or bytearray(b"x")
        elif what == 2:
            made[at:at] = made[at : at + int(chance.integers(1, 9))]
        else:
            made[at] = int(chance.integers(256))
    return bytes(made)


def pixels_or_error(made, *given):
    try:
        return made(*given)
    except UserError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("times", [5, pytest.param(75, marks=pytest.mark.slow)])  # of about 140 files
def test_a_damaged_file_is_pixels_or_the_one_error_and_a_path_gives_what_its_bytes_give(tmp_path, times):
    chance, decode = np.random.default_rng(19), Decoder(SIDE, SIDE, 3, reduced=True, max_pixels=10**6)
    path, read = tmp_path / "file", 0
    for case in CASES.values():
        for _ in range(times):
            stored = damaged(case.made(1), chance)
            path.write_bytes(stored)
            one, other = pixels_or_error(decode, path), pixels_or_error(decode.of_bytes, stored, str(path))
            assert type(one) is type(other)
            assert np.array_equal(one, other)
            assert not isinstance(one, str) or "is no image that can be read (" in one
            read += not isinstance(one, str)
    assert read > 5 * times  # some stay images, or nothing was compared

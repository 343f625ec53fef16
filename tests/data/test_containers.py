"""Pixels of each container, mode, depth, alpha and orientation against numpy's, whatever brings the bytes."""

import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from container_pixels import (
    ALPHA,
    CMYK,
    GREY,
    INDEX,
    PALETTE,
    REFUSED_PACKED,
    RGB,
    RNG,
    SIDE,
    TRANSPARENT,
    WIDE,
    X,
    Y,
    of_pillow,
    p_image,
)
from containers import chunk, exif, png, tiff, upright
from headstart.data.decoding import file_opening
from headstart.data.decoding.image_decoding import Decoder
from headstart.types import UserError


def on(colour, alpha, background=255.0):
    """What is seen of colours (H, W, n) or (H, W) with an alpha of 0 to 255 on a background."""
    a = (alpha.astype(float) / 255)[..., None]
    colour = np.atleast_3d(colour).astype(float)
    return colour * a + background * (1 - a)


def grey(values):
    return np.repeat(np.atleast_3d(values), 3, axis=2).astype(float)


def of_cmyk(cmyk):
    ink = cmyk.astype(float) / 255
    return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])


def of_ycc(ycc):
    """ITU-R BT.601 of the full range, as JPEG has it."""
    y, b, r = (ycc[..., at].astype(float) - (0 if at == 0 else 128) for at in range(3))
    return np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], -1).clip(0, 255)


@dataclass
class Case:
    made: Any  # orientation -> bytes
    want: Any  # (H, W, 3) or (H, W, 1), upright
    within: float = 1.01
    orientations: Any = range(1, 9)
    value_range: Any = None
    background: int = 255


def pngs():
    for depth in (1, 2, 4):
        values = (INDEX * 37 % (1 << depth)).astype(np.uint8)
        seen = grey(values * (255 // ((1 << depth) - 1)))
        key = (0, (1 << depth) - 1)[depth > 1]
        yield f"grey {depth}", Case(lambda o, v=values, d=depth: png(v, colour=0, depth=d, orientation=o), seen)
        before = [(b"tRNS", key.to_bytes(2, "big"))]
        yield (
            f"grey {depth} with a transparent value",
            Case(
                lambda o, v=values, d=depth, b=before: png(v, colour=0, depth=d, before=b, orientation=o),
                np.where((values == key)[..., None], 100.0, seen),
                background=100,
            ),
        )
        colours = [(b"PLTE", PALETTE[: 1 << depth].tobytes())]
        yield (
            f"palette {depth}",
            Case(
                lambda o, v=values, d=depth, b=colours: png(v, colour=3, depth=d, before=b, orientation=o),
                PALETTE[values],
            ),
        )
    key = int(GREY[3, 4])
    yield "grey 8", Case(lambda o: png(GREY, colour=0, orientation=o), grey(GREY))
    yield "EXIF behind the pixels", Case(lambda o: png(GREY, colour=0, orientation=o, is_exif_last=True), grey(GREY))
    yield (
        "grey 8 with a transparent value",
        Case(
            lambda o: png(GREY, colour=0, before=[(b"tRNS", key.to_bytes(2, "big"))], orientation=o),
            grey(np.where(key == GREY, 255, GREY)),
        ),
    )
    yield "grey 16", Case(lambda o: png(WIDE, colour=0, depth=16, orientation=o), grey(WIDE >> 8))
    yield (
        "grey 16 with a transparent value",
        Case(
            lambda o: png(
                WIDE, colour=0, depth=16, before=[(b"tRNS", int(WIDE[2, 9]).to_bytes(2, "big"))], orientation=o
            ),
            grey(np.where(WIDE[2, 9] == WIDE, 255, WIDE >> 8)),
        ),
    )
    for top in (255, 1023, 4095, 16383, 65535):
        values = np.linspace(0, top, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
        yield (
            f"grey 16 up to {top} with a range",
            Case(
                lambda o, v=values: png(v, colour=0, depth=16, orientation=o),
                grey(values * 255.0 / top),
                value_range=(0, top),
            ),
        )
    yield "RGB 8", Case(lambda o: png(RGB, colour=2, orientation=o), RGB)
    yield (
        "RGB 8 with a transparent colour",
        Case(
            lambda o: png(
                RGB, colour=2, before=[(b"tRNS", b"".join(b"\0" + bytes([one]) for one in RGB[5, 6]))], orientation=o
            ),
            np.where((RGB[5, 6] == RGB).all(-1)[..., None], 0, RGB),
            background=0,
        ),
    )
    yield "RGB 16", Case(lambda o: png(RGB * np.uint16(257), colour=2, depth=16, orientation=o), RGB)
    opaque_after = [(b"PLTE", PALETTE.tobytes()), (b"tRNS", TRANSPARENT.tobytes())]
    yield "palette 8", Case(lambda o: png(INDEX, colour=3, before=opaque_after[:1], orientation=o), PALETTE[INDEX])
    yield (
        "palette 8 with transparency",
        Case(
            lambda o: png(INDEX, colour=3, before=opaque_after, orientation=o), on(PALETTE[INDEX], TRANSPARENT[INDEX])
        ),
    )
    one = [(b"PLTE", PALETTE.tobytes()), (b"tRNS", b"\xff" * 9 + b"\0")]
    yield (
        "palette 8 with one transparent colour",
        Case(
            lambda o: png(INDEX, colour=3, before=one, orientation=o), on(PALETTE[INDEX], np.where(INDEX == 9, 0, 255))
        ),
    )
    la, rgba = np.stack([GREY, ALPHA], -1), np.dstack([RGB, ALPHA])
    for background in (0, 255, 90):
        yield (
            f"LA 8 on {background}",
            Case(
                lambda o: png(la, colour=4, orientation=o),
                on(GREY, ALPHA, background).repeat(3, 2),
                background=background,
            ),
        )
        yield (
            f"RGBA 8 on {background}",
            Case(lambda o: png(rgba, colour=6, orientation=o), on(RGB, ALPHA, background), background=background),
        )
    yield (
        "LA 16",
        Case(lambda o: png(la * np.uint16(257), colour=4, depth=16, orientation=o), on(GREY, ALPHA).repeat(3, 2)),
    )
    yield "RGBA 16", Case(lambda o: png(rgba * np.uint16(257), colour=6, depth=16, orientation=o), on(RGB, ALPHA))


def tiffs():
    half = (ALPHA // 2 + 128).astype(np.uint8)  # 8-bit premultiplied colours cannot be told where alpha is small
    times = (RGB * (half[..., None] / 255)).round().astype(np.uint8)
    darker = (GREY * (half / 255)).round().astype(np.uint8)
    both, both16 = np.dstack([RGB, ALPHA]), np.dstack([RGB, ALPHA]) * np.uint16(257)
    twelve = np.linspace(0, 4095, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    ycc = np.stack([GREY, X * 10 + 40, 220 - Y * 9], -1).astype(np.uint8)
    palette = PALETTE.astype(np.uint16) * 257
    signed = (WIDE.astype(np.int32) // 2 - 15000).astype(np.int16)
    large = WIDE.astype(np.uint32) * 50000  # up to 3.2e9, beyond what has a sign
    one_one = [(530, 3, [1, 1])]
    linear = GREY.astype(np.float64) / 255 * 3 - 1
    found = {
        "grey 8": (grey(GREY), {"samples": GREY, "photometric": 1}, {}),
        "grey 8, white is 0": (grey(255 - GREY.astype(int)), {"samples": GREY, "photometric": 0}, {}),
        "grey 16": (grey(WIDE >> 8), {"samples": WIDE, "photometric": 1}, {}),
        "grey 16 with a range": (
            grey((WIDE.clip(1000, 50000) - 1000.0) * 255 / 49000),
            {"samples": WIDE, "photometric": 1},
            {"value_range": (1000, 50000)},
        ),
        "int 16": (
            grey((signed + 15000.0) * 255 / 32250),
            {"samples": signed, "photometric": 1},
            {"value_range": (-15000, 17250)},
        ),
        "int 32": (
            grey(GREY), {"samples": GREY.astype(np.int32), "photometric": 1}, {"value_range": (0, 255)}
        ),
        "float 32": (
            grey(GREY), {"samples": linear.astype(np.float32), "photometric": 1}, {"value_range": (-1, 2)}
        ),
        "palette": (PALETTE[INDEX], {"samples": INDEX, "photometric": 3, "palette": palette}, {}),
        "palette and alpha": (
            on(PALETTE[INDEX], ALPHA),
            {"samples": np.stack([INDEX, ALPHA], -1), "photometric": 3, "palette": palette, "extra": 2},
            {},
        ),
        "LA": (
            on(GREY, ALPHA).repeat(3, 2), {"samples": np.stack([GREY, ALPHA], -1), "photometric": 1, "extra": 2}, {}
        ),
        "LA premultiplied": (
            on(GREY, half).repeat(3, 2),
            {"samples": np.stack([darker, half], -1), "photometric": 1, "extra": 1},
            {"within": 3},
        ),
        "RGB": (RGB, {"samples": RGB, "photometric": 2}, {}),
        "RGB and something": (RGB, {"samples": np.dstack([RGB, ALPHA]), "photometric": 2, "extra": 0}, {}),
        "RGBA": (on(RGB, ALPHA, 0), {"samples": both, "photometric": 2, "extra": 2}, {"background": 0}),
        "RGBA premultiplied": (
            on(RGB, half), {"samples": np.dstack([times, half]), "photometric": 2, "extra": 1}, {"within": 3}
        ),
        "RGB 16": (RGB, {"samples": RGB * np.uint16(257), "photometric": 2}, {}),
        "RGBA 16": (on(RGB, ALPHA), {"samples": both16, "photometric": 2, "extra": 2}, {}),
        "CMYK": (of_cmyk(CMYK), {"samples": CMYK, "photometric": 5}, {"within": 2}),
        "CMYK 16": (of_cmyk(CMYK), {"samples": CMYK * np.uint16(257), "photometric": 5}, {"within": 2}),
        "YCbCr": (of_ycc(ycc), {"samples": ycc, "photometric": 6, "tags": one_one}, {"within": 2}),
    }  # fmt: skip
    little = {
        "grey 12": (grey(twelve >> 4), {"samples": twelve, "photometric": 1, "bits": 12}, {}),
        "grey 16, white is 0": (grey(255 - (WIDE >> 8).astype(int)), {"samples": WIDE, "photometric": 0}, {}),
        "uint 32": (
            grey(WIDE * 50000.0 * 255 / 3.225e9), {"samples": large, "photometric": 1}, {"value_range": (0, 3.225e9)}
        ),
    }  # fmt: skip  # Pillow reads these in this order of bytes only
    for name, (want, file, more) in (found | little).items():
        for order in "<>" if name in found else "<":
            for is_packed in (False, True):
                if is_packed and (name in ("YCbCr", "grey 12") or (order == ">" and name in REFUSED_PACKED)):
                    continue  # libtiff wants more of a file than is written here
                label = f"{name} {'little' if order == '<' else 'big'} {'packed' if is_packed else 'plain'}"
                yield (
                    label,
                    Case(
                        lambda o, f=file, e=order, p=is_packed: tiff(**f, order=e, orientation=o, is_packed=p),
                        want,
                        **more,
                    ),
                )


def others():
    one = (1,)
    rgb, rgba, grey8 = Image.fromarray(RGB), Image.fromarray(np.dstack([RGB, ALPHA])), Image.fromarray(GREY)
    yield "JPEG grey", Case(of_pillow(grey8, "JPEG", quality=100, takes_exif=True), grey(GREY), 3)
    yield "JPEG RGB", Case(of_pillow(rgb, "JPEG", quality=100, subsampling=0, takes_exif=True), RGB, 5)
    yield (
        "JPEG CMYK",
        Case(of_pillow(Image.fromarray(CMYK, "CMYK"), "JPEG", quality=100, takes_exif=True), of_cmyk(CMYK), 8),
    )
    yield (
        "MPO",
        Case(
            of_pillow(rgb, "MPO", save_all=True, append_images=[rgb.rotate(90)], quality=100, subsampling=0),
            RGB,
            5,
            one,
        ),
    )
    yield "WebP RGB", Case(of_pillow(rgb, "WEBP", lossless=True, takes_exif=True), RGB)
    yield (
        "WebP RGBA",
        Case(of_pillow(rgba, "WEBP", lossless=True, exact=True, takes_exif=True), on(RGB, ALPHA, 30), background=30),
    )
    if features.check("avif"):
        yield "AVIF RGB", Case(of_pillow(rgb, "AVIF", quality=100, subsampling="4:4:4", takes_exif=True), RGB, 5)
        yield (
            "AVIF RGBA",
            Case(of_pillow(rgba, "AVIF", quality=100, subsampling="4:4:4", takes_exif=True), on(RGB, ALPHA), 5),
        )
    yield "GIF", Case(of_pillow(p_image(), "GIF"), PALETTE[INDEX], orientations=one)
    yield (
        "GIF with a transparent colour",
        Case(
            of_pillow(p_image(), "GIF", transparency=9),
            on(PALETTE[INDEX], np.where(INDEX == 9, 0, 255)),
            orientations=one,
        ),
    )
    yield (
        "GIF of two frames",
        Case(
            of_pillow(p_image(), "GIF", save_all=True, append_images=[p_image().rotate(90)]),
            PALETTE[INDEX],
            orientations=one,
        ),
    )
    yield "APNG", Case(of_pillow(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]), RGB, orientations=one)
    yield (
        "TIFF of two pages",
        Case(of_pillow(rgb, "TIFF", save_all=True, append_images=[rgb.rotate(90)]), RGB, orientations=one),
    )
    bits = np.where(INDEX % 5 == 0, 0, 255).astype(np.uint8)
    yield (
        "TIFF of one bit",
        Case(of_pillow(Image.fromarray(bits).convert("1"), "TIFF", compression="group4"), grey(bits), orientations=one),
    )
    yield "BMP grey", Case(of_pillow(grey8, "BMP"), grey(GREY), orientations=one)
    yield "BMP palette", Case(of_pillow(p_image(), "BMP"), PALETTE[INDEX], orientations=one)
    yield "BMP RGB", Case(of_pillow(rgb, "BMP"), RGB, orientations=one)
    yield "TGA RGBA", Case(of_pillow(rgba, "TGA"), on(RGB, ALPHA), orientations=one)
    yield (
        "TGA LA",
        Case(
            of_pillow(Image.fromarray(np.stack([GREY, ALPHA], -1)), "TGA"),
            on(GREY, ALPHA).repeat(3, 2),
            orientations=one,
        ),
    )
    yield "PPM", Case(lambda _: b"P6 16 16 255\n" + RGB.tobytes(), RGB, orientations=one)
    yield "PPM 16", Case(lambda _: b"P6 16 16 65535\n" + (RGB.astype(">u2") * 257).tobytes(), RGB, orientations=one)
    yield "PGM", Case(lambda _: b"P5 16 16 255\n" + GREY.tobytes(), grey(GREY), orientations=one)
    yield (
        "PGM 16",
        Case(lambda _: b"P5 16 16 65535\n" + WIDE.astype(">u2").tobytes(), grey(WIDE >> 8), orientations=one),
    )
    ten = np.linspace(0, 1023, SIDE * SIDE).reshape(SIDE, SIDE).astype(">u2")
    yield (
        "PGM that says its range",
        Case(lambda _: b"P5 16 16 1023\n" + ten.tobytes(), grey(ten * 255.0 / 1023), orientations=one),
    )
    yield (
        "PGM that says its range, in another one",
        Case(lambda _: b"P5 16 16 1023\n" + ten.tobytes(), grey((ten * 255.0 / 511).clip(0, 255)), 1.5, one, (0, 511)),
    )
    yield (
        "PGM of 10 bits that says 65535",
        Case(lambda _: b"P5 16 16 65535\n" + ten.tobytes(), grey(ten * 255.0 / 1023), 1.01, one, (0, 1023)),
    )
    yield "PBM", Case(lambda _: b"P1 16 16\n" + b" ".join(b"%d" % v for v in (INDEX % 5 == 0).ravel()),
        grey(np.where(INDEX % 5 == 0, 0, 255)), orientations=one)  # fmt: skip
    if features.check("jpg_2000"):
        for name, image, want in (
            ("L", grey8, grey(GREY)), ("RGB", rgb, RGB), ("RGBA", rgba, on(RGB, ALPHA)),
            ("grey 16", Image.fromarray(WIDE), grey(WIDE >> 8)),
        ):  # fmt: skip
            yield f"JPEG 2000 {name}", Case(of_pillow(image, "JPEG2000", irreversible=False), want, orientations=one)
    yield "ICO", Case(of_pillow(rgba, "ICO", sizes=[(16, 16)]), on(RGB, ALPHA), orientations=one)
    yield "QOI", Case(lambda _: qoi(RGB), RGB, orientations=one)


def qoi(rgb):
    """Each pixel as it is, which the format allows."""
    body = b"".join(b"\xfe" + bytes(pixel) for pixel in rgb.reshape(-1, 3).tolist())
    return b"qoif" + SIDE.to_bytes(4, "big") * 2 + b"\x03\x00" + body + b"\0" * 7 + b"\1"


CASES = {
    **{f"PNG {name}": case for name, case in pngs()},
    **{f"TIFF {name}": case for name, case in tiffs()},
    **dict(others()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_becomes_the_pixels_that_numpy_computes_from_a_path_and_from_bytes(tmp_path, name):
    case = CASES[name]
    want_colour = np.broadcast_to(np.asarray(case.want, float), (SIDE, SIDE, 3))
    luma = want_colour @ np.array([0.299, 0.587, 0.114])
    for orientation in case.orientations:
        stored = case.made(orientation)
        path = tmp_path / f"{orientation}.bin"
        path.write_bytes(stored)
        for channels, want in ((3, want_colour), (1, luma)):
            decode = Decoder(
                SIDE, SIDE, channels, reduced=True, value_range=case.value_range, background=case.background
            )
            made = decode.of_bytes(stored, "a")
            assert np.array_equal(decode(path), made)
            gap = np.abs(made - upright(want, orientation))
            assert gap.max() <= case.within + (channels == 1), (orientation, channels, gap.max())


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

"""Files of every container but PNG and TIFF, with the pixels that they show."""

import numpy as np
from PIL import Image, features

from container_case import Case, grey, of_cmyk, on
from container_pixels import (
    ALPHA,
    CMYK,
    GREY,
    INDEX,
    PALETTE,
    RGB,
    SIDE,
    WIDE,
    of_pillow,
    p_image,
)


def others():
    upright = (1,)
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
            upright,
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
    yield "GIF", Case(of_pillow(p_image(), "GIF"), PALETTE[INDEX], orientations=upright)
    yield (
        "GIF with a transparent colour",
        Case(
            of_pillow(p_image(), "GIF", transparency=9),
            on(PALETTE[INDEX], np.where(INDEX == 9, 0, 255)),
            orientations=upright,
        ),
    )
    yield (
        "GIF of two frames",
        Case(
            of_pillow(p_image(), "GIF", save_all=True, append_images=[p_image().rotate(90)]),
            PALETTE[INDEX],
            orientations=upright,
        ),
    )
    yield "APNG", Case(of_pillow(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]), RGB, orientations=upright)
    yield (
        "TIFF of two pages",
        Case(of_pillow(rgb, "TIFF", save_all=True, append_images=[rgb.rotate(90)]), RGB, orientations=upright),
    )
    bits = np.where(INDEX % 5 == 0, 0, 255).astype(np.uint8)
    yield (
        "TIFF of one bit",
        Case(
            of_pillow(Image.fromarray(bits).convert("1"), "TIFF", compression="group4"),
            grey(bits),
            orientations=upright,
        ),
    )
    yield "BMP grey", Case(of_pillow(grey8, "BMP"), grey(GREY), orientations=upright)
    yield "BMP palette", Case(of_pillow(p_image(), "BMP"), PALETTE[INDEX], orientations=upright)
    yield "BMP RGB", Case(of_pillow(rgb, "BMP"), RGB, orientations=upright)
    yield "TGA RGBA", Case(of_pillow(rgba, "TGA"), on(RGB, ALPHA), orientations=upright)
    yield (
        "TGA LA",
        Case(
            of_pillow(Image.fromarray(np.stack([GREY, ALPHA], -1)), "TGA"),
            on(GREY, ALPHA).repeat(3, 2),
            orientations=upright,
        ),
    )
    yield "PPM", Case(lambda _: b"P6 16 16 255\n" + RGB.tobytes(), RGB, orientations=upright)
    yield "PPM 16", Case(lambda _: b"P6 16 16 65535\n" + (RGB.astype(">u2") * 257).tobytes(), RGB, orientations=upright)
    yield "PGM", Case(lambda _: b"P5 16 16 255\n" + GREY.tobytes(), grey(GREY), orientations=upright)
    yield (
        "PGM 16",
        Case(lambda _: b"P5 16 16 65535\n" + WIDE.astype(">u2").tobytes(), grey(WIDE >> 8), orientations=upright),
    )
    ten = np.linspace(0, 1023, SIDE * SIDE).reshape(SIDE, SIDE).astype(">u2")
    yield (
        "PGM that says its range",
        Case(lambda _: b"P5 16 16 1023\n" + ten.tobytes(), grey(ten * 255.0 / 1023), orientations=upright),
    )
    yield (
        "PGM that says its range, in another one",
        Case(
            lambda _: b"P5 16 16 1023\n" + ten.tobytes(), grey((ten * 255.0 / 511).clip(0, 255)), 1.5, upright, (0, 511)
        ),
    )
    yield (
        "PGM of 10 bits that says 65535",
        Case(lambda _: b"P5 16 16 65535\n" + ten.tobytes(), grey(ten * 255.0 / 1023), 1.01, upright, (0, 1023)),
    )
    yield "PBM", Case(lambda _: b"P1 16 16\n" + b" ".join(b"%d" % v for v in (INDEX % 5 == 0).ravel()),
        grey(np.where(INDEX % 5 == 0, 0, 255)), orientations=upright)  # fmt: skip
    if features.check("jpg_2000"):
        for name, image, want in (
            ("L", grey8, grey(GREY)), ("RGB", rgb, RGB), ("RGBA", rgba, on(RGB, ALPHA)),
            ("grey 16", Image.fromarray(WIDE), grey(WIDE >> 8)),
        ):  # fmt: skip
            yield (
                f"JPEG 2000 {name}",
                Case(of_pillow(image, "JPEG2000", irreversible=False), want, orientations=upright),
            )
    yield "ICO", Case(of_pillow(rgba, "ICO", sizes=[(16, 16)]), on(RGB, ALPHA), orientations=upright)
    yield "QOI", Case(lambda _: qoi(RGB), RGB, orientations=upright)


def qoi(rgb):
    """Each pixel as it is, which the format allows."""
    body = b"".join(b"\xfe" + bytes(pixel) for pixel in rgb.reshape(-1, 3).tolist())
    return b"qoif" + SIDE.to_bytes(4, "big") * 2 + b"\x03\x00" + body + b"\0" * 7 + b"\1"

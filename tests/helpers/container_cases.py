"""Files of every container with the pixels that they show."""

import numpy as np

from container_case import Case, grey, of_cmyk, of_ycc, on
from container_pixels import (
    ALPHA,
    CMYK,
    GREY,
    INDEX,
    PALETTE,
    REFUSED_PACKED,
    RGB,
    SIDE,
    TRANSPARENT,
    WIDE,
    X,
    Y,
)
from containers import png, tiff
from other_container_cases import others


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
                RGB,
                colour=2,
                before=[(b"tRNS", b"".join(b"\0" + bytes([level]) for level in RGB[5, 6]))],
                orientation=o,
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
    transparent = [(b"PLTE", PALETTE.tobytes()), (b"tRNS", b"\xff" * 9 + b"\0")]
    yield (
        "palette 8 with one transparent colour",
        Case(
            lambda o: png(INDEX, colour=3, before=transparent, orientation=o),
            on(PALETTE[INDEX], np.where(INDEX == 9, 0, 255)),
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
    cases = {
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
    for name, (want, file, more) in (cases | little).items():
        for order in "<>" if name in cases else "<":
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


CASES = {
    **{f"PNG {name}": case for name, case in pngs()},
    **{f"TIFF {name}": case for name, case in tiffs()},
    **dict(others()),
}

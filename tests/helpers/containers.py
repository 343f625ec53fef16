"""Image files written byte by byte, so that no library that reads them has a say in what they hold."""

import struct
import zlib

import numpy as np

ORDER = {"<": b"II", ">": b"MM"}
COLOURS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel, by PNG's type of colour
SHORT, LONG = 3, 4  # types of numbers in TIFF


def exif(orientation: int) -> bytes:
    """An EXIF block that says how an image is turned, and nothing else."""
    return b"MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHIHHI", 1, 0x0112, SHORT, 1, orientation, 0, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, *, colour: int, depth: int = 8, before=(), orientation: int = 1, is_exif_last: bool = False) -> bytes:
    """A PNG file. samples: (H, W) or (H, W, n), as stored; before: (kind, data) of chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    assert rows.shape[1] == width * COLOURS[colour]
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        lines = [np.packbits(row).tobytes() for row in bits.reshape(height, -1).astype(np.uint8)]
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
    turned = b"" if orientation == 1 else chunk(b"eXIf", exif(orientation))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    head += b"".join(chunk(*head_chunk) for head_chunk in before)
    body = pixels + turned if is_exif_last else turned + pixels
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def tiff(
    samples,
    *,
    photometric: int,
    order: str = "<",
    orientation: int = 1,
    extra: int | None = None,
    palette=None,
    is_packed: bool = False,
    bits: int | None = None,
    tags=(),
) -> bytes:
    """A TIFF file of one strip. samples: (H, W) or (H, W, n) of the type that is stored.

    extra: what the last sample is, 0 nothing, 1 premultiplied alpha, 2 alpha. palette: (256, 3), 16 bits. is_packed: by
    zlib. bits: 12, of samples that are packed two in three bytes. tags: more of (tag, type, values).
    """
    height, width = samples.shape[:2]
    count = 1 if samples.ndim == 2 else samples.shape[2]
    if bits == 12:
        two = samples.reshape(-1, 2).astype(np.uint16)
        data = np.stack([two[:, 0] >> 4, (two[:, 0] & 15) << 4 | two[:, 1] >> 8, two[:, 1] & 255], 1).astype(np.uint8)
        data = data.tobytes()
    else:
        data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if is_packed else data
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    entries = [
        (256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [bits or samples.dtype.itemsize * 8] * count),
        (259, SHORT, [8 if is_packed else 1]), (262, SHORT, [photometric]), (273, LONG, [8]),
        (274, SHORT, [orientation]), (277, SHORT, [count]), (278, LONG, [height]), (279, LONG, [len(data)]),
        (339, SHORT, [kind] * count), *tags,
    ]  # fmt: skip
    if palette is not None:
        entries.append((320, SHORT, np.asarray(palette).T.ravel().tolist()))
    if extra is not None:
        entries.append((338, SHORT, [extra]))
    entries.sort()
    place = 8 + len(data) + len(data) % 2
    behind = place + 2 + 12 * len(entries) + 4
    table, outside = struct.pack(order + "H", len(entries)), b""
    for tag, of, values in entries:
        stored = struct.pack(order + ("H" if of == SHORT else "I") * len(values), *values)
        if len(stored) > 4:
            stored, outside = struct.pack(order + "I", behind + len(outside)), outside + stored
        table += struct.pack(order + "HHI", tag, of, len(values)) + stored.ljust(4, b"\0")
    head = ORDER[order] + struct.pack(order + "HI", 42, place)
    return head + data + b"\0" * (len(data) % 2) + table + struct.pack(order + "I", 0) + outside


def upright(image, orientation: int):
    """What is seen of a stored image (H, W, ...), as the EXIF standard says by its rows and columns."""
    return {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }[orientation](image)

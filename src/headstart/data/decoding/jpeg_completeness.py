"""Whether a JPEG that ends with an end marker has the data of all its pixels.

A decoder draws what is missing before the marker as one colour, or unsharp where the file is progressive, and warns at
most, which Pillow does not pass on. A file without the marker is an error of Pillow's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

END = b"\xff\xd9"
CORNER = (16, 8)  # pixels, width and height: what is missing fills at least these, but for the last block of the image
# Bytes that a decoder still in want of data takes for them, and one that has all passes over; then the same behind each
# restart marker (FF D0 to FF D7), for a decoder that waits for one
_BYTES = bytes((37 * at * at + 11 * at + 5) % 251 for at in range(64))
SURPLUS = _BYTES + b"".join(bytes((0xFF, 0xD0 + number)) + _BYTES for number in range(8))


def is_cut(image: Image, stored: bytes, *, reduction: int, decoded: Callable[..., Image]) -> bool:
    """Whether data are missing before the end marker.

    Data behind the last pixel change no pixel, so more data before the marker change the image exactly where some are
    missing. Further decodings tell, and happen only where the last corner is of one colour, or the file progressive:
    its last data may be of detail or colours alone, which show at full size. Of a progressive file that lacks whole
    scans nothing is found.

    Args:
        image: Decoded from the bytes, as stored.
        stored: The bytes of the file.
        reduction: Pixels of the file to one of the image, on each side.
        decoded: Bytes -> the decoded image; with `whole=True` in full size and colours, else as `image` was.
    """
    if image.format not in ("JPEG", "MPO") or (end := stored.rfind(END)) < 0:
        return False
    more = stored[:end] + SURPLUS + stored[end:]
    if image.info.get("progressive"):
        return decoded(more, whole=True).tobytes() != decoded(stored, whole=True).tobytes()
    return _ends_plain(image, reduction) and decoded(more, whole=False).tobytes() != image.tobytes()


def _ends_plain(image: Image, reduction: int) -> bool:
    width, height = (max(1, pixels // reduction) for pixels in CORNER)
    corner = image.crop((max(0, image.width - width), max(0, image.height - height), *image.size))
    colours = corner.getcolors(1)
    return colours is not None

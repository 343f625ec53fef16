"""A JPEG that was cut and closed with an end marker is refused; one that is whole never is."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding.image_decoding import Decoder
from headstart.types import UserError

WAYS = {
    "sequential": {},
    "colours as fine as luma": {"subsampling": 0},
    "own Huffman tables": {"optimize": True},
    "restart markers": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
}
PHOTO = Image.fromarray(
    np.asarray(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)).resize((360, 240))
    )
)


def stored(image, **options):
    written = BytesIO()
    image.save(written, "JPEG", quality=85, **options)
    return written.getvalue()


@pytest.mark.parametrize(("channels", "reduced"), [(3, True), (3, False), (1, True)])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_file_that_was_cut_and_closed_is_refused(options, share, channels, reduced):
    whole = stored(PHOTO, **options)
    cut = whole[: int(len(whole) * share)].rstrip(b"\xff") + b"\xff\xd9"
    with Image.open(BytesIO(cut)) as image:
        image.load()  # Pillow draws it without a word
    decoder = Decoder(100, 115, channels, reduced=reduced)
    with pytest.raises(UserError, match=r"a\.jpg .*the data of its last pixels are missing; repair it"):
        decoder.of_bytes(cut, "a.jpg")
    decoder.of_bytes(whole, "a.jpg")


def test_a_file_that_was_cut_between_two_restart_markers_is_refused():
    whole = stored(PHOTO, restart_marker_rows=1)
    at = whole.rfind(b"\xff\xd3")
    assert at > 0
    with pytest.raises(UserError, match="last pixels are missing"):
        Decoder(100, 115, 3, reduced=False).of_bytes(whole[:at] + b"\xff\xd9", "a.jpg")


@pytest.mark.parametrize("behind", [b"", b"\x00" * 1000, b"a camera's own data \xff\xd9"])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_whole_file_that_ends_in_one_colour_is_read(options, behind):
    plain = PHOTO.copy()
    plain.paste((255, 255, 255), (0, 120, *PHOTO.size))
    pixels = Decoder(100, 115, 3, reduced=True).of_bytes(stored(plain, **options) + behind, "a.jpg")
    assert pixels[-1].min() > 250


def test_an_image_smaller_than_a_block_is_read():
    one = stored(Image.new("RGB", (1, 1), (9, 9, 9)))
    assert (Decoder(8, 8, 3, reduced=True).of_bytes(one, "a.jpg") == 9).all()

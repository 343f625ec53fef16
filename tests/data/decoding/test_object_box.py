"""Objects on a plain background: their extent, and one size for all of them."""

import numpy as np
import pytest
from PIL import Image

from headstart.data.decoding.image_decoding import Decoder, decoder_of
from headstart.data.decoding.object_box import boxed, boxed_stack, is_plain, object_extent
from headstart.types import Pixels, UserError

MNIST = Pixels(size=28, channels=1, mean=(0.5,), std=(0.5,))


def block(height, width, top, left, *, frame=28, ink=200, background=0):
    image = np.full((frame, frame), background, np.uint8)
    image[top : top + height, left : left + width] = ink
    return image


def test_an_extent_is_that_of_a_drawn_block():
    extent = object_extent(block(12, 7, 3, 9))
    assert tuple(extent) == (9, 3, 16, 15)
    assert extent.longer_side == 12


@pytest.mark.parametrize("background", [0, 90, 255])
def test_any_background_will_do_and_faint_noise_makes_no_object_larger(background):
    image = block(12, 7, 3, 9, ink=255 - background if background != 90 else 250, background=background)
    noise = np.random.default_rng(0).integers(-12, 13, image.shape)
    noisy = (image.astype(int) + noise).clip(0, 255).astype(np.uint8)
    assert object_extent(noisy) == object_extent(block(12, 7, 3, 9))


def test_an_image_of_one_colour_has_no_object_and_stays_as_it_is():
    plain = np.full((9, 9), 77, np.uint8)
    assert object_extent(plain) is None
    assert (boxed(Image.fromarray(plain), size=28, box=20) == 77).all()


def test_a_digit_that_fills_its_frame_is_enlarged_to_the_box_and_padded_as_by_hand():
    """USPS in MNIST's box: 16 pixels resized to 20, 4 of background on each side."""
    digit = np.zeros((16, 16), np.uint8)
    digit[0:16, 5:11] = np.random.default_rng(1).integers(180, 256, (16, 6))
    want = np.zeros((28, 28), np.uint8)
    want[4:24, 4:24] = np.asarray(Image.fromarray(digit).resize((20, 20), Image.Resampling.BILINEAR))
    found = boxed(Image.fromarray(digit), size=28, box=20)
    assert (found[:3] == 0).all()
    assert (found[25:] == 0).all()
    # but for the outermost rows, which the background beside them enters into
    np.testing.assert_allclose(found[6:22].astype(int), want[6:22].astype(int), atol=1)


@pytest.mark.parametrize("frame", [16, 28, 40, 100])
@pytest.mark.parametrize("box", [8, 20, 28])
def test_the_longer_side_becomes_the_box_in_the_middle_whatever_the_image_is(frame, box):
    drawn = block(frame // 2, frame // 4, 1, 2, frame=frame)
    extent = object_extent(boxed(Image.fromarray(drawn), size=28, box=box))
    assert abs(extent.longer_side - box) <= 1 + box / (frame // 2) / 2  # enlarged edges are blurred
    assert abs(extent.top + extent.bottom - 28) <= 1
    assert abs(extent.left + extent.right - 28) <= 1


def test_what_is_in_the_box_already_is_itself():
    drawn = block(20, 12, 4, 8)
    assert np.array_equal(boxed(Image.fromarray(drawn), size=28, box=20), drawn)


def test_shift_and_size_of_the_object_do_not_count():
    """Of an object without thin lines, drawn twice as large elsewhere."""
    small, large = block(10, 6, 2, 3, frame=40), block(20, 12, 15, 21, frame=40)
    one, other = (boxed(Image.fromarray(image), size=28, box=20).astype(int) for image in (small, large))
    assert ((one > 100) != (other > 100)).mean() < 0.03


def test_colours_and_their_background_stay():
    image = np.full((30, 30, 3), (10, 20, 30), np.uint8)
    image[5:15, 5:10] = (250, 200, 150)
    found = boxed(Image.fromarray(image), size=32, box=20)
    assert found.shape == (32, 32, 3)
    assert (found[0, 0] == (10, 20, 30)).all()
    assert (found[16, 16] == (250, 200, 150)).all()


def test_images_in_memory_are_as_each_alone():
    images = np.stack([block(12, 7, 3, 9), block(5, 5, 20, 20)])
    each = [boxed(Image.fromarray(image), size=28, box=20) for image in images]
    assert np.array_equal(boxed_stack(images, size=28, box=20), np.stack(each))
    assert boxed_stack(images[:0], size=28, box=20).shape == (0, 28, 28)


def test_a_plain_background_is_told_from_a_photo():
    assert is_plain(block(12, 7, 3, 9))
    assert not is_plain(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8))


def test_a_decoder_draws_the_object_of_a_file_as_it_stands_upright(tmp_path):
    image = Image.fromarray(block(12, 7, 3, 9))
    image.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    decode = decoder_of(MNIST, resize=None, reduced=True, box=20)
    want = boxed(image, size=28, box=20)
    assert np.array_equal(decode(tmp_path / "plain.png"), want)
    assert np.array_equal(decode(tmp_path / "turned.png"), want)


@pytest.mark.parametrize("box", [0, 29])
def test_a_box_that_does_not_fit_is_one_message(box):
    with pytest.raises(UserError, match=rf"box must be 1 to the backbone's 28 pixels.*got {box}; try box=20"):
        decoder_of(MNIST, resize=None, reduced=True, box=box)


@pytest.mark.parametrize(("side", "kept"), [(16, 16), (28, 28), (32, 28)])
def test_nothing_is_cut_off_images_no_larger_than_the_backbones(tmp_path, side, kept):
    """A frame of one pixel around the image is still there; of larger images 1/8 is cut off, as before."""
    image = np.zeros((side, side), np.uint8)
    image[[0, -1]] = image[:, [0, -1]] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    found = decoder_of(MNIST, resize=None, reduced=True)(tmp_path / "a.png")
    want = Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(want)) == (kept == side)
    assert bool(found[0].min() > 100) == (kept == side)


def test_what_the_weights_or_the_user_say_of_resizing_holds_for_small_images_too():
    for pixels, resize in ((MNIST._replace(resize=32), None), (MNIST, 32)):
        assert not decoder_of(pixels, resize=resize, reduced=True).keeps_small


def test_an_earlier_decoder_says_so_of_itself():
    """What is cached under a decoder's text is of these pixels: a new way to make them has a new text."""
    assert "box=None" in repr(Decoder(28, 32, 1, reduced=True))
    assert repr(decoder_of(MNIST, resize=None, reduced=True)) != repr(decoder_of(MNIST, resize=32, reduced=True))

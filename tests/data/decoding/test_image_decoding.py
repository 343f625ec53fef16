"""Decoding of image files: the pixels at the centre, upright, whatever the format."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from headstart.data.decoding.image_decoding import Decoder
from headstart.types import UserError


def photo(width: int, height: int, seed=0) -> Image.Image:
    """Soft shapes with a little noise, as a camera sees them."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    return Image.fromarray((smooth + chance.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8))


def decoder(size=32, resize=None, channels=3, reduced=True) -> Decoder:
    return Decoder(size, resize or size, channels, reduced)


def saved(image: Image.Image, path, **settings):
    image.save(path, **settings)
    return path


def difference(one, two) -> float:
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(two, np.float64)).mean())


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (50, 50), (33, 200)])
def test_resizing_then_cutting_as_torchvision_does_gives_the_same_pixels_but_for_its_rounding(tmp_path, size):
    transforms = pytest.importorskip("torchvision.transforms")
    image = photo(10 * size[0], 10 * size[1])
    both = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    mine = decoder(224, 256)(saved(image, tmp_path / "a.png"))
    assert difference(mine, both(image)) < 3


def test_an_image_of_the_right_size_is_itself(tmp_path):
    image = photo(32, 32)
    assert np.array_equal(decoder()(saved(image, tmp_path / "a.png")), np.asarray(image))


def test_an_image_whose_shorter_side_is_right_is_cut_only(tmp_path):
    image = photo(50, 36)
    cut = decoder(32, 36)(saved(image, tmp_path / "a.png"))
    assert np.array_equal(cut, np.asarray(image)[2:34, 9:41])


def test_the_centre_is_kept(tmp_path):
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, 40:80] = 200
    assert (decoder(20, 20)(saved(Image.fromarray(stripes), tmp_path / "a.png"))[:, 1:-1] == 200).all()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".gif", ".webp"])
def test_a_format_without_loss_gives_what_was_drawn(tmp_path, suffix):
    image = Image.new("RGB", (32, 32), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 16, 32))
    settings = {"lossless": True} if suffix == ".webp" else {}
    assert np.array_equal(decoder()(saved(image, tmp_path / f"a{suffix}", **settings)), np.asarray(image))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_grey_or_rgb(tmp_path, mode, channels):
    image = Image.new("RGB", (32, 32), (255, 255, 255)).convert(mode)
    decoded = decoder(channels=channels)(saved(image, tmp_path / ("a.tif" if mode == "CMYK" else "a.png")))
    assert decoded.dtype == np.uint8
    assert decoded.shape == ((32, 32) if channels == 1 else (32, 32, 3))
    assert decoded.min() >= 250


def test_16_bits_of_grey_keep_the_upper_8(tmp_path):
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    decoded = decoder(channels=1)(saved(Image.fromarray(values), tmp_path / "a.png"))
    assert np.array_equal(decoded, values >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_stands_upright_as_exif_says(tmp_path, orientation, channels):
    image = photo(160, 96)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(image, tmp_path / "a.jpg", exif=exif, quality=95)
    turned = ImageOps.exif_transpose(Image.open(path)).convert("L" if channels == 1 else "RGB")
    want = decoder(40, 48, channels)(saved(turned, tmp_path / "upright.png"))
    assert difference(decoder(40, 48, channels)(path), want) < 3


@pytest.mark.parametrize(
    ("size", "resize", "scale"),
    [((640, 480), 224, 2), ((640, 480), 256, 1), ((1280, 960), 224, 4), ((480, 640), 240, 2), ((4000, 3000), 32, 8)],
)
def test_a_jpeg_is_decoded_at_a_fraction_but_never_below_the_wanted_size(tmp_path, monkeypatch, size, resize, scale):
    path = saved(Image.new("RGB", size, (9, 99, 199)), tmp_path / "a.jpg")
    seen = []
    cut = Decoder._cut

    def seeing(self, image, *how):
        seen.append(image.size)
        return cut(self, image, *how)

    monkeypatch.setattr(Decoder, "_cut", seeing)
    decoder(32, resize)(path)
    decoder(32, resize, reduced=False)(path)
    assert seen == [(size[0] // scale, size[1] // scale), size]
    assert min(seen[0]) >= resize


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(640, 480), (481, 643), (1280, 960), (2000, 1999)])
def test_reduced_decoding_differs_by_about_1_of_255_on_average(tmp_path, size, channels):
    path = saved(photo(*size), tmp_path / "a.jpg", quality=88)
    reduced, full = (decoder(224, 224, channels, reduced=reduced)(path) for reduced in (True, False))
    assert 0 < difference(reduced, full) < 1.5


def test_reduced_decoding_leaves_other_formats_alone(tmp_path):
    path = saved(photo(640, 480), tmp_path / "a.png")
    assert np.array_equal(decoder(reduced=True)(path), decoder(reduced=False)(path))


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\xff\xd8\xff\xe0 broken"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.jpg is no image that can be read"):
        decoder()(path)


def test_a_file_that_ends_too_early_is_named(tmp_path):
    path = saved(photo(64, 64), tmp_path / "half.jpg")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match=r"half\.jpg is no image that can be read"):
        decoder()(path)


def test_floats_have_no_range_and_are_named(tmp_path):
    path = saved(Image.fromarray(np.ones((32, 32), np.float32)), tmp_path / "depth.tif")
    with pytest.raises(UserError, match=r"depth\.tif .*floats of an unknown range"):
        decoder()(path)

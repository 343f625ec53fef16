"""Corruptions of ImageNet-C's kinds against what they are made of, and laws that all of them have."""

import io

import numpy as np
import pytest
from PIL import Image

from headstart.data.transforms.corruptions.corruption_kinds import ALL, EXTRA, KINDS, corrupted, image_rng
from headstart.types import UserError

NO_GREY = "saturate"


def scene(side=48, seed=0):
    """Smooth coloured hills with a sharp square (side, side, 3), uint8."""
    rows, columns = np.mgrid[:side, :side] / side
    planes = [0.5 + 0.4 * np.sin((3 + seed) * rows + channel) * np.cos(2 * columns - channel) for channel in range(3)]
    image = np.stack(planes, axis=2)
    image[side // 4 : side // 2, side // 4 : side // 2] = (0.9, 0.2, 0.1)
    return np.round(image * 255).astype(np.uint8)


def flat(level, side=96):
    return np.full((side, side, 3), level, np.uint8)


def test_the_mean_is_of_13_of_the_benchmarks_15_kinds():
    assert len(ALL) == 13
    assert {*ALL, *EXTRA} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_always_changed_alike_and_keeps_shape_and_type(kind):
    image = scene()
    once, again = corrupted(image, kind, 3), corrupted(image.copy(), kind, 3)
    np.testing.assert_array_equal(once, again)
    assert (once.shape, once.dtype) == (image.shape, np.uint8)
    assert (once != image).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != NO_GREY])
@pytest.mark.parametrize("side", [8, 28])
def test_small_grey_images_are_taken(kind, side):
    image = scene(side)[:, :, 0]
    assert corrupted(image, kind, 5).shape == (side, side)


def test_grey_images_have_no_saturation():
    with pytest.raises(UserError, match="corruption=saturate needs images in colour"):
        corrupted(scene()[:, :, 0], NO_GREY, 1)


@pytest.mark.parametrize(
    "kind",
    [
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "speckle_noise",
        "defocus_blur",
        "zoom_blur",
        "gaussian_blur",
        "brightness",
        "contrast",
        "jpeg_compression",
        "pixelate",
    ],
)
def test_more_severe_is_further_from_the_image(kind):
    image = scene(96)
    distances = [np.abs(corrupted(image, kind, severity) - image.astype(float)).mean() for severity in (1, 3, 5)]
    assert distances == sorted(distances)
    assert distances[0] < distances[2]


def test_other_images_get_other_noise():
    one, other = (image_rng(scene(seed=seed), "gaussian_noise").normal(size=3) for seed in (0, 1))
    assert (one != other).all()


def test_gaussian_noise_has_the_papers_standard_deviation():
    noise = (corrupted(flat(128), "gaussian_noise", 1) - 128.0) / 255
    assert noise.std() == pytest.approx(0.08, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.002)


def test_shot_noise_is_poisson():
    level = 100 / 255
    values = corrupted(flat(100), "shot_noise", 1) / 255
    assert values.mean() == pytest.approx(level, rel=0.01)
    assert values.var() == pytest.approx(level / 60, rel=0.05)


def test_impulse_noise_makes_a_share_of_the_values_black_or_white():
    values = corrupted(flat(100), "impulse_noise", 4)
    black, white = (values == 0).mean(), (values == 255).mean()
    assert black + white == pytest.approx(0.17, rel=0.05)
    assert black == pytest.approx(white, rel=0.15)
    assert set(np.unique(values)) == {0, 100, 255}


def test_contrast_keeps_the_mean_and_a_share_of_the_distance_to_it():
    image = scene()
    values, mean = image / 255, image.mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(corrupted(image, "contrast", 3) / 255, mean + 0.2 * (values - mean), atol=0.5 / 255)


def test_brightness_and_saturation_are_those_of_colorsys():
    import colorsys

    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    bright, saturated = corrupted(image, "brightness", 3) / 255, corrupted(image, "saturate", 4) / 255
    for row, column in np.ndindex(4, 5):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[row, column] / 255))
        raised = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))
        stronger = colorsys.hsv_to_rgb(hue, min(saturation * 5 + 0.1, 1), value)
        np.testing.assert_allclose(bright[row, column], raised, atol=0.51 / 255)
        np.testing.assert_allclose(saturated[row, column], stronger, atol=0.51 / 255)


def test_jpeg_is_what_pillow_writes_at_that_quality():
    image, stream = scene(), io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=15)
    np.testing.assert_array_equal(corrupted(image, "jpeg_compression", 3), np.asarray(Image.open(stream)))


def test_pixelate_gives_means_of_boxes():
    image = scene(48)
    boxes = image.reshape(12, 4, 12, 4, 3).mean(axis=(1, 3))  # severity 5: a quarter of the side
    np.testing.assert_allclose(corrupted(image, "pixelate", 5), boxes.repeat(4, axis=0).repeat(4, axis=1), atol=1.01)

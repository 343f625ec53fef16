"""Blurs, snow, fog and elastic deformation by cases that a person can compute."""

import math

import numpy as np
import pytest

from headstart.data.transforms.corruptions.blur_corruptions import (
    along_line,
    defocus_blur,
    disk,
    enlarged_centre,
    gaussian_blur,
    zoom_blur,
)
from headstart.data.transforms.corruptions.digital_corruptions import elastic_transform
from headstart.data.transforms.corruptions.resized_layers import resized_layer
from headstart.data.transforms.corruptions.weather_corruptions import fog, plasma


def point(side=41):
    """One white pixel in the middle of black ones."""
    image = np.zeros((side, side, 1))
    image[side // 2, side // 2] = 1
    return image


def rng():
    return np.random.default_rng(0)


def test_a_disk_of_radius_3_has_29_equal_pixels():
    weights = disk(3, 0.1, taps=1)
    assert (weights > 1e-6).sum() == 29  # the points of a grid within 3 of its origin
    assert weights.max() == pytest.approx(1 / 29)


def test_defocus_of_a_point_is_the_disk():
    blurred = defocus_blur(np.pad(point(41), ((91, 92), (91, 92), (0, 0))), 1, rng())  # 224 pixels a side
    assert (blurred > 1e-6).sum() == 29
    assert blurred.sum() == pytest.approx(1)


def test_motion_to_the_right_weighs_by_half_a_gaussian():
    blurred = along_line(point(), radius=2, sigma=1.5, angle=0.0)[20, :, 0]
    weight = np.exp(-(np.arange(5) ** 2) / (2 * 1.5**2))
    np.testing.assert_allclose(blurred[16:21], (weight / weight.sum())[::-1])
    assert blurred.sum() == pytest.approx(1)


def test_motion_downwards_is_motion_to_the_right_turned():
    image = rng().random((20, 20, 3))
    right = along_line(image, 4, 2, 0.0)
    down = along_line(image.transpose(1, 0, 2), 4, 2, math.pi / 2)
    np.testing.assert_allclose(down, right.transpose(1, 0, 2))


@pytest.mark.parametrize("blur", [gaussian_blur, defocus_blur, zoom_blur, elastic_transform])
def test_an_image_of_one_colour_stays_as_it_is(blur):
    image = np.full((32, 32, 3), 0.3)
    np.testing.assert_allclose(blur(image, 4, rng()), image, atol=1e-9)


def test_twice_as_large_an_image_is_blurred_twice_as_far():
    def spread(side):
        image = point(side)
        share = gaussian_blur(image, 3, rng())[:, side // 2, 0]
        places = np.arange(side) - side // 2
        return math.sqrt((share * places**2).sum() / share.sum())

    assert spread(448) == pytest.approx(2 * spread(224), rel=0.02)
    assert spread(224) == pytest.approx(3, rel=0.05)  # severity 3


def test_the_centre_twice_as_large():
    image = rng().random((8, 8, 1))
    larger = enlarged_centre(image, 2.0)
    assert larger.shape == image.shape
    assert larger[0, 0] == image[2, 2]  # corners of the middle half
    assert larger[7, 7] == image[5, 5]


def test_elastic_deformation_is_as_large_in_images_of_any_size():
    def moved(side):
        columns = np.repeat(np.linspace(0, 1, side)[None, :, None], side, axis=0)
        return np.abs(elastic_transform(columns, 2, rng()) - columns).mean()  # shares of the side

    assert moved(112) == pytest.approx(moved(224), rel=0.1)


def test_plasma_goes_on_at_its_edges_and_is_coarser_when_its_detail_decays_faster():
    fine, coarse = plasma(64, 1.4, rng()), plasma(64, 2.0, rng())
    for heights in (fine, coarse):
        assert (heights.min(), heights.max()) == (0, 1)
        inside = np.abs(np.diff(heights, axis=0)).mean()
        assert np.abs(heights[0] - heights[-1]).mean() < 2 * inside
    roughness = [np.abs(np.diff(heights, axis=0)).mean() / heights.std() for heights in (fine, coarse)]
    assert roughness[0] > roughness[1]


def test_fog_of_a_black_and_a_white_image():
    assert fog(np.zeros((16, 16, 1)), 3, rng()).max() == 0  # the sum is scaled to the image's own maximum
    white = fog(np.ones((224, 224, 1)), 3, rng())[:, :, 0]
    np.testing.assert_allclose(white, (1 + 2.5 * plasma(256, 1.7, rng())[:224, :224]) / 3.5)


def test_a_layer_of_its_own_size_is_itself():
    layer = rng().random((6, 6))
    assert resized_layer(layer, (6, 6)) is layer
    np.testing.assert_allclose(resized_layer(np.ones((6, 6)), (3, 9)), np.ones((3, 9)))

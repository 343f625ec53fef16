"""Left and right are exchanged, in the stated share of images."""

import pytest
import torch

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.random_flip import RandomFlip

ALWAYS = RandomFlip(probability=1)


def chance(count, seed=0):
    return ImageRng(seed=seed, epoch=[0] * count, position=range(count))


def test_by_hand_left_and_right_are_exchanged_and_top_and_bottom_stay():
    image = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    want = [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0], [9.0, 8.0, 7.0]]
    assert ALWAYS(image, chance(1))[0, 0].tolist() == want


def test_a_flip_twice_is_the_image():
    image = torch.rand(5, 3, 8, 8)
    assert torch.equal(ALWAYS(ALWAYS(image, chance(5)), chance(5)), image)


def test_without_probability_nothing_is_flipped():
    image = torch.rand(50, 3, 4, 4)
    assert torch.equal(RandomFlip(probability=0)(image, chance(50)), image)


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_as_many_images_are_flipped_as_the_probability_says(probability):
    image = torch.tensor([0.0, 1.0]).repeat(4000, 1, 2, 1)
    flipped = RandomFlip(probability=probability)(image, chance(4000))[:, 0, 0, 0]
    assert flipped.mean().item() == pytest.approx(probability, abs=0.03)  # 4 standard deviations

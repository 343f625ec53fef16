"""Stored images become exactly the numbers that a backbone expects."""

import pytest
import torch

from headstart.data.decoding.pixel_conversion import normalised
from headstart.types import Pixels


def test_a_grey_value_is_scaled_to_one_then_normalised():
    stored = torch.full((1, 2, 2), 51, dtype=torch.uint8)  # 51 / 255 = 0.2
    image = normalised(stored, Pixels(size=2, channels=1, mean=(0.1,), std=(0.5,)))
    assert image.shape == (1, 1, 2, 2)
    assert image.dtype == torch.float32
    assert image.flatten().tolist() == pytest.approx([0.2] * 4)  # (0.2 - 0.1) / 0.5


def test_grey_becomes_rgb_by_repetition_and_each_channel_has_its_own_mean():
    stored = torch.full((2, 3, 3), 255, dtype=torch.uint8)
    image = normalised(stored, Pixels(size=3, channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25)))
    assert image.shape == (2, 3, 3, 3)
    assert image[0, :, 1, 1].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_rgb_keeps_its_channels_in_order():
    stored = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 2, 2, 3)
    image = normalised(stored, Pixels(size=2, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3))
    assert image[0, :, 0, 1].tolist() == pytest.approx([0.0, 0.2, 1.0])


def test_rgb_becomes_grey_by_luma():
    stored = torch.tensor([255, 0, 51], dtype=torch.uint8).expand(1, 2, 2, 3)
    image = normalised(stored, Pixels(size=2, channels=1, mean=(0.0,), std=(1.0,)))
    assert image.flatten().tolist() == pytest.approx([0.299 + 0.114 * 0.2] * 4, rel=1e-5)


def test_a_fine_pattern_made_smaller_turns_grey_instead_of_into_another_pattern():
    stored = torch.zeros(1, 32, 32, dtype=torch.uint8)
    stored[:, :, ::2] = 255  # without antialiasing, a quarter of the size would be black or white
    image = normalised(stored, Pixels(size=8, channels=1, mean=(0.0,), std=(1.0,)))
    assert image.shape == (1, 1, 8, 8)
    assert image[0, 0, 2:-2, 2:-2].sub(0.5).abs().max() < 0.1


def test_a_plain_image_stays_plain_at_any_size():
    stored = torch.full((1, 32, 32), 102, dtype=torch.uint8)
    image = normalised(stored, Pixels(size=50, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3))
    assert image.shape == (1, 3, 50, 50)
    assert image.flatten().tolist() == pytest.approx([0.4] * 7500, rel=1e-5)

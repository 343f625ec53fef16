"""A crop shows the part that was drawn, drawn as torchvision draws."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torchvision.transforms import RandomResizedCrop as Torchvisions
from torchvision.transforms.v2.functional import resized_crop as torchvisions_resized_crop

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.random_resized_crop import RandomResizedCrop, boxes, resized_crop
from headstart.types import UserError

USUAL = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)}


def chance(count, seed=0):
    return ImageRng(seed=seed, epoch=[0] * count, position=range(count))


def cropped(image, *parts):
    left, top, width, height = torch.tensor(parts).unbind(1)
    return resized_crop(image, left=left, top=top, width=width, height=height)


def test_by_hand_the_lower_right_quarter_of_four_pixels_fills_the_image():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    # 10 11 / 14 15, whose pixels' centres come to lie between those of the 4: at -0.25, 0.25, 0.75 and 1.25 of the 2
    row = torch.tensor([10.0, 10.25, 10.75, 11.0])
    want = row + torch.tensor([0.0, 1.0, 3.0, 4.0])[:, None]
    assert torch.equal(cropped(image, (2, 2, 2, 2))[0, 0], want)


def test_a_planted_patch_alone_is_seen_and_nothing_of_what_is_around_it():
    image = torch.zeros(2, 3, 16, 16)
    image[0, :, 3:7, 5:11] = 1
    image[1, :, 9:10, 0:1] = 0.25
    made = cropped(image, (5, 3, 6, 4), (0, 9, 1, 1))
    assert torch.equal(made[0], torch.ones(3, 16, 16))
    assert torch.equal(made[1], torch.full((3, 16, 16), 0.25))


def test_a_patch_lies_where_a_larger_crop_puts_it():
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 4:8, 8:12] = 1  # the crop of 8 from (6, 2) on: the patch at 2 to 6 of its 8 pixels, 4 to 12 of 16
    made = cropped(image, (6, 2, 8, 8))[0, 0]
    assert torch.equal(made[5:11, 5:11], torch.ones(6, 6))
    outside = made.clone()
    outside[3:13, 3:13] = 0
    assert outside.sum() == 0


def test_the_whole_image_is_the_image_to_the_bit():
    image = torch.rand(4, 3, 17, 17)
    whole = RandomResizedCrop(scale=(1, 1), ratio=(1, 1))
    assert torch.equal(whole(image, chance(4)), image)


def test_every_part_is_torchvisions_resized_crop():
    image = torch.rand(40, 3, 32, 32)
    left, top, width, height = boxes(chance(40), size=32, **USUAL)
    made = resized_crop(image, left=left, top=top, width=width, height=height)
    for number, one in enumerate(image):
        part = [int(value[number]) for value in (top, left, height, width)]
        want = torchvisions_resized_crop(one, *part, size=[32, 32], antialias=True)
        torch.testing.assert_close(made[number], want, atol=2e-6, rtol=0)


def test_every_part_lies_in_the_image_and_is_as_large_and_as_long_as_it_may():
    left, top, width, height = boxes(chance(20_000), size=224, **USUAL)
    assert min(left.min(), top.min()) == 0
    assert (left + width).max() == (top + height).max() == 224
    area, aspect = (width * height) / 224**2, width / height
    assert 0.07 < area.min() < 0.09
    assert area.max() <= 1.01  # whole pixels
    assert 0.73 < aspect.min() < 0.76
    assert 1.32 < aspect.max() < 1.37


@pytest.mark.parametrize(
    "ranges", [USUAL, {"scale": (0.5, 1.0), "ratio": (0.5, 2.0)}, {"scale": (0.3, 0.3), "ratio": (1, 1)}]
)
def test_parts_are_distributed_as_torchvisions(ranges):
    torch.manual_seed(0)
    image = torch.empty(1, 64, 64)
    theirs = np.array([Torchvisions.get_params(image, **ranges) for _ in range(3000)])  # top, left, height, width
    left, top, width, height = (part.numpy() for part in boxes(chance(3000), size=64, **ranges))
    for ours, other in ((top, theirs[:, 0]), (left, theirs[:, 1]), (height, theirs[:, 2]), (width, theirs[:, 3])):
        assert kstest(ours, other).pvalue > 1e-3


@pytest.mark.parametrize(
    ("ratio", "want"),  # (left, top, width, height) of 32 pixels
    [((2.0, 2.0), (0, 8, 32, 16)), ((0.25, 0.5), (8, 0, 16, 32))],
)
def test_where_no_part_fits_the_middle_is_taken_as_torchvision_does(ratio, want):
    ranges = {"scale": (1.0, 1.0), "ratio": ratio}  # as large as the image, and twice as long as high
    assert all(tuple(part) == want for part in torch.stack(boxes(chance(20), size=32, **ranges), 1).tolist())
    top, left, height, width = Torchvisions.get_params(torch.empty(1, 32, 32), scale=[1.0, 1.0], ratio=list(ratio))
    assert (left, top, width, height) == want


def test_a_range_that_is_upside_down_is_an_error_with_the_range():
    with pytest.raises(UserError, match=r"scale must be from the smaller to the larger, got \[1, 0\.08\]"):
        RandomResizedCrop(scale=(1, 0.08), ratio=(1, 1))
    with pytest.raises(UserError, match="ratio"):
        RandomResizedCrop(scale=(0.08, 1), ratio=(2, 1))

"""CutMix's label shares are those of the pixels, and its box lies where the paper puts it."""

import numpy as np
import pytest
import torch

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.cutmix import CutMix, PastedBox, box, pasted


def numbered(count, height, width):
    """Images whose every pixel is the number of the image."""
    return torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 3, height, width).contiguous()


@pytest.mark.parametrize("size", [(7, 11), (16, 16)])
def test_each_label_has_the_shares_of_the_pixels_also_at_the_border(size):
    height, width = size
    image, share = numbered(4, *size), torch.eye(4)
    reached = set()
    for number in range(300):
        mixed, shares = CutMix(alpha=1.0, prob=1.0)(image, share, ImageRng(seed=0, epoch=0, position=[number]))
        for one in range(4):
            pixels = torch.bincount(mixed[one, 0].long().flatten(), minlength=4) / (height * width)
            torch.testing.assert_close(shares[one], pixels, rtol=0, atol=1e-6)
        other = mixed[0, 0] != 0
        assert torch.equal(mixed, mixed[:, :1].expand_as(mixed))  # all channels alike
        if other.any():
            rows, columns = other.any(1).nonzero().flatten(), other.any(0).nonzero().flatten()
            assert other.sum() == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)  # a box without holes
            reached |= {"top"} if rows[0] == 0 else set()
            reached |= {"bottom"} if rows[-1] == height - 1 else set()
            reached |= {"left"} if columns[0] == 0 else set()
            reached |= {"right"} if columns[-1] == width - 1 else set()
            reached |= {"inside"} if not {0, height - 1} & {int(rows[0]), int(rows[-1])} else set()
    assert reached == {"top", "bottom", "left", "right", "inside"}


def test_a_box_by_hand():
    # a quarter of 8 x 12 pixels: 4 high, 6 wide, around row 4 and column 6
    assert box(0.75, x=0.5, y=0.5, width=12, height=8) == PastedBox(left=3, top=2, right=9, bottom=6)
    # around the last pixel: half of it, on each axis, lies outside
    corner = box(0.75, x=0.999, y=0.999, width=12, height=8)
    assert corner == PastedBox(left=8, top=5, right=12, bottom=8)
    assert box(0.75, x=0.0, y=0.0, width=12, height=8) == PastedBox(left=0, top=0, right=3, bottom=2)
    assert box(1.0, x=0.4, y=0.4, width=12, height=8).area == 0
    assert box(0.0, x=0.5, y=0.5, width=12, height=8) == PastedBox(0, 0, 12, 8)


def test_the_pasted_pixels_are_those_of_the_same_place():
    image = torch.arange(2 * 1 * 3 * 4).float().view(2, 1, 3, 4)
    made, shares = pasted(image, torch.eye(2), box=PastedBox(left=1, top=0, right=3, bottom=2), places=1)
    want = image.clone()
    want[0, 0, :2, 1:3], want[1, 0, :2, 1:3] = image[1, 0, :2, 1:3], image[0, 0, :2, 1:3]
    assert torch.equal(made, want)
    torch.testing.assert_close(shares, torch.tensor([[8, 4], [4, 8]]) / 12)
    assert torch.equal(image, torch.arange(24).float().view(2, 1, 3, 4))  # what came in is not written on


def test_boxes_cover_what_the_papers_code_would():
    """numpy as in the reference code: a box around a whole pixel, half of its side to each side, cut at the border."""
    rng, areas = np.random.default_rng(0), []
    for _ in range(20_000):
        stays = rng.beta(1, 1)
        side, x, y = int(32 * np.sqrt(1 - stays)), rng.integers(32), rng.integers(32)
        left, right = np.clip([x - side // 2, x + side // 2], 0, 32)
        top, bottom = np.clip([y - side // 2, y + side // 2], 0, 32)
        areas.append((right - left) * (bottom - top) / 1024)
    drawn = ImageRng(seed=0, epoch=0, position=np.arange(20_000)).uniform(3).tolist()
    ours = [box(stays, x=x, y=y, width=32, height=32).area / 1024 for stays, x, y in drawn]
    # an odd side is not rounded down to the next even one, as it is there: half a pixel on average
    assert np.mean(ours) == pytest.approx(np.mean(areas), abs=0.025)
    assert np.std(ours) == pytest.approx(np.std(areas), abs=0.02)


@pytest.mark.parametrize(("alpha", "prob"), [(0.0, 1.0), (1.0, 0.0)])
def test_without_a_share_or_a_chance_the_batch_stays_as_it_is_to_the_bit(alpha, prob):
    image, share = torch.randn(4, 3, 8, 8), torch.eye(4)
    for number in range(20):
        mixed, shares = CutMix(alpha=alpha, prob=prob)(image, share, ImageRng(seed=0, epoch=0, position=[number]))
        assert torch.equal(mixed, image)
        assert torch.equal(shares, share)

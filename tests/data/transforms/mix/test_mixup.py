"""Each image of MixUp, and its label, is the same mean of two."""

import pytest
import torch

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.mixup import MixUp, mixed_up
from headstart.data.transforms.mix.mixup_cutmix import MixUpCutMix


def batch(count=8):
    image = torch.randn(count, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    return image, torch.eye(count)  # each image of a class of its own: the shares say who is in it


def of(number):
    return ImageRng(seed=0, epoch=0, position=[number])


def test_three_images_by_hand():
    image = torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1, 1)
    share = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    mixed, shares = mixed_up(image, share, weight=0.75, places=1)  # partners: the third, the first, the second
    assert mixed.flatten().tolist() == [0.75 * 1 + 0.25 * 4, 0.75 * 2 + 0.25 * 1, 0.75 * 4 + 0.25 * 2]
    assert shares.tolist() == [[0.75, 0.25], [1.0, 0.0], [0.25, 0.75]]


def test_the_image_is_the_mean_that_the_shares_say_and_its_own_share_is_the_larger_one():
    image, share = batch()
    weights = set()
    for number in range(50):
        mixed, shares = MixUp(alpha=1.0, prob=1.0)(image, share, of(number))
        torch.testing.assert_close(shares.sum(1), torch.ones(8))
        torch.testing.assert_close(torch.einsum("ij,jchw->ichw", shares, image), mixed)
        own = shares.diagonal()
        assert (own >= 0.5).all()
        assert ((shares > 0).sum(1) <= 2).all()
        weights.add(round(own[0].item(), 6))
    assert len(weights) > 45  # a weight a batch
    assert sum(weights) / len(weights) == pytest.approx(0.75, abs=0.06)  # the larger of u and 1 - u


def test_every_other_image_is_a_partner_and_no_image_its_own():
    image, share = batch(4)
    partners = torch.zeros(4, 4)
    for number in range(300):
        partners += MixUp(alpha=1e3, prob=1.0)(image, share, of(number))[1] > 0
    assert partners.diagonal().tolist() == [300] * 4
    others = partners[~torch.eye(4, dtype=torch.bool)]
    assert others.min() > 70  # of 100 expected
    assert others.max() < 130


@pytest.mark.parametrize("mix", [
    MixUp(alpha=0.0, prob=1.0), MixUp(alpha=1.0, prob=0.0), MixUp(alpha=1e-7, prob=1.0),
    MixUpCutMix(mixup_alpha=0.0, cutmix_alpha=0.0, prob=1.0, switch_prob=0.5),
    MixUpCutMix(mixup_alpha=1.0, cutmix_alpha=1.0, prob=0.0, switch_prob=0.5),
])  # fmt: skip
def test_without_a_weight_or_a_chance_the_batch_stays_as_it_is_to_the_bit(mix):
    image, share = batch()
    for number in range(30):
        mixed, shares = mix(image, share, of(number))
        assert torch.equal(mixed, image)
        assert torch.equal(shares, share)


def test_so_large_a_share_of_the_batches_is_mixed():
    image, share = batch(2)
    changed = [not torch.equal(MixUp(alpha=1.0, prob=0.3)(image, share, of(n))[0], image) for n in range(1000)]
    assert sum(changed) == pytest.approx(300, abs=60)


def test_an_image_alone_is_mixed_with_itself():
    image, share = batch(1)
    mixed, shares = MixUp(alpha=1.0, prob=1.0)(image, share, of(0))
    assert torch.equal(mixed, image)
    assert torch.equal(shares, share)


@pytest.mark.parametrize("switch", [0.0, 0.25, 1.0])
def test_of_both_each_has_its_share_of_the_batches(switch):
    """In CutMix each pixel comes from one image of the batch; in MixUp from two, of which it lies between."""
    image, share = batch(2)
    mix = MixUpCutMix(mixup_alpha=1.0, cutmix_alpha=1.0, prob=1.0, switch_prob=switch)
    cut = 0
    for number in range(400):
        mixed, _ = mix(image, share, of(number))
        cut += bool(((mixed == image) | (mixed == image.flip(0))).all())
    assert cut == pytest.approx(400 * switch, abs=45 if 0 < switch < 1 else 0)

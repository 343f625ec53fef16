"""What is mixed is a function of seed, epoch and batch alone."""

import pytest
import torch

from headstart.data.transforms.mix.batch_mixing import Mixing
from headstart.data.transforms.mix.mixup import MixUp
from headstart.types import UserError

IMAGE = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABEL = torch.tensor([0, 1, 2, 0, 1, 2])


def mixed(seed=0, epoch=0, batch=0):
    return Mixing(mix=MixUp(alpha=1.0, prob=1.0), seed=seed)(IMAGE, LABEL, classes=3, epoch=epoch, batch=batch)


def test_the_same_place_is_mixed_in_the_same_way_whatever_else_was_drawn():
    first = mixed(3, 1, 2)
    state = torch.get_rng_state()
    mixed(0, 0, 0), torch.manual_seed(9)
    again = mixed(3, 1, 2)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    torch.set_rng_state(state)
    mixed(5, 5, 5)
    assert torch.equal(torch.get_rng_state(), state)  # nor does it draw from the global numbers


@pytest.mark.parametrize("other", [(4, 1, 2), (3, 2, 2), (3, 1, 3), (3, 2, 1)])
def test_another_seed_epoch_or_batch_is_mixed_otherwise(other):
    assert not torch.equal(mixed(3, 1, 2)[0], mixed(*other)[0])


def test_shares_of_classes_and_labels_of_several_classes_are_mixed_as_they_are():
    shares = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    found = Mixing(mix=MixUp(alpha=1.0, prob=1.0), seed=0)(IMAGE[:2], shares, classes=2, epoch=0, batch=0)[1]
    weight = found[0, 0].item()
    torch.testing.assert_close(found, torch.tensor([[weight] * 2, [1 - weight] * 2]))


def test_what_is_no_mix_and_what_changes_shapes_is_told():
    with pytest.raises(UserError, match=r"module\.mix must be null or a mapping .* got 'mixup'; .*mix@module\.mix"):
        Mixing(mix="mixup", seed=0)

    def halved(image, share, chance):
        return image[:3], share[:3]

    with pytest.raises(UserError, match=r"\(6, 1, 4, 4\) and \(6, 3\); function made \(3, 1, 4, 4\) and \(3, 3\)"):
        Mixing(mix=halved, seed=0)(IMAGE, LABEL, classes=3, epoch=0, batch=0)

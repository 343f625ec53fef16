"""Is the training order a function of seed and epoch, and are its batches fit for BatchNorm?"""

from itertools import chain

import pytest
import torch
from torch.utils.data import SequentialSampler

from headstart.data.order import EpochOrder, NoLoneImage


def order(seed: int, epoch: int) -> list[int]:
    return list(EpochOrder(length=50, seed=seed, epoch=epoch))


def test_an_order_holds_every_position_once():
    assert sorted(order(0, 0)) == list(range(50))


def test_two_epochs_differ_and_two_seeds_differ():
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_the_order_ignores_the_global_random_state_and_leaves_it_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = order(3, 4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert order(3, 4) == first


def test_set_epoch_gives_the_order_of_that_epoch():
    sampler = EpochOrder(length=50, seed=3, epoch=0)
    sampler.set_epoch(7)
    assert list(sampler) == order(3, 7)


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [
        (9, 4, [4, 5]),  # the ninth joins the second batch
        (10, 4, [4, 4, 2]),
        (8, 4, [4, 4]),
        (3, 4, [3]),
        (1, 4, [1]),  # nothing to join
        (3, 1, [1, 1, 1]),  # as asked for
        (5, 4, [5]),
    ],
)
def test_a_last_image_alone_joins_the_batch_before_it(images, batch_size, sizes):
    batches = NoLoneImage(SequentialSampler(range(images)), batch_size, drop_last=False)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)
    assert list(chain(*batches)) == list(range(images))

"""The training order is a function of seed and epoch, and all devices together go through it once."""

from itertools import chain, product

import numpy as np
import pytest
import torch

from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder, StoredOrder


def order(seed: int, epoch: int) -> list[int]:
    made = EpochOrder(length=50, seed=seed)
    made.set_epoch(epoch)
    return list(made)


def shares(images: int, batch_size: int, *, rank=0, world_size=1, epoch=0, first=0, seed=0) -> list[list[int]]:
    """The positions of a device's batches."""
    made = DeviceBatchSampler(
        EpochOrder(length=images, seed=seed), batch_size=batch_size, rank=rank, world_size=world_size
    )
    made.sampler.set_epoch(epoch)
    made.first = first
    batches = list(made)
    assert {seen for batch in batches for seen, _ in batch} <= {epoch}
    return [[position for _, position in batch] for batch in batches]


def of_all(images: int, batch_size: int, world_size: int) -> list[list[list[int]]]:
    return [shares(images, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]


MANY = list(product([4, 5, 8, 9, 10, 13, 16, 17, 18, 19, 33, 50], [1, 2, 3, 4, 16], [1, 2, 3, 4]))


def test_an_order_holds_every_position_once():
    assert sorted(order(0, 0)) == list(range(50))


def test_two_epochs_differ_and_two_seeds_differ():
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_the_order_ignores_the_global_random_state_and_leaves_it_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    state = torch.get_rng_state()
    first = order(3, 4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    np.random.seed(2)
    assert order(3, 4) == first


def test_the_stored_order_is_the_same_in_every_epoch():
    made = StoredOrder(length=5, seed=0)
    for epoch in range(3):
        made.set_epoch(epoch)
        assert list(made) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("images", "batch_size", "world_size", "sizes"),
    [
        (9, 4, 1, [4, 5]),  # the ninth joins the second batch
        (10, 4, 1, [4, 4, 2]),
        (8, 4, 1, [4, 4]),
        (3, 4, 1, [3]),
        (1, 4, 1, [1]),  # nothing to join
        (3, 1, 1, [1, 1, 1]),  # as asked for
        (5, 4, 1, [5]),
        (16, 4, 2, [4, 4]),
        (17, 4, 2, [4, 4]),  # one image for two devices: lost
        (18, 4, 2, [4, 5]),  # one image each: joins
        (19, 4, 2, [4, 5]),  # and the third is lost
        (20, 4, 2, [4, 4, 2]),
        (3, 4, 2, [1]),
        (5, 1, 2, [1, 1]),
    ],
)
def test_batches_of_one_device_have_these_sizes(images, batch_size, world_size, sizes):
    for batches in of_all(images, batch_size, world_size):
        assert [len(batch) for batch in batches] == sizes


def test_all_devices_have_equally_many_and_equally_large_batches_of_images_of_their_own():
    for images, batch_size, world_size in MANY:
        devices = of_all(images, batch_size, world_size)
        assert len({tuple(len(batch) for batch in batches) for batches in devices}) == 1
        everything = list(chain(*chain(*devices)))
        assert len(everything) == len(set(everything)) == images - images % world_size
        made = DeviceBatchSampler(
            EpochOrder(length=images, seed=0), batch_size=batch_size, rank=0, world_size=world_size
        )
        assert len(made) == len(devices[0])


def test_devices_together_see_the_global_batches_of_one_process():
    for images, batch_size, world_size in MANY:
        alone = shares(images, batch_size * world_size)
        devices = of_all(images, batch_size, world_size)
        whole = images // (batch_size * world_size)  # after these, what does not divide is lost or joins
        for number in range(whole - 1):
            together = [batches[number] for batches in devices]
            assert list(chain(*zip(*together, strict=True))) == alone[number]
        if images % (batch_size * world_size) == 0:
            assert len(devices[0]) == len(alone) == whole


def test_batches_from_a_later_one_on_are_the_rest_of_the_epoch():
    for images, batch_size, world_size in MANY:
        for rank in range(world_size):
            device = {"rank": rank, "world_size": world_size, "epoch": 3}
            whole = shares(images, batch_size, **device)
            for first in range(len(whole) + 1):
                assert shares(images, batch_size, **device, first=first) == whole[first:]


def test_the_length_is_that_of_the_whole_epoch_wherever_a_pass_begins():
    made = DeviceBatchSampler(EpochOrder(length=21, seed=0), batch_size=4, rank=0, world_size=1)
    made.first = 3
    assert (len(made), len(list(made))) == (5, 2)

"""A balanced order gives each class its turn, on any number of devices and after a resume."""

from itertools import chain

import numpy as np
import pytest

from headstart.data.loading.batch_order import BalancedOrder, DeviceBatchSampler
from headstart.data.loading.image_seed import ImageRng
from headstart.data.splits.interleaved_classes import class_positions
from headstart.types import Pixels
from numbered import Numbered, passed

LABEL = np.repeat([0, 1, 2], [30, 8, 3])


def order(seed=0, epoch=0, label=LABEL) -> BalancedOrder:
    made = BalancedOrder(length=len(label), seed=seed, pools=class_positions(label))
    made.set_epoch(epoch)
    return made


def shares(world_size, rank, *, first=0, batch_size=4):
    made = DeviceBatchSampler(order(epoch=3), batch_size=batch_size, rank=rank, world_size=world_size)
    made.first = first
    return list(made)


def test_each_class_has_as_many_places_as_the_others_but_one_and_an_epoch_is_as_long_as_before():
    for epoch in range(5):
        counts = np.bincount(LABEL[order(epoch=epoch).positions()])
        assert counts.sum() == len(LABEL) == len(order())
        assert sorted(counts.tolist()) == [13, 14, 14]


def test_over_many_epochs_all_classes_and_all_images_of_a_class_come_equally_often():
    drawn = np.concatenate([order(epoch=epoch).positions() for epoch in range(300)])
    assert np.bincount(LABEL[drawn]) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.003)
    of_image = np.bincount(drawn) / 300
    for one, count in enumerate((30, 8, 3)):
        assert of_image[one == LABEL] == pytest.approx(
            [len(LABEL) / 3 / count] * count, rel=0.25
        )  # 4 standard deviations of 300 epochs


def test_no_image_of_a_class_comes_again_before_all_others_have_come():
    positions = order().positions()
    for one in range(3):
        times = np.bincount(positions, minlength=len(LABEL))[one == LABEL]
        assert times.max() - times.min() <= 1


def test_epochs_and_seeds_differ_and_the_global_random_state_does_not_count():
    orders = []
    for number, (seed, epoch) in enumerate([(0, 0), (0, 1), (1, 0)]):
        np.random.seed(number)
        orders.append(order(seed, epoch).positions().tolist())
        np.random.seed(number + 1)
        assert order(seed, epoch).positions().tolist() == orders[-1]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


@pytest.mark.parametrize("world_size", [2, 3])
def test_devices_together_see_the_batches_of_one(world_size):
    alone = shares(1, 0, batch_size=4 * world_size)
    together = [shares(world_size, rank) for rank in range(world_size)]
    for number in range(len(LABEL) // (4 * world_size) - 1):
        assert list(chain(*zip(*(device[number] for device in together), strict=True))) == alone[number]
    of_all = list(chain(*chain(*together)))
    assert len(of_all) == len(set(of_all)) == len(LABEL) - len(LABEL) % world_size  # no place twice, chances and all


def test_batches_from_a_later_one_on_are_the_rest_of_the_epoch():
    whole = shares(2, 1)
    for first in range(len(whole) + 1):
        assert shares(2, 1, first=first) == whole[first:]


def test_an_image_that_comes_again_has_another_chance_and_one_that_does_not_the_epochs_own():
    made = order(epoch=3)
    positions = made.positions()
    chances = made.rng_epochs(positions)
    places = list(zip(chances.tolist(), positions.tolist(), strict=True))
    assert len(set(places)) == len(places)
    first = {position: epoch for epoch, position in reversed(places)}
    assert set(first.values()) == {3}
    drawn = ImageRng(seed=0, epoch=chances, position=positions).uniform(1)[:, 0]
    assert len(set(drawn.tolist())) == len(places)


def test_of_several_labels_each_class_has_its_places_and_what_has_none_is_a_class_of_its_own():
    label = np.zeros((40, 2), np.float32)
    label[:30, 0] = label[28:33, 1] = 1
    found = class_positions(label)
    assert [pool.tolist() for pool in found] == [list(range(30)), [*range(28, 33)], list(range(33, 40))]
    positions = order(label=label).positions()
    assert (positions >= 33).sum() in (13, 14)
    assert label[positions, 1].sum() >= 13


def balanced(seed=0) -> Numbered:
    pixels = Pixels(size=2, channels=1, mean=(0.0,), std=(1 / 255,))
    given = {"batch_size": 4, "num_workers": 0, "augment": None, "pixels": pixels, "seed": seed}
    return Numbered(class_names=("a", "b", "c"), **given, sampler="balanced")


def test_a_loader_goes_on_in_mid_epoch_with_the_batches_of_the_balanced_order():
    data = balanced()
    whole = passed(data.train_dataloader(), epoch=2)
    assert whole != passed(data.train_dataloader(), epoch=3)
    for given in range(1, len(whole)):
        loader = balanced().train_dataloader()
        loader.batch_sampler.sampler.set_epoch(2)
        batches = iter(loader)
        for _ in range(given):
            next(batches)
        resumed = balanced().train_dataloader()
        resumed.load_state_dict(loader.state_dict())
        assert passed(resumed, epoch=2) == whole[given:]

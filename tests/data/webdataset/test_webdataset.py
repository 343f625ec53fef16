"""A stream of shards gives each training image where, when and as often as it should."""

import pickle
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.data.loading.stream_sampling import drawn, stream_shares
from headstart.data.transforms.augmentation import RandomAffine
from headstart.types import UserError
from numbered import SaveAfter, Witness, numbers, passed, trainer
from shard_data import REMOTE, TRAIN, flat, remote, web

pytest.importorskip("webdataset")


@pytest.mark.parametrize(("devices", "streams", "batch_size"), [*product((1, 2, 3, 4), (1, 2, 4), (1, 4, 32))])
def test_an_epoch_has_each_image_once_on_whatever_number_of_devices(shards, devices, streams, batch_size):
    seen = []
    for rank in range(devices):
        data = web(shards, device=(rank, devices), streams=streams, batch_size=batch_size)
        seen.append(passed(data.train_dataloader(), epoch=1))
    assert sorted(flat(flat(seen))) == list(range(TRAIN))
    assert len({tuple(map(len, batches)) for batches in seen}) == 1  # equal shares: no device waits for another


def test_what_devices_cannot_share_equally_is_lost_and_is_another_part_in_each_epoch(shards):
    lost = []
    for epoch in range(8):
        seen = [passed(web(shards, device=(rank, 7)).train_dataloader(), epoch) for rank in range(7)]
        images = Counter(flat(flat(seen)))
        assert set(images.values()) == {1}
        lost.append(frozenset(range(TRAIN)) - set(images))
    assert {len(one) for one in lost} == {TRAIN % 7}
    assert len(set(lost)) > 1


def test_batches_are_as_many_and_as_large_as_those_of_any_other_data_set():
    """So that the plan, which counts by DeviceBatchSampler, is right."""
    for images, batch_size, world_size in product((7, 9, 24, 33), (1, 4, 8), (1, 2, 3)):
        settings = {"batch_size": batch_size, "rank": 0, "world_size": world_size}
        shares = DeviceBatchSampler(EpochOrder(length=images, seed=0), **settings)
        ours = stream_shares(images=images, seed=0, overfits=False, **settings)
        assert ours.sizes().tolist() == [len(batch) for batch in shares]
        assert len(ours) == len(shares)


def test_each_epoch_has_an_order_of_its_own_that_only_the_seed_decides(shards):
    loader = web(shards).train_dataloader()
    orders = [flat(passed(loader, epoch)) for epoch in (0, 1, 2, 0)]
    assert orders[0] == orders[3] == flat(passed(web(shards).train_dataloader(), 0))
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_nothing(shards, workers):
    """Two streams: of four workers, two are made."""
    alone, shared = (web(shards, num_workers=number).train_dataloader() for number in (0, workers))
    assert [passed(alone, epoch) for epoch in (0, 1)] == [passed(shared, epoch) for epoch in (0, 1)]
    assert shared.num_workers == min(workers, 2)


def test_fewer_images_than_all_are_others_in_each_epoch(shards):
    epochs = [set(flat(passed(web(shards, samples=8).train_dataloader(), epoch))) for epoch in range(6)]
    assert {len(images) for images in epochs} == {8}
    assert len(set().union(*epochs)) > 16


def test_more_images_than_all_begin_again_with_the_shards(shards):
    images = Counter(flat(passed(web(shards, samples=2 * TRAIN + 6).train_dataloader())))
    assert sorted(images.values()) == [2] * (TRAIN - 6) + [3] * 6


def test_shards_of_unknown_size_give_as_many_images_as_are_asked_for_on_each_device(shards):
    seen = []
    for rank in range(2):
        data = web(shards, device=(rank, 2), urls=remote(shards), streams=2, samples=30, classes=["0", "1", "2"])
        seen.append(passed(data.train_dataloader()))
        assert len(flat(seen[-1])) == 15
    assert [list(map(len, batches)) for batches in seen] == [[4, 4, 4, 3]] * 2


def test_devices_read_shards_of_their_own_where_no_sizes_are_known(shards):
    given = {"urls": remote(shards), "streams": 1, "shuffle": 1, "samples": 12, "classes": ["0", "1", "2"]}
    seen = [flat(passed(web(shards, device=(rank, 2), **given).train_dataloader())) for rank in range(2)]
    assert [len(one) for one in seen] == [6, 6]
    assert set(seen[0]).isdisjoint(seen[1])  # two shards each, which hold 7 at least


def test_more_streams_than_shards_of_unknown_size_are_refused(shards):
    data = web(shards, device=(0, 2), urls=remote(shards), streams=4, **REMOTE)
    with pytest.raises(
        UserError, match=r"2 devices with target.streams=4 read 8 shards at once, there are 4; take fewer streams"
    ):
        data.train_dataloader()


def test_an_image_has_the_class_that_its_sample_says(shards):
    for batch in web(shards).train_dataloader():
        assert batch.label.tolist() == [number % 3 for number in numbers(batch)]


def test_an_augmented_image_is_the_same_on_any_number_of_devices(shards):
    def images(devices):
        found = {}
        for rank in range(devices):
            data = web(shards, device=(rank, devices), augment=RandomAffine(degrees=0, translate=0.5))
            for batch in data.train_dataloader():
                for image in batch.image:
                    found[int(image.max().round())] = image
        return found

    one, two = images(1), images(2)
    assert set(one) == set(two) == set(range(TRAIN))
    assert all(torch.equal(one[number], two[number]) for number in one)
    assert len({(image > 0).sum().item() for image in one.values()}) > 5  # chance did change them


@pytest.mark.parametrize(("count", "room"), [(0, 3), (2, 5), (20, 1), (20, 6), (20, 20)])
def test_a_drawn_stream_is_a_permutation_that_holds_no_more_than_its_room(count, room):
    taken = 0

    def stream():
        nonlocal taken
        for number in range(count):
            taken = number + 1
            yield number

    found = []
    for one in drawn(stream(), room, np.random.default_rng(0)):
        found.append(one)
        assert taken - len(found) <= room
    assert sorted(found) == list(range(count))
    if room == 1:
        assert found == list(range(count))


@pytest.mark.parametrize(("epoch", "batches", "workers"), [(0, 1, 0), (1, 3, 0), (2, 5, 2), (0, 4, 2)])
def test_a_loader_goes_on_in_mid_epoch_at_the_right_image(shards, epoch, batches, workers):
    whole = passed(web(shards).train_dataloader(), epoch)
    loader = web(shards, num_workers=workers).train_dataloader()
    loader.load_state_dict({"epoch": epoch, "batches": batches, "images": TRAIN, "batch_size": 4, "world_size": 1})
    assert passed(loader, epoch) == whole[batches:]
    assert passed(loader, epoch + 1) == passed(web(shards).train_dataloader(), epoch + 1)


def test_what_is_skipped_is_not_decoded(shards, monkeypatch):
    from headstart.data.decoding.image_decoding import Decoder

    decoded = []
    decode = Decoder.of_bytes
    monkeypatch.setattr(
        Decoder, "of_bytes", lambda self, stored, name: (decoded.append(name), decode(self, stored, name))[1]
    )
    loader = web(shards).train_dataloader()
    loader.load_state_dict({"epoch": 0, "batches": 5, "images": TRAIN, "batch_size": 4, "world_size": 1})
    assert len(flat(passed(loader))) == len(decoded) == 4


def test_a_lightning_run_goes_on_in_mid_epoch_as_if_it_had_not_stopped(shards, tmp_path):
    def fitted(ckpt=None, workers=2):
        witness = Witness()
        callbacks = [SaveAfter(tmp_path, {(1, 3)})]
        data = web(shards, num_workers=workers)
        del data._device  # as the trainer says it
        trainer(tmp_path, max_epochs=3, callbacks=callbacks).fit(witness, datamodule=data, ckpt_path=ckpt)
        return witness.seen

    whole = fitted()
    assert set(whole) == {0, 1, 2}
    assert fitted(tmp_path / "1-3.ckpt", workers=0) == {1: whole[1][3:], 2: whole[2]}


def test_a_pickled_data_set_begins_anew(shards):
    """As workers that are spawned get it, in mid-epoch too."""
    dataset = web(shards).train_dataloader().dataset
    first = dataset[(0, 0)]
    other = pickle.loads(pickle.dumps(dataset))
    assert numbers(other[(0, 0)]) == numbers(first)
    assert numbers(other[(0, 2)]) == numbers(dataset[(0, 2)])

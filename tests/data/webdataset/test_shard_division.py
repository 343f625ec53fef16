"""Val, test and what is looked at of train, in the shards of a WebDataset."""

from itertools import product

import numpy as np
import pytest
import torch

from headstart.data.data_protocols import has_contents
from headstart.data.datasets.whole_dataset import Whole
from headstart.data.loading.stream_sampling import Lanes
from headstart.data.webdataset.shard_division import by_workers, divided_shards
from headstart.types import UserError
from numbered import passed
from shard_data import REMOTE, SHARDS, TRAIN, flat, remote, web

pytest.importorskip("webdataset")


@pytest.mark.parametrize(("devices", "workers"), [(1, 0), (1, 2), (2, 0), (3, 2)])
def test_val_and_test_have_each_image_once_over_all_devices(shards, devices, workers):
    data = [web(shards, device=(rank, devices), num_workers=workers, batch_size=1) for rank in range(devices)]
    assert sorted(flat(flat(passed(one.val_dataloader()) for one in data))) == list(range(24, 30))
    assert sorted(flat(flat(passed(one.test_dataloader()) for one in data))) == list(range(30, 34))


def test_a_whole_split_comes_in_the_order_of_its_names_and_positions_as_they_are_asked_for(shards):
    data = web(shards)
    assert flat(passed(data.plain_dataloader("val"))) == list(range(24, 30))
    assert data.names("val") == [f"part-4.tar:{number:03}" for number in range(24, 30)]
    assert flat(passed(data.plain_dataloader("val", positions=np.array([4, 1, 1, 5])))) == [28, 25, 25, 29]
    (batch,) = data.plain_dataloader("test")
    assert batch.label.tolist() == [number % 3 for number in range(30, 34)]
    assert batch.position.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "batch_size", "workers"), [*product((1, 7, 8, 9, 40), (1, 3, 8), (0, 1, 2, 3, 5))])
def test_the_batches_of_each_worker_rise_and_the_smaller_one_is_the_last(count, batch_size, workers):
    order = by_workers(np.arange(count), batch_size, workers)
    assert sorted(order) == list(range(count))
    batches = [order[begin : begin + batch_size] for begin in range(0, count, batch_size)]
    for worker in range(min(workers, len(batches))):
        own = np.concatenate(batches[worker::workers])
        assert (np.diff(own) == 1).all()  # a part without a gap: it reads its own shards alone


def test_val_and_test_take_shards_of_train_and_the_test_is_that_of_every_seed():
    urls = tuple(f"{number}.tar" for number in range(10))
    shares = {"val_share": 0.2, "test_share": 0.1}
    parts = [divided_shards({"train": urls, "val": (), "test": ()}, **shares, seed=seed) for seed in range(5)]
    assert {tuple(map(len, part.values())) for part in parts} == {(7, 2, 1)}
    assert all(sorted(sum(part.values(), ())) == sorted(urls) for part in parts)
    assert len({part["test"] for part in parts}) == 1
    assert len({part["val"] for part in parts}) > 1
    with pytest.raises(UserError, match="val and test take whole shards of train, and one must be left: 2 are too few"):
        divided_shards({"train": urls[:2], "val": (), "test": ()}, **shares, seed=0)


def test_test_is_half_of_val_class_by_class_where_val_alone_is_given(shards):
    data = web(
        shards,
        urls=f"{shards}/part-{{1..3}}.tar",
        val_urls=[f"{shards}/part-0.tar", f"{shards}/part-4.tar"],
        test_urls=None,
    )
    both = [flat(passed(data.plain_dataloader(split))) for split in ("val", "test")]
    assert sorted(flat(both)) == [*range(5), *range(24, 30)]
    for kind in range(3):
        of = [sum(number % 3 == kind for number in one) for one in both]
        assert of[1] - of[0] in (0, 1, -1)
    assert flat(passed(data.test_dataloader())) == both[1]


def test_looking_at_training_images_takes_the_first_of_each_shard(shards):
    assert flat(passed(web(shards).plain_dataloader("train"))) == list(range(TRAIN))
    few = flat(passed(web(shards, plain_images=8).plain_dataloader("train")))
    assert few == [0, 1, 5, 6, 14, 15, 17, 18]
    assert web(shards, plain_images=8).sizes == {"train": TRAIN, "val": 6, "test": 4}
    afar = web(shards, urls=remote(shards), plain_images=8, **REMOTE)
    assert flat(passed(afar.plain_dataloader("train"))) == few


def test_val_is_read_once_where_its_images_fit_into_memory(shards, monkeypatch):
    data = web(shards)
    first = passed(data.val_dataloader())
    monkeypatch.setattr("headstart.data.webdataset.stream_split.samples", None)
    assert passed(data.val_dataloader()) == first


def test_the_store_is_told_that_images_cannot_be_found_by_their_contents(shards):
    assert not has_contents(web(shards))


def test_lanes_without_counts_have_shards_of_their_own_in_each_round():
    lanes = [
        Lanes(shards=12, counts=None, sizes=(4,) * 6, lanes=2, rank=rank, world_size=3, seed=0) for rank in range(3)
    ]
    for epoch in range(3):
        first = [next(iter(one.pieces(epoch, lane))).shard for one in lanes for lane in range(2)]
        assert len(set(first)) == 6
        rounds = [
            [piece.shard for piece, _ in zip(one.pieces(epoch, lane), range(2), strict=False)]
            for one in lanes
            for lane in range(2)
        ]
        assert sorted(flat(rounds)) == list(range(12))


def test_all_images_of_shards_are_evaluated_in_their_order_and_one_shard_is_enough(shards):
    whole = Whole(web(shards))
    assert whole.sizes == {"test": sum(SHARDS)}
    seen = [batch.image[:, 0, 0, 0] for batch in whole.plain_dataloader("test")]
    assert torch.cat(seen).tolist() == list(range(sum(SHARDS)))
    assert not has_contents(whole)
    one = web(shards, urls=f"{shards}/part-0.tar", val_urls=None, test_urls=None)
    assert one.given_splits == ("train",)
    assert Whole(one).sizes == {"test": SHARDS[0]}
    with pytest.raises(UserError, match="val and test take whole shards of train"):
        one.setup("fit")

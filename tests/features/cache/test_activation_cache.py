"""The feature cache by itself: rows of made-up images, found by their content."""

import multiprocessing
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from headstart.features.cache import activation_cache as cache_module
from headstart.features.cache import cache_shards
from headstart.features.cache.activation_cache import CacheRanks, ImagesToCache
from headstart.features.cache.activation_key import Cut, Place
from headstart.types import UserError
from numbered_images import SHAPE, Images, cut, made_cache, row


def test_each_image_has_its_own_row_in_any_order(tmp_path):
    rows = Images(*range(10)).of(made_cache(tmp_path))
    positions = np.array([7, 0, 7, 3])
    assert torch.equal(rows.at(positions), torch.stack([row(n) for n in positions]))


def test_maps_come_back_as_convolutions_read_them(tmp_path):
    maps = torch.randn(5, 3, 2, 4).to(memory_format=torch.channels_last)
    images = Images(*range(5))
    one = Cut(Place(1, False), "b" * 16, (2, 4, 3), {"stages": {}, "pooled": False, "dtype": "float32"}, (0.0,))
    part = ImagesToCache(images.part().digests, lambda positions: [(positions, {one: maps[positions]})])
    rows, _ = made_cache(tmp_path).rows([one], {"x": part})
    served = rows["x", one].at(np.arange(5))
    assert torch.equal(served, maps)
    assert served.is_contiguous(memory_format=torch.channels_last)


def test_what_is_stored_is_not_computed_again_whatever_set_it_is_in(tmp_path):
    Images(*range(6)).of(made_cache(tmp_path))
    others = Images(9, 4, 5, 8)
    rows = others.of(made_cache(tmp_path))
    assert others.computed == Counter([8, 9])
    assert torch.equal(rows.at(np.arange(4)), torch.stack([row(n) for n in (9, 4, 5, 8)]))


def test_the_same_image_twice_is_computed_once(tmp_path):
    images = Images(3, 3, 1, 3)
    rows = images.of(made_cache(tmp_path))
    assert images.computed == Counter([1, 3])
    assert torch.equal(rows.at(np.array([0, 1, 3])), torch.stack([row(3)] * 3))


def test_other_weights_have_rows_of_their_own(tmp_path):
    Images(1, 2).of(made_cache(tmp_path))
    again = Images(1, 2)
    again.of(made_cache(tmp_path), cut("b"))
    assert again.computed == Counter([1, 2])


def test_two_cuts_are_filled_in_one_pass(tmp_path):
    images = Images(*range(5))
    images.of(made_cache(tmp_path), cut("a"), cut("b"))
    assert set(images.computed.values()) == {1}
    later = Images(*range(5))
    later.of(made_cache(tmp_path), cut("b"))
    assert not later.computed


def test_a_damaged_shard_is_computed_again_with_a_warning(tmp_path, caplog):
    Images(*range(4)).of(made_cache(tmp_path))
    (path,) = (tmp_path / "store").glob("*/*.safetensors")
    content = bytearray(path.read_bytes())
    content[-70] ^= 1  # one bit of a row
    path.write_bytes(content)
    cache_shards._KNOWN.clear()  # as in another process
    again = Images(*range(4))
    rows = again.of(made_cache(tmp_path))
    assert again.computed == Counter(range(4))
    assert torch.equal(rows.at(np.arange(4)), torch.stack([row(n) for n in range(4)]))
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("keep", [0, 8, 100])
def test_a_shard_that_was_cut_off_is_computed_again(tmp_path, keep):
    Images(*range(4)).of(made_cache(tmp_path))
    (path,) = (tmp_path / "store").glob("*/*.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    again = Images(*range(4))
    again.of(made_cache(tmp_path))
    assert again.computed == Counter(range(4))


def test_a_fill_that_was_killed_leaves_nothing_that_counts(tmp_path, monkeypatch):
    images = Images(*range(8))
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 1)  # a shard a batch
    broken = images.part()

    def stopped(positions):
        batches = broken.compute(positions)
        yield next(batches)
        raise KeyboardInterrupt

    images.cuts = (cut(),)
    with pytest.raises(KeyboardInterrupt):
        made_cache(tmp_path).rows([cut()], {"images": ImagesToCache(broken.digests, stopped)})
    images.computed.clear()
    rows = images.of(made_cache(tmp_path))
    assert images.computed == Counter([4, 5, 6, 7])  # the first batch had been written whole
    assert torch.equal(rows.at(np.arange(8)), torch.stack([row(n) for n in range(8)]))


def test_code_that_answers_otherwise_with_the_same_weights_is_no_reason_to_be_stale(tmp_path, caplog):
    Images(1, 2).of(made_cache(tmp_path))
    changed = Images(1, 2)
    answers_otherwise = cut(fingerprint=(1.0, 3.0))
    answers_otherwise.facts["stages"]["body"] = ["code", "a"]
    changed.of(made_cache(tmp_path), answers_otherwise)
    assert changed.computed == Counter([1, 2])
    assert "stages up to body have" in caplog.text
    assert "code has changed" in caplog.text.replace("\n", " ")
    same = Images(1, 2)
    same.of(made_cache(tmp_path), cut(fingerprint=(1.0, 3.001)))  # rounding
    assert not same.computed


def test_what_was_used_least_lately_goes_first(tmp_path):
    import os

    gib = 1.3 * 100 * 24 / 2**30  # room for one set of rows and a bit
    for age, name in ((300, "a"), (200, "b"), (100, "c")):
        Images(*range(40)).of(made_cache(tmp_path, max_gib=1), cut(name))
        for path in (tmp_path / "store" / f"{name:0>16}").glob("*.safetensors"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    Images(*range(40)).of(made_cache(tmp_path, max_gib=gib), cut("a"))  # a is used now, and is whole
    assert {entry.key[-1] for entry in made_cache(tmp_path).entries()} == {"a", "b", "c"}
    Images(*range(40)).of(made_cache(tmp_path, max_gib=gib), cut("d"))
    assert {entry.key[-1] for entry in made_cache(tmp_path).entries()} == {"a", "d"}


def test_other_images_of_the_same_weights_go_too_and_those_that_are_asked_for_stay(tmp_path):
    Images(*range(40)).of(made_cache(tmp_path))
    (shard,) = (tmp_path / "store").glob("*/*.safetensors")
    gib = 1.1 * shard.stat().st_size / 2**30  # room for one set of 40 and a bit
    more = Images(*range(80))
    more.of(made_cache(tmp_path, max_gib=gib))
    assert more.computed == Counter(range(40, 80)), "what is asked for has no room beside it, and is not taken away"
    others = Images(*range(100, 140))
    rows = others.of(made_cache(tmp_path, max_gib=gib))
    assert [entry.images for entry in made_cache(tmp_path).entries()] == [40]
    assert torch.equal(rows.at(np.arange(40)), torch.stack([row(n) for n in range(100, 140)]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_the_bytes_round_as_torch_does(tmp_path, dtype):
    rows = Images(*range(5)).of(made_cache(tmp_path, dtype=dtype))
    exact = torch.stack([row(n) for n in range(5)])
    assert rows.at(np.arange(5)).dtype == torch.float32
    assert torch.equal(rows.at(np.arange(5)), exact.to(getattr(torch, dtype)).float())


def test_ranks_share_the_work_and_see_all_rows(tmp_path):
    barrier, said = threading.Barrier(2), {}
    images = [Images(*range(9)) for _ in range(2)]
    got = {}

    def rank(number):
        def gather(own):
            said[number] = own
            barrier.wait(10)
            found = [said[0], said[1]]
            barrier.wait(10)
            return found

        got[number] = images[number].of(made_cache(tmp_path), ranks=CacheRanks(number, 2, gather))

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(2)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert images[0].computed + images[1].computed == Counter(range(9))
    assert min(len(one.computed) for one in images) == 4
    for number in range(2):
        assert torch.equal(got[number].at(np.arange(9)), torch.stack([row(n) for n in range(9)]))


def test_what_another_rank_wrote_to_a_disk_of_its_own_is_computed_here(tmp_path):
    images = Images(*range(9))
    images.cuts = (cut(),)
    found, computed = made_cache(tmp_path).rows(
        [cut()], {"images": images.part()}, CacheRanks(0, 2, lambda own: [own, own])
    )
    assert (computed, images.computed) == (9, Counter(range(9)))
    assert torch.equal(found["images", cut()].at(np.arange(9)), torch.stack([row(n) for n in range(9)]))


def _fill(folder, connection):
    images = Images(*range(50))
    images.of(made_cache(folder))
    connection.send(len(images.computed))


def test_two_jobs_at_once_compute_each_image_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _ in range(3)]
    jobs = [fork.Process(target=_fill, args=(tmp_path, there)) for _, there in pipes]
    [job.start() for job in jobs]
    counts = [here.recv() for here, _ in pipes]
    [job.join(30) for job in jobs]
    assert sum(counts) == 50


@pytest.mark.parametrize("limit", [1, 4 * 24])  # bytes; a batch has four rows of 24
def test_many_shards_are_as_good_as_one(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(cache_module, "SHARD_BYTES", limit)
    rows = Images(*range(23)).of(made_cache(tmp_path))
    assert len(list((tmp_path / "store").glob("*/*.safetensors"))) == 6
    order = np.random.default_rng(0).permutation(23)
    assert torch.equal(rows.at(order), torch.stack([row(n) for n in order]))


def test_the_images_that_were_computed_are_counted(tmp_path):
    images = Images(*range(6))
    images.cuts = (cut(),)
    counts = [made_cache(tmp_path / "new" / "disk").rows([cut()], {"images": images.part()})[1] for _ in range(2)]
    assert counts == [6, 0]


def test_rows_take_the_bytes_of_their_type_and_what_fits_exactly_stays(tmp_path):
    assert [made_cache(tmp_path, dtype=dtype).needed_bytes(cut(), 10) for dtype in ("float32", "float16")] == [240, 120]
    Images(*range(40)).of(made_cache(tmp_path))
    (shard,) = (tmp_path / "store").glob("*/*.safetensors")
    room = (shard.stat().st_size + 40 * 24) / 2**30
    Images(*range(40)).of(made_cache(tmp_path, max_gib=room), cut("b"))
    assert {entry.key[-1] for entry in made_cache(tmp_path).entries()} == {"a", "b"}


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(UserError, match=r"feature_cache\.folder="):
        Images(1).of(made_cache(tmp_path))


def test_an_unknown_type_is_refused(tmp_path):
    with pytest.raises(UserError, match="float32, float16, bfloat16"):
        made_cache(tmp_path, dtype="float8")


def test_entries_say_what_is_there(tmp_path):
    Images(*range(6)).of(made_cache(tmp_path))
    (entry,) = made_cache(tmp_path).entries()
    assert (entry.key, entry.stages, entry.shape, entry.images) == ("a".rjust(16, "0"), ("stem",), SHAPE, 6)
    made_cache(tmp_path).remove(entry.key)
    made_cache(tmp_path).remove(entry.key)  # as by two at once
    assert made_cache(tmp_path).entries() == []
    assert list((tmp_path / "store").iterdir()) == []


def test_what_somebody_else_keeps_where_the_store_lies_stays(tmp_path):
    place = tmp_path / "store"
    names = ("resnet/model.safetensors", "resnet/about.json", f"{'a':0>16}/notes.txt")
    theirs = [place / name for name in names]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"model": "resnet"}')
    Images(*range(40)).of(made_cache(tmp_path))
    Images(*range(40)).of(made_cache(tmp_path, max_gib=1e-9), cut("b"))  # makes room of all that it may
    for entry in made_cache(tmp_path).entries():
        made_cache(tmp_path).remove(entry.key)
    assert made_cache(tmp_path).entries() == []
    assert [path.read_text() for path in theirs] == ['{"model": "resnet"}'] * 3


@pytest.mark.parametrize("text", ["[]", "{}", "\xff"])
def test_a_damaged_about_json_is_as_none(tmp_path, text):
    Images(1, 2).of(made_cache(tmp_path))
    (file,) = (tmp_path / "store").glob("*/about.json")
    file.write_bytes(text.encode("latin-1"))
    rows = Images(1, 2).of(made_cache(tmp_path))
    assert torch.equal(rows.at(np.arange(2)), torch.stack([row(1), row(2)]))

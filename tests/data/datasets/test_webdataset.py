"""A stream of shards gives each image where, when and as often as it should."""

import json
import os
import pickle
import sys
import tarfile
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import product
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from PIL import Image

from composed import TINY
from data_conf import keywords
from headstart.cli import main
from headstart.data.data_protocols import has_contents
from headstart.data.datasets.webdataset import WebDataset
from headstart.data.datasets.webdataset_division import by_workers, divided_shards
from headstart.data.datasets.webdataset_samples import ClassNumbers, SampleMembers
from headstart.data.datasets.webdataset_shards import indexed, samples, shards_of
from headstart.data.datasets.whole_dataset import Whole
from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.data.loading.stream_sampling import Lanes, drawn, stream_shares
from headstart.data.transforms.augmentation import RandomAffine
from headstart.types import Pixels, UserError
from killed import command, said
from numbered import SaveAfter, Witness, numbers, passed, trainer

pytest.importorskip("webdataset")

CONF = Path(__file__).parents[3] / "conf" / "data"
GREY = Pixels(size=8, channels=1, mean=(0.0,), std=(1 / 255,))  # the image's number comes back
SHARDS = (5, 9, 3, 7, 6, 4)  # images in each
TRAIN = 24  # images of shards 0 to 3
KINDS = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def _pipes(monkeypatch):
    monkeypatch.setenv("HEADSTART_PIPE", "1")  # as --pipe does


def png(number: int, kind="PNG") -> bytes:
    file = BytesIO()
    Image.new("L", (8, 8), number).save(file, kind)
    return file.getvalue()


def written(path: Path, samples, *, mode="w") -> Path:
    """A tar file of {key: {extension: bytes}}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for key, members in samples.items():
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(content)
                tar.addfile(member, BytesIO(content))
    return path


def sample(number: int) -> dict[str, bytes]:
    kind = number % 3
    return {"cls": str(kind).encode(), "json": json.dumps({"of": {"kind": KINDS[kind]}}).encode(), "png": png(number)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards 0 to 3 for training, 4 and 5 to hold back; image n has the grey value n and the class n % 3."""
    folder, first = tmp_path_factory.mktemp("shards"), 0
    for shard, count in enumerate(SHARDS):
        written(
            folder / f"part-{shard}.tar", {f"{number:03}": sample(number) for number in range(first, first + count)}
        )
        first += count
    return folder


def web(folder, *, device=(0, 1), pixels=GREY, **changes) -> WebDataset:
    conf = keywords("webdataset")
    given = {
        "urls": f"{folder}/part-{{0..3}}.tar", "val_urls": f"{folder}/part-4.tar", "test_urls": f"{folder}/part-5.tar",
        "batch_size": 4, "num_workers": 0, "streams": 2, "shuffle": 6,
    }  # fmt: skip
    data = WebDataset(**conf | given | changes, pixels=pixels, seed=0)
    data._device = lambda: device
    return data


def flat(batches) -> list[int]:
    return [number for batch in batches for number in batch]


def ended(loader) -> None:
    """Its workers end now: when they wait for the collector, torch waits five seconds for each."""
    if loader.num_workers:
        loader._iterator._shutdown_workers()


@pytest.mark.parametrize(
    ("key", "label", "shown"),
    [("caf\udce9", b"ant", r"caf\\xe9"), ("000", json.dumps({"kind": "\ud83d"}).encode(), r"\\ud83d")],
)
def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(tmp_path, key, label, shown):
    members = {"json" if label.startswith(b"{") else "cls": label, "png": png(1)}
    for part in range(6):
        written(tmp_path / f"part-{part}.tar", {key: members})
    how = {"label_key": "json", "label_field": "kind"} if "json" in members else {}
    with pytest.raises(UserError, match=rf"must be UTF-8, got {shown}; rename it"):
        web(tmp_path, **how)


def test_a_pipe_is_no_index_and_no_list_of_classes(shards, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for setting in ("index", "classes"):
        with pytest.raises(UserError, match=rf"^{setting} must be .*it is no regular file"):
            web(shards, **{setting: str(tmp_path / "pipe")})


REMOTE = {"samples": 24, "classes": ["0", "1", "2"]}


def remote(folder, first=0, last=3) -> str:
    return f"pipe:cat {folder}/part-{{{first}..{last}}}.tar"


# ------------------------------------------------------------------ an epoch


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


# ------------------------------------------------------------------ the shuffle


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


# ------------------------------------------------------------------ going on


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


# ------------------------------------------------------------------ val and test


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
    monkeypatch.setattr("headstart.data.datasets.webdataset_split.samples", None)
    assert passed(data.val_dataloader()) == first


def test_the_store_is_told_that_images_cannot_be_found_by_their_contents(shards):
    assert not has_contents(web(shards))


# ------------------------------------------------------------------ what shards may be


def test_compressed_shards_and_folders_and_stars_are_read(tmp_path, shards):
    for number in range(4):
        written(tmp_path / f"{number}.tar", {f"{number}-{n}": sample(n) for n in range(6)})
    for urls in (
        str(tmp_path),
        f"{tmp_path}/*.tar",
        f"{tmp_path}/{{0..3}}.tar",
        [f"file:{tmp_path}/{n}.tar" for n in range(4)],
    ):
        assert web(shards, urls=urls).sizes["train"] == 24
    packed = written(tmp_path / "packed.tar.gz", {f"{n}": sample(n) for n in range(6)}, mode="w:gz")
    data = web(shards, urls=str(packed))
    assert sorted(flat(passed(data.train_dataloader()))) == list(range(6))


def test_labels_in_json_become_classes_by_the_alphabet(shards):
    data = web(shards, label_key="json", label_field="of.kind")
    assert data.class_names == KINDS
    for batch in data.train_dataloader():
        assert batch.label.tolist() == [number % 3 for number in numbers(batch)]


def test_numbers_become_classes_by_their_size_and_can_be_given_names(shards, tmp_path):
    assert ClassNumbers.of_words(["10", "9", "10"]).names == ("9", "10")
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(KINDS) + "\n")
    for classes in (list(KINDS), str(names)):
        data = web(shards, classes=classes)
        assert data.class_names == KINDS
        assert next(iter(data.plain_dataloader("val"))).label.tolist() == [number % 3 for number in range(24, 30)]


def test_an_index_is_read_as_a_mapping_and_as_wids_writes_it(shards, tmp_path):
    urls = [f"{shards}/part-{number}.tar" for number in range(4)]
    plain, wids = tmp_path / "plain.json", tmp_path / "wids.json"
    plain.write_text(json.dumps({f"part-{number}.tar": count for number, count in enumerate(SHARDS)}))
    listed = [{"url": f"part-{number}.tar", "nsamples": count} for number, count in enumerate(SHARDS)]
    wids.write_text(json.dumps({"__kind__": "wids-shard-index-v1", "shardlist": listed}))
    assert indexed(plain, urls) == indexed(wids, urls) == SHARDS[:4]
    data = web(shards, urls=remote(shards), index=str(wids), classes=["0", "1", "2"])
    assert sorted(flat(passed(data.train_dataloader()))) == list(range(TRAIN))
    with pytest.raises(UserError, match=r"plain\.json must list each shard, it lacks 1: http://x/other\.tar"):
        indexed(plain, [*urls, "http://x/other.tar"])


@pytest.mark.skipif(which("curl") is None, reason="webdataset reads http by curl")
def test_shards_are_read_from_a_web_server(shards, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shards)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    try:
        index = tmp_path / "index.json"
        index.write_text(json.dumps({f"part-{number}.tar": count for number, count in enumerate(SHARDS)}))
        data = web(
            shards,
            urls=f"{place}/part-{{0..3}}.tar",
            val_urls=f"{place}/part-4.tar",
            index=str(index),
            classes=["0", "1", "2"],
        )
        assert sorted(flat(passed(data.train_dataloader()))) == list(range(TRAIN))
        assert flat(passed(data.val_dataloader())) == list(range(24, 30))
        with pytest.raises(UserError, match=r"/none\.tar cannot be read .*is there a network, and is that its address"):
            _ = web(shards, val_urls=f"{place}/none.tar").splits
    finally:
        server.shutdown()
        server.server_close()


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"urls": "part-{7..9}.tar"}, r"urls must be tar files, .*there is no part-7\.tar, part-8\.tar, part-9\.tar"),
        ({"urls": "pipe:cat x-{0..3}.tar"}, r"as pipe:cat x-0\.tar is no file of this machine; say target\.samples"),
        ({"urls": "pipe:cat x-{0..3}.tar", "samples": 9}, r"the classes cannot be found .*say target\.classes"),
        ({"classes": ["a", "b", "a"]}, "classes must be named once each, got a again"),
        ({"classes": "none.txt"}, r"classes must be a list of names, .*got none\.txt \(FileNotFoundError"),
        ({"label_key": "txt"}, r"sample 000 of .*part-0\.tar has the members \.cls, .*, and a member \.txt is"),
        ({"label_key": "json", "label_field": "kind"}, r"\.json is no JSON with a field kind \(KeyError"),
        ({"label_key": "json"}, r"\.json is no JSON \(ValueError: it is dict, not a word or a whole number\); set"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_anything_is_read(shards, changes, message):
    with pytest.raises(UserError, match=message):
        _ = web(shards, **changes).splits


def test_a_shard_in_two_splits_is_an_error(shards):
    with pytest.raises(UserError, match=r"a shard must be in one split, .*part-3\.tar is in two"):
        web(shards, val_urls=f"{shards}/part-3.tar")
    with pytest.raises(UserError, match=r"urls must name each shard once, .*part-3\.tar comes again"):
        shards_of([f"{shards}/part-3.tar"] * 2, setting="urls")


def test_a_word_that_is_no_class_is_named_with_its_sample(shards):
    data = web(shards, classes=["0", "1"])
    with pytest.raises(UserError, match=r"part-0\.tar:002 says the class '2', which is none of the 2 classes 0, 1"):
        _ = data.splits


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_holds_less_than_the_index_says_ends_the_run_and_never_hangs_it(shards, tmp_path, workers):
    index = tmp_path / "index.json"
    index.write_text(json.dumps({f"part-{number}.tar": count + (number == 2) for number, count in enumerate(SHARDS)}))
    loader = web(shards, index=str(index), num_workers=workers).train_dataloader()
    with pytest.raises(UserError, match=r"part-2\.tar must hold 4 images at least, as the index .*, it has 3$"):
        passed(loader)
    ended(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_is_named_by_its_shard_and_key(tmp_path, shards, workers):
    held = {f"{number:03}": sample(number) for number in range(8)}
    held["005"]["png"] = b"no image"
    loader = web(shards, urls=str(written(tmp_path / "broken.tar", held)), num_workers=workers).train_dataloader()
    with pytest.raises(UserError, match=r"^broken\.tar:005 is no image that can be read"):
        passed(loader)
    ended(loader)


def test_a_shard_that_is_cut_off_is_named(tmp_path, shards):
    whole = (shards / "part-1.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(UserError, match=r"the shard .*cut\.tar cannot be read \(ReadError: .*is it a whole tar file"):
        web(shards, urls=f"{tmp_path}/cut.tar")


@pytest.mark.parametrize("scheme", ["pipe", "PIPE", " pipe", "pIpE"])
def test_a_command_of_the_shell_is_run_only_where_the_command_line_permits_it(tmp_path, monkeypatch, shards, scheme):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSTART_PIPE")
    for urls in (f"{scheme}:touch exploded", f"{{{scheme}:touch,x://y}} exploded", f"{scheme}:touch exploded; x://y"):
        for where in ("urls", "val_urls", "test_urls"):
            with pytest.raises(UserError, match=r"would run a command of the shell.*add --pipe"):
                web(shards, **{"urls": f"{shards}/part-0.tar", "samples": 9, "classes": ["0", "1"], where: urls})
        with pytest.raises(UserError, match="add --pipe"):
            next(samples(urls.replace("{", ""), SampleMembers(None, "cls", None)))
    with pytest.raises(UserError):
        web(shards, urls="-", samples=9)
    assert not (tmp_path / "exploded").exists()


def test_a_flag_permits_commands_of_the_shell_for_one_command_and_a_variable_of_the_shell_does_not(
    tmp_path, monkeypatch, shards, capfd
):
    monkeypatch.chdir(tmp_path)
    urls = f"pipe:cat {shards}/part-{{0..3}}.tar"
    run = ["data@target=webdataset", f"target.urls='{urls}'", "target.samples=9", *TINY, "mode=scratch"]
    assert main([*run, "task=plan", "target.classes=[a]"]) == 2  # _pipes has set the variable
    assert "add --pipe" in capfd.readouterr().err
    assert main([*run, "task=plan", "target.classes=[a]", "--pipe"]) != 0
    assert "add --pipe" not in capfd.readouterr().err


def test_a_command_that_fails_is_named_though_what_it_gave_was_whole(shards):
    data = web(shards, urls=f"pipe:cat {shards}/part-{{0..3}}.tar; exit 3", streams=1, **REMOTE)
    with pytest.raises(UserError, match=r"the shard pipe:cat .*exit 3 cannot be read \(OSError: "):
        passed(data.train_dataloader())


def test_the_library_is_named_where_it_is_missing(monkeypatch, shards):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(UserError, match=r"pip install 'headstart\[webdataset\]'"):
        web(shards)


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


# ------------------------------------------------------------------ the command


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


@pytest.fixture
def here(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards").symlink_to(shards)
    return tmp_path


RUN = [
    "data@target=webdataset", "target.urls=shards/part-{0..3}.tar", "target.val_urls=shards/part-4.tar",
    "target.test_urls=shards/part-5.tar", "target.batch_size=4", *TINY, "mode=scratch",
]  # fmt: skip


def test_the_command_line_trains_on_shards_and_the_tasks_after_it_look_at_them(here, capsys):
    assert main([*RUN, "trainer.max_epochs=1"]) == 0
    folder = next(Path("outputs").rglob("result.json")).parent
    result = json.loads((folder / "result.json").read_text())
    assert result["sizes"] == {"train": 24, "val": 6, "test": 4}
    assert result["steps"] == 6
    assert "feature cache: nothing is cached, WebDataset does not say" in capsys.readouterr().err
    assert main(["task=evaluate", f"evaluate.run_dir='{folder}'"]) == 0
    assert len(json.loads((folder / "evaluate-test.json").read_text())["class_names"]) == 3


def test_a_command_with_bad_shards_ends_with_one_line(here, capsys):
    assert main(["data@target=webdataset", "target.urls=shards/none-{0..2}.tar", *TINY, "mode=scratch"]) == 2
    said = capsys.readouterr().err
    assert "there is no shards/none-0.tar" in said
    assert "Traceback" not in said


RESUMED = [
    *RUN, "trainer.max_epochs=2", "target.num_workers=2", "target.streams=2", "callbacks.figures=null",
    "callbacks.checkpoint.every_steps=2",
    "callbacks.checkpoint.min_interval_s=0", "+callbacks.stop._target_=resume_plugins.Stop",
    "augment@target.augment=affine",
]  # fmt: skip


def outcome(place):
    (file,) = place.glob("outputs/*/*/result.json")
    result = json.loads(file.read_text())
    return result["weights_hash"], result["metrics"], (file.parent / "metrics.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [[], ["trainer=ddp_cpu", "target.batch_size=2"]], ids=["one", "two"])
def test_a_killed_run_on_shards_goes_on_as_the_one_that_was_not(here, tmp_path, devices):
    results = []
    for name, stop in (("whole", None), ("killed", ("on_train_batch_end", 9))):
        place = tmp_path / name
        place.mkdir()
        (place / "shards").symlink_to(tmp_path / "shards")
        given = [*RESUMED, *devices]
        if stop:
            assert command(place, *given, stop=stop) == -9
            given.append("resume=auto")
        assert command(place, *given) == 0, said(place)
        results.append(outcome(place))
    assert results[0] == results[1]


def test_addresses_that_webdataset_cannot_read_are_refused_with_the_command_that_can(shards):
    with pytest.raises(UserError, match=r"cannot read s3: addresses.*try 'pipe:aws s3 cp s3://bucket/0\.tar -'"):
        web(shards, urls="s3://bucket/0.tar")

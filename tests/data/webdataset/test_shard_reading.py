"""Shards of a WebDataset are read in every form, and what is wrong with them is named."""

import json
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from shutil import which

import pytest

from composed import TINY
from headstart.cli import main
from headstart.data.webdataset.shard_reading import indexed, samples, shards_of
from headstart.data.webdataset.shard_samples import ClassNumbers, SampleMembers
from headstart.types import UserError
from numbered import numbers, passed
from shard_data import KINDS, REMOTE, SHARDS, TRAIN, ended, flat, png, remote, sample, web, written

pytest.importorskip("webdataset")


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


def test_addresses_that_webdataset_cannot_read_are_refused_with_the_command_that_can(shards):
    with pytest.raises(UserError, match=r"cannot read s3: addresses.*try 'pipe:aws s3 cp s3://bucket/0\.tar -'"):
        web(shards, urls="s3://bucket/0.tar")


def test_numbers_that_are_written_in_two_ways_have_the_same_order_in_each_process():
    """A set of strings has another order in each process."""
    words = ["1", "01", "001", "10", "2", "02"]
    for turn in range(len(words)):
        assert ClassNumbers.of_words(words[turn:] + words[:turn]).names == ("001", "01", "1", "02", "2", "10")

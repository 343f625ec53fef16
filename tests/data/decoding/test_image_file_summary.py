"""The summary of image files holds what the files hold, without decoding them."""

import logging

import numpy as np
import pytest
from PIL import Image

from folder_data import folder
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.decoding.image_file_summary import Header, header, readable, table
from headstart.types import UserError


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("RGB", "jpg"), ("CMYK", "jpg"), ("P", "gif")])
def test_a_header_says_the_size_and_the_mode(tmp_path, mode, suffix):
    file = tmp_path / f"one.{suffix}"
    Image.new(mode, (30, 20)).save(file)
    assert header(file) == Header(30, 20, mode, file.stat().st_size)


def test_headers_are_read_where_pixels_are_missing(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "one.jpg")
    whole = (tmp_path / "one.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert header(tmp_path / "cut.jpg") == Header(50, 40, "RGB", len(whole) // 2)


def test_a_table_has_a_column_a_class():
    counts = {"train": {"ants": 3, "bees": 4}, "val": {"ants": 1, "bees": 1}}
    headers = [Header(10, 20, "RGB", 1), Header(30, 40, "L", 1), Header(20, 60, "I;16", 1)]
    assert table(counts, headers, repeated=2, left_out=1).splitlines() == [
        "       images  ants  bees",
        "train       7     3     4",
        "val         2     1     1",
        "pixels: median 20 x 40, width 10 to 30, height 20 to 60; 1 in colour, 2 grey",
        "2 repeated inside a split, 1 unreadable files left out",
    ]


def test_many_classes_are_told_by_the_smallest_and_the_largest():
    counts = {"train": {f"class{number}": number + 1 for number in range(9)}}
    told = table(counts, [Header(1, 1, "L", 1)], repeated=0, left_out=0).splitlines()
    assert told[1].split() == ["train", "45", "9", "class0", "1", "5", "class8", "9"]


def test_more_than_five_files_are_counted(tmp_path):
    broken = {f"{number}.jpg": "OSError" for number in range(7)}
    with pytest.raises(UserError, match=r"7 of 8 files .*: 0\.jpg \(OSError\), .*4\.jpg \(OSError\) and 2 more"):
        readable(broken | {"good.jpg": None}, root=tmp_path, unreadable="error")


def test_the_summary_is_logged_before_training_and_decodes_nothing(class_folders, caplog, monkeypatch):
    monkeypatch.setattr(Decoder, "__call__", lambda *_: pytest.fail("decoded"))
    with caplog.at_level(logging.INFO):
        folder(class_folders()).setup("fit")
    assert "train      12     6     6\nval         4     2     2\ntest        4     2     2\n" in caplog.text
    assert "median 8 x 8" in caplog.text
    assert "20 in colour, 0 grey" in caplog.text


def test_what_was_hashed_for_the_summary_is_not_read_again(class_folders, monkeypatch):
    data = folder(class_folders())
    data.setup("fit")
    train = data.splits["train"]
    hashed = set(train._digests)  # type: ignore[attr-defined]
    assert hashed  # plain images of one size make files of one size
    read, bytes_of = [], type(data.root).read_bytes
    monkeypatch.setattr(type(data.root), "read_bytes", lambda self: (read.append(self), bytes_of(self))[1])
    contents = {
        name: one for split in data.sizes for name, one in zip(data.names(split), data.contents(split), strict=True)
    }
    assert len(set(contents.values())) == 20
    assert len(read) == 20 - len(hashed)

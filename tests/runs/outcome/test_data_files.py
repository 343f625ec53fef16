"""What tells quickly that files of images are others than they were."""

import os
import shutil

import pytest

from headstart.runs.outcome.data_files import data_files


@pytest.fixture
def files(tmp_path):
    for name, text in (("a/0.png", "one"), ("a/1.png", "three"), ("b/0.png", "x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return sorted(tmp_path.rglob("*.png"))


def test_files_are_counted_and_their_bytes_summed_and_without_files_nothing_is_known(files):
    known = data_files(files)
    assert (known["files"], known["bytes"]) == (3, 9)
    assert data_files(files[::-1]) == known
    assert data_files([]) is None


def test_another_size_or_name_is_another_set_and_another_time_alone_is_told_apart(files):
    known = data_files(files)
    os.utime(files[0], ns=(0, 1))
    touched = data_files(files)
    assert touched["names"] == known["names"]
    assert touched["times"] != known["times"]
    files[0].write_text("four")
    assert data_files(files)["names"] != known["names"]
    files[0].unlink()
    assert data_files(files)["names"] != known["names"]
    assert data_files(files[1:])["files"] == 2


def test_a_folder_that_was_moved_as_a_whole_holds_the_same(files, tmp_path):
    known = data_files(files)
    shutil.copytree(tmp_path / "a", tmp_path / "moved" / "a")
    shutil.copytree(tmp_path / "b", tmp_path / "moved" / "b")
    assert data_files(sorted((tmp_path / "moved").rglob("*.png"))) == known

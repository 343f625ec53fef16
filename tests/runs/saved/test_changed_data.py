"""A finished run says that its images are others now than those that it has learned from."""

import os

import numpy as np
import pytest
from PIL import Image

from composed import composed
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.outcome.data_digest import data_digest
from headstart.runs.saved.changed_data import DATA_FILES, data_changes, files_of_run
from photos import three_classes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    three_classes(folder, 5)
    return folder


@pytest.fixture(scope="module")
def cfg(place):
    return composed("mode=scratch", "data@target=image_folder", f"target.root={place / 'photos'}")


@pytest.fixture(scope="module")
def result(cfg):
    data = assembled(cfg).data
    data.setup("fit")
    return {"data": data_digest(data), DATA_FILES: files_of_run(data)}


@pytest.fixture
def photo(place):
    """A training image, which is as it was afterwards."""
    file = place / "photos" / "light" / "0.png"
    stored, status = file.read_bytes(), file.stat()
    yield file
    file.write_bytes(stored)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_nothing_is_said_where_nothing_changed_or_files_were_touched_alone(cfg, result, photo):
    assert data_changes(cfg, {}, result) == ""
    os.utime(photo, ns=(0, 1))
    assert data_changes(cfg, {}, result) == ""


def test_a_file_more_or_one_of_another_size_is_told(cfg, result, photo):
    another = photo.with_name("9.png")
    another.write_bytes(photo.read_bytes())
    assert data_changes(cfg, {}, result) == "15 files then, 16 now"
    another.unlink()
    photo.write_bytes(photo.read_bytes() + b"\0")
    assert data_changes(cfg, {}, result) == "15 files then and now, with other names or sizes"


def test_other_bytes_of_the_same_size_are_told_by_their_contents(cfg, result, photo):
    stored = bytearray(photo.read_bytes())
    stored[-1] ^= 1  # of the last chunk's checksum
    photo.write_bytes(stored)
    assert "hold other images or labels" in data_changes(cfg, {}, result)


def test_data_that_are_gone_are_told_and_data_without_files_have_nothing_to_tell(cfg, result, place):
    (place / "photos").rename(place / "gone")
    try:
        assert data_changes(cfg, {}, result).startswith("they cannot be read now: root must be a folder")
    finally:
        (place / "gone").rename(place / "photos")
    digits = composed("mode=scratch")
    assert files_of_run(assembled(digits).data) is None
    assert data_changes(digits, {}, {}) == ""


def test_of_an_earlier_run_images_no_larger_than_the_backbones_are_told(cfg, tmp_path):
    earlier = {"target": {"resize": None}}
    assert data_changes(cfg, earlier, {}) == ""  # 48 by 40 pixels are more than 32
    for name in ("one", "two"):
        for number in range(5):
            file = tmp_path / "small" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(ord(name[0]) * 10 + number).integers(0, 255, (20, 60, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    small = composed("mode=scratch", "data@target=image_folder", f"target.root={tmp_path / 'small'}")
    assert data_changes(small, earlier, {}).endswith("backbone's 32 pixels, of which there are 10")
    assert data_changes(small, {"target": {"resize": None, "box": None}}, {}) == ""  # a run of since then

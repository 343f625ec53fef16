"""A file of features gives back what was put in, to headstart and to others."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from headstart.features import embedding_file as module
from headstart.features.embedding_file import Embedding, is_embedding, read, write
from headstart.features.pca import directions
from headstart.features.tensorboard_projector import thumbnails, write_projector
from headstart.types import Pixels, UserError


def made():
    features = {"late": torch.randn(3, 4), "early": torch.randn(3, 2)}
    return Embedding(
        features=features,
        label=torch.tensor([1, 0, 1]),
        names=("ants/ä 1.jpg", "bees/b,\t2.jpg", "ants/c.jpg"),
        class_names=("bees", "ants"),
        about={"split": "val", "stages": ["late", "early"], "source": {"sha256": "ab"}, "run": None},
        directions={"late": directions(features["late"], 2)},
    )


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_what_is_read_is_what_was_written_in_its_order(tmp_path, suffix):
    given = made()
    write(tmp_path / f"val.{suffix}", given)
    found = read(tmp_path / f"val.{suffix}")
    assert list(found.features) == ["late", "early"]
    assert all(torch.equal(found.features[stage], tensor) for stage, tensor in given.features.items())
    assert torch.equal(found.label, given.label)
    assert (found.names, found.class_names, found.about) == (given.names, given.class_names, given.about)
    assert list(found.directions) == ["late"]
    assert all(torch.equal(a, b) for a, b in zip(found.directions["late"], given.directions["late"], strict=True))


def test_others_read_an_npz_without_pickle_and_a_safetensors_file_with_json(tmp_path):
    given = made()
    write(tmp_path / "val.npz", given)
    with np.load(tmp_path / "val.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["features.late"], given.features["late"].numpy())
        assert file["names"].tolist() == list(given.names)
        assert file["class_names"][file["label"]].tolist() == ["ants", "bees", "ants"]
        assert json.loads(str(file["about"]))["split"] == "val"
    write(tmp_path / "val.safetensors", given)
    with safe_open(tmp_path / "val.safetensors", framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("features.late"), given.features["late"].numpy())
        assert json.loads(file.metadata()["names"]) == list(given.names)


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_file_is_there_whole_or_not_at_all(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"val.{suffix}"
    write(path, made())
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(module.np, "savez", broken)  # type: ignore[attr-defined]
    monkeypatch.setattr("safetensors.torch.save_file", broken)
    with pytest.raises(OSError, match="no space"):
        write(path, made())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rows_without_a_name_are_an_error(tmp_path):
    given = made()
    short = Embedding(given.features, given.label, given.names[:2], given.class_names, given.about)
    with pytest.raises(ValueError, match="got 3 rows of late for 2 names"):
        write(tmp_path / "x.npz", short)


def test_a_file_of_others_is_an_error_that_says_so(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(UserError, match="no file of task=embed"):
        read(tmp_path / "x.npz")


def test_a_thumbnail_is_the_image_without_the_normalisation():
    pixels = Pixels(64, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    mean, std = (torch.tensor(values)[:, None, None] for values in (pixels.mean, pixels.std))
    small = thumbnails(images, pixels, count=2)
    assert small.shape == (2, 3, 32, 32)
    torch.testing.assert_close(thumbnails((images / 255 - mean) / std, pixels, count=2), small, atol=1e-5, rtol=0)
    torch.testing.assert_close(small.mean((2, 3)), images.float().mean((2, 3)) / 255, atol=2e-2, rtol=0)


@pytest.mark.parametrize(("count", "side"), [(1, 32), (1000, 32), (65536, 32), (65537, 31), (10**9, 1)])
def test_many_thumbnails_are_smaller_so_that_their_picture_is_one_that_a_browser_takes(count, side):
    grey = Pixels(8, 1, (0.5,), (0.5,))
    assert thumbnails(torch.zeros(1, 1, 8, 8), grey, count=count).shape[-1] == side


def test_the_projector_gets_points_words_and_pictures_in_the_same_order_and_nothing_twice(tmp_path):
    points = torch.randn(5, 3)
    for _ in range(2):
        write_projector(
            tmp_path / "p", {"late": points, "early": points[:, :2]}, classes=list("aabba"),
            names=["n1", "n 2", "n\t3", "n4", "n5"], thumbnails=torch.rand(5, 1, 4, 4),
        )  # fmt: skip
    (tsv,) = [path for path in (tmp_path / "p").rglob("tensors.tsv") if "late" in str(path)]
    shown = [[float(cell) for cell in line.split("\t")] for line in tsv.read_text().splitlines()]
    np.testing.assert_allclose(shown, points, rtol=1e-5)
    lines = tsv.with_name("metadata.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["class", "image"], ["a", "n1"], ["a", "n 2"], ["b", "n 3"], ["b", "n4"], ["a", "n5"]
    ]  # fmt: skip
    config = (tmp_path / "p" / "projector_config.pbtxt").read_text()
    assert config.count("tensor_name") == 2
    assert "sprite.png" in config
    assert str(tmp_path) not in config  # a run's folder can be moved


def test_the_projector_takes_the_place_of_an_earlier_one_and_of_nothing_else(tmp_path):
    theirs = tmp_path / "00000" / "mine" / "thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    for _ in range(2):
        write_projector(tmp_path, {"stem": torch.randn(3, 4)}, classes=["a", "b", "c"], names=["1", "2", "3"])
    assert theirs.exists()
    assert len(list(tmp_path.rglob("tensors.tsv"))) == 1
    assert (tmp_path / "projector_config.pbtxt").read_text().count("tensor_name") == 1


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_file_of_somebody_else_s_is_told_from_an_embedding(tmp_path, suffix):
    theirs, ours = (tmp_path / f"{name}.{suffix}" for name in ("theirs", "ours"))
    if suffix == "npz":
        np.savez(theirs, image=np.zeros(3))
    else:
        save_file({"image": torch.zeros(3)}, theirs)
    write(ours, made())
    assert is_embedding(ours)
    assert not is_embedding(theirs)
    theirs.write_bytes(b"?")
    assert not is_embedding(theirs)

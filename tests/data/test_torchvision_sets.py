"""torchvision's data sets come as its classes hold them, in their official splits."""

import csv
import gzip
import os
import pickle
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torchvision
from hydra import compose, initialize_config_dir
from PIL import Image

from composed import CONF
from data_conf import keywords
from headstart.data.datasets.image_folder import ImageFolder
from headstart.data.datasets.torchvision_datasets import TorchvisionDataset
from headstart.data.datasets.whole_dataset import Whole
from headstart.data.torchvision.dataset_names import SETS
from headstart.runs.training.train_run import train
from headstart.types import Pixels, UserError
from held_out_checks import check_val_shots_and_folds

GREY = Pixels(size=16, channels=1, mean=(0.5,), std=(0.5,))
RGB = Pixels(size=16, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
REAL = Path(os.environ.get("HEADSTART_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHARED = {
    "val_share": 0.25, "test_share": 0.25, "decode": "full", "cache_gib": 0, "batch_size": 8, "num_workers": 0,
    "max_pixels": 10**9,
}  # fmt: skip


def named(name, root, *, pixels=RGB, seed=0, **changed):
    settings = keywords("torchvision") | SHARED | changed | {"name": name, "root": str(root)}
    return TorchvisionDataset(**settings, pixels=pixels, seed=seed)


def idx(path, array):
    """A file in MNIST's format."""
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">i4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def images(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture
def mnist(tmp_path):
    """10 training and 4 test images of each digit, in MNIST's own files."""
    for part, count in {"train": 10, "t10k": 4}.items():
        label = np.repeat(np.arange(10), count)
        idx(tmp_path / f"MNIST/raw/{part}-images-idx3-ubyte", images(len(label), 28, 28, seed=count))
        idx(tmp_path / f"MNIST/raw/{part}-labels-idx1-ubyte", label)
    return tmp_path


def fake(kind, classes=3):
    """A class with the interface of torchvision's class that keeps its images in this way: 24 in all."""

    class Fake:
        def __init__(self, root, **asked):
            (key,) = [str(value) for value in asked.values()][:1] or ["all"]
            self.classes = [f"class {label}" for label in range(classes)]
            label = np.repeat(np.arange(classes), 24 // classes).tolist()
            pixels = images(24, 20, 24, 3, seed=sum(key.encode()))
            if kind == "memory":
                self.data, self.targets = pixels, label
            elif kind == "channels first":
                self.data, self.labels = pixels.transpose(0, 3, 1, 2), np.asarray(label)
            elif kind in ("y", "asked"):
                self._label, self._pixels = label, pixels
                if kind == "y":
                    self.y = label
            else:
                folder = Path(root) / "fake" / key
                folder.mkdir(parents=True, exist_ok=True)
                paths = [folder / f"{at}.png" for at in range(24)]
                for path, pixel in zip(paths, pixels, strict=True):
                    Image.fromarray(pixel).save(path)
                if kind in ("_samples", "samples"):
                    setattr(self, kind, [(str(p), one) for p, one in zip(paths, label, strict=True)])
                else:
                    setattr(self, kind, paths)
                    self._labels = label

        def __getitem__(self, at):
            return Image.fromarray(self._pixels[at]), self._label[at]

        def __len__(self):
            return 24

    return Fake


KINDS = {
    "memory": ["MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "USPS", "CIFAR10", "CIFAR100"],
    "channels first": ["SVHN", "STL10"],
    "_image_files": ["Flowers102", "DTD", "FGVCAircraft", "Food101", "SUN397"],
    "_images": ["OxfordIIITPet"],
    "_samples": ["StanfordCars", "GTSRB", "Imagenette", "RenderedSST2"],
    "samples": ["EuroSAT", "Country211"],
    "y": ["Caltech101"],
    "asked": ["PCAM"],
}
OFFICIAL_TEST = {name for name, official in SETS.items() if "test" in official.splits}


@pytest.mark.parametrize("name", SETS)
def test_the_class_of_torchvision_knows_the_arguments_that_the_table_gives_it(name):
    """Each is called with a root that is empty: it finds no files, and complains of nothing else."""
    with pytest.raises(UserError, match="download=true") as told:
        named(name, "/nowhere/at/all")
    assert not any(word in str(told.value) for word in ("TypeError", "Unknown value", "should be"))
    assert SETS[name].place in str(told.value)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, those in KINDS.items() for name in those])
def test_splits_are_disjoint_stratified_and_the_test_is_that_of_every_seed(kind, name, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets, name, fake(kind, classes=2 if name in ("PCAM", "RenderedSST2") else 3))
    first, second = (named(name, tmp_path, seed=seed) for seed in (0, 1))
    held = {split: set(first.contents(split)) for split in ("train", "val", "test")}
    for one, other in pairwise(("train", "val", "test", "train")):
        assert not held[one] & held[other]
    assert held["test"] == set(second.contents("test"))
    if "val" not in SETS[name].splits:
        assert held["val"] != set(second.contents("val"))
    for split in held:
        assert len(set(np.bincount(first.splits[split].label, minlength=first.num_classes).tolist())) == 1
    assert first.sizes["test"] == (24 if name in OFFICIAL_TEST else 12 if name == "Imagenette" else 6)
    image = first.splits["train"].at(np.arange(2))
    assert image.shape == (2, 16, 16, 3)


def test_every_data_set_of_the_table_is_tried():
    assert sorted(name for those in KINDS.values() for name in those) == sorted(SETS)


def test_five_shots_are_among_ten(mnist):
    five, ten = (named("MNIST", mnist, shots=shots, val_share=0.1, pixels=GREY) for shots in (3, 6))
    assert set(five.contents("train")) < set(ten.contents("train"))
    assert five.sizes["train"] == 30
    assert five.class_names == tuple("0123456789")


def test_packed_files_are_read_as_unpacked_ones_and_nothing_is_written_beside_them(mnist):
    want = named("MNIST", mnist, pixels=GREY).contents("train")
    raw = mnist / "MNIST" / "raw"
    for file in list(raw.iterdir()):
        (raw / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert named("MNIST", mnist, pixels=GREY).contents("train") == want
    assert all(file.suffix == ".gz" for file in raw.iterdir())


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "RGB"])
def test_a_picture_has_the_pixels_that_image_folder_makes_of_its_file(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fake("memory"))
    data = named("CIFAR10", tmp_path, pixels=pixels)
    for at, picture in enumerate(images(24, 20, 24, 3, seed=sum(b"True"))):
        path = tmp_path / "photos" / f"class {at // 8}" / f"{at:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    folder = named_folder(tmp_path / "photos", pixels)

    def all_of(data, splits):
        return sorted(
            image.numpy().tobytes() for split in splits for image in data.splits[split].at(np.arange(data.sizes[split]))
        )

    assert all_of(data, ["train", "val"]) == all_of(folder, ["train", "val", "test"])


def named_folder(root, pixels):
    settings = keywords("image_folder") | SHARED | {"leakage": "allow", "root": str(root)}
    return ImageFolder(**settings, pixels=pixels, seed=0)


def test_emnist_is_upright_and_its_letters_count_from_zero(tmp_path, monkeypatch):
    stored = np.zeros((16, 28, 28), np.uint8)
    stored[:, 3, :] = 255  # a row in the file is a column of the letter
    classes = ["N/A", "a", "b"]
    label = np.repeat([1, 2], 8)
    made = SimpleNamespace(data=stored, targets=label, classes=classes)
    monkeypatch.setattr(torchvision.datasets, "EMNIST", lambda **_: made)
    data = named("EMNIST", tmp_path, variant="letters", pixels=GREY._replace(size=28), resize=28)
    assert data.class_names == ("a", "b")
    assert data.splits["train"].at(np.array([0]))[0, :, 3].eq(255).all()


def test_cifar_is_read_from_its_own_files(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    flat = images(30, 3 * 32 * 32)
    for file in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        (folder / file).write_bytes(pickle.dumps({"data": flat, "labels": list(range(10)) * 3}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"thing {n}" for n in range(10)]}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    data = named("CIFAR10", tmp_path, pixels=RGB._replace(size=32), resize=32)
    assert data.class_names[3] == "thing 3"
    got = {image.numpy().tobytes() for image in data.splits["test"].at(np.arange(30))}
    assert got == {one.reshape(3, 32, 32).transpose(1, 2, 0).tobytes() for one in flat}


def test_all_images_of_the_official_splits_are_evaluated_as_they_are_stored(mnist):
    data = named("MNIST", mnist)
    assert data.given_splits == ("train", "test")
    assert Whole(data).sizes == {"test": 140}
    whole = Whole(data, splits=("train",))
    label = dict(zip(whole.names("test"), whole.splits["test"].label.tolist(), strict=True))
    assert label == {f"train/{number:06}": number // 10 for number in range(100)}
    of = {name: one for split in data.sizes for name, one in zip(data.names(split), data.contents(split), strict=True)}
    assert dict(zip(whole.names("test"), whole.contents("test"), strict=True)).items() <= of.items()
    with pytest.raises(UserError, match="none are drawn by shots=5"):
        _ = Whole(named("MNIST", mnist, shots=5)).splits


def test_what_cannot_be_downloaded_is_said_with_the_reason(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.usps.download_url", no_network)
    with pytest.raises(UserError, match=r"could not be downloaded .*Name or service not known.*network"):
        named("USPS", tmp_path / "new", download=True)


def test_what_is_there_is_not_downloaded(mnist, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda _: pytest.fail("it is there"))
    assert named("MNIST", mnist, download=True, pixels=GREY).sizes["test"] == 40


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("Cifar-10", {}, "did you mean CIFAR10"),
        ("EMNIST", {"variant": "latters"}, "balanced, byclass"),
        ("MNIST", {"variant": "letters"}, "only one"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(name, changed, said, tmp_path):
    with pytest.raises(UserError, match=said):
        named(name, tmp_path, **changed)


@pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="HEADSTART_DATA has no MNIST")
def test_mnist_has_60000_and_10000_images():
    data = named("MNIST", REAL, pixels=GREY, val_share=0.1)
    assert data.sizes["train"] + data.sizes["val"] == 60_000
    assert data.sizes["test"] == 10_000
    assert np.bincount(data.splits["test"].label).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def mnist_to_usps(*overrides, folder=Path("run")):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        small = ["trainer.accelerator=cpu", "mode=fine_tuning", f"run_dir='{folder}'"]
        return compose("config", overrides=["experiment=mnist_to_usps", *small, *overrides])


def test_mnist_to_usps_begins_with_the_head_of_the_source(monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", "some/folder")
    cfg = mnist_to_usps()
    assert (cfg.source.name, cfg.head.init, cfg.target.shots) == ("MNIST", "source", 10)
    assert (cfg.source.root, cfg.target.root) == ("some/folder", "some/folder/usps")


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "usps").is_dir(), reason="HEADSTART_DATA has no USPS")
def test_a_head_trained_on_mnist_knows_usps_before_it_has_seen_any(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", str(REAL))
    monkeypatch.chdir(tmp_path)
    cfg = mnist_to_usps("trainer.max_epochs=1", folder=tmp_path / "run")
    about = {"study": "test", "name": "run", "hash": "00000000", "overrides": []}
    train(cfg, tmp_path / "run", about=about)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        first = next(row for row in csv.DictReader(file) if row["val/accuracy"])
    assert first["step"] == "0"
    assert float(first["val/accuracy"]) > 0.4  # chance is 0.1


def test_val_shots_and_folds_of_mnist_divide_the_images_that_are_not_for_the_test(mnist):
    def made(**changes):
        return named("MNIST", mnist, pixels=GREY, **changes)

    check_val_shots_and_folds(made)

"""A file about other data than a run's own is called by these data, without this machine's folders."""

import pytest
from omegaconf import OmegaConf

from headstart.runs.saved.other_data import data_stem

KIND = {"_target_": "headstart.data.datasets.image_folder.ImageFolder"}


@pytest.mark.parametrize(("settings", "name"), [
    ({"root": "/home/me/photos/"}, "photos"),
    ({"root": "more"}, "more"),
    ({"root": "../more"}, "more"),
    ({"root": "."}, "ImageFolder"),
    ({"root": "/"}, "ImageFolder"),
    ({"table": "/home/me/rows.csv", "root": "/home/me"}, "rows.csv"),
    ({"path": "uoft-cs/cifar10"}, "cifar10"),
    ({"urls": "https://me:secret@host.org/a/train-0.tar"}, "train-0.tar"),
    ({"characters": "digits"}, "digits"),
])  # fmt: skip
def test_of_a_path_the_name_is_the_last_part(settings, name):
    stem = data_stem(OmegaConf.create(KIND | settings), "all", 9)
    assert stem.startswith(f"{name}-9-images-")
    assert data_stem(OmegaConf.create(KIND | settings), "test", 9).startswith(f"{name}-test-9-images-")


def test_two_folders_of_one_name_have_two_names():
    first, second = (data_stem(OmegaConf.create(KIND | {"root": f"/{place}/photos"}), "all", 9) for place in "ab")
    assert first != second

"""What compat/torchvision_files.py relies on. Tried: torchvision 0.29.2."""

from pathlib import Path

import pytest
from torchvision import datasets

from headstart.compat.torchvision_files import listed_files


def touched(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def gtsrb(root):
    touched(root / "gtsrb/GTSRB/Training/00000/a.ppm", root / "gtsrb/GTSRB/Training/00001/b.ppm")
    return datasets.GTSRB(root)


def image_folder(root):
    touched(root / "cat/a.png", root / "dog/b.png")
    return datasets.ImageFolder(root)


def dtd(root):
    touched(root / "dtd/dtd/images/banded/a.jpg", root / "dtd/dtd/images/dotted/b.jpg", root / "dtd/dtd/labels/x")
    (root / "dtd/dtd/labels/train1.txt").write_text("banded/a.jpg\ndotted/b.jpg\n")
    return datasets.DTD(root)


def oxford_iiit_pet(root):
    touched(root / "oxford-iiit-pet/images/a.jpg", root / "oxford-iiit-pet/annotations/x")
    (root / "oxford-iiit-pet/annotations/trainval.txt").write_text("Abyssinian_a 1 1 1\nBeagle_b 2 2 1\n")
    return datasets.OxfordIIITPet(root)


@pytest.mark.parametrize("made", [gtsrb, image_folder, dtd, oxford_iiit_pet])
def test_the_files_and_labels_of_a_data_set_are_found_wherever_its_class_keeps_them(made, tmp_path):
    files, labels = listed_files(made(tmp_path))
    assert [Path(file).stem[-1] for file in files] == ["a", "b"]
    assert list(labels) == [0, 1]


def test_a_data_set_that_lists_no_files_gives_none():
    assert listed_files(datasets.FakeData()) is None

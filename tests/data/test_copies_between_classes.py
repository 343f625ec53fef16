"""Files of the same bytes whatever their class: in one split, out of training, one of each, or named."""

import shutil

import numpy as np
import pytest

from data_conf import data_conf
from folder_data import folder, places
from headstart.runs.saved.settings_added_later import without_later
from headstart.types import UserError


@pytest.fixture
def crossed(class_folders):
    """Twenty images a class, six of ants also among the bees."""
    root = class_folders({"ants": 20, "bees": 20})
    for number in range(0, 18, 3):
        shutil.copy(root / "ants" / f"{number:02}.png", root / "bees" / f"too{number:02}.png")
    return root


@pytest.fixture
def given(class_folders):
    """train/, val/ and test/, of which val and test have two images of train each, test one of val."""
    root = class_folders({"ants": 10, "bees": 10}, below="all/train").parent
    for side, split in enumerate(("val", "test"), start=9):
        shutil.copytree(class_folders({"ants": 6, "bees": 6}, below=f"draft{split}", size=(side, side)), root / split)
        for number in (side - 7, side - 5):
            shutil.copy(root / "train" / "ants" / f"{number:02}.png", root / split / "bees" / f"leak{number}.png")
    shutil.copy(root / "val" / "ants" / "01.png", root / "test" / "ants" / "held.png")
    return root


@pytest.mark.parametrize("settings", [{}, {"fold": 1}, {"leakage": "error"}, {"leakage": "near"}, {"shots": 4}])
@pytest.mark.parametrize("seed", range(3))
def test_copies_under_two_labels_lie_in_one_split_where_splits_are_drawn(crossed, settings, seed, caplog):
    of = places(folder(crossed, seed=seed, **settings))
    for number in range(0, 18, 3):
        assert len({of.get(f"ants/{number:02}.png"), of.get(f"bees/too{number:02}.png")} - {None}) <= 1
    assert "6 images have the same bytes and two labels" in caplog.text


def test_a_run_that_ended_by_the_earlier_default_has_the_same_images_and_the_same_hash(crossed):
    """The earlier default stopped where copies of two classes were drawn apart; elsewhere nothing may move."""

    def parted():
        of = places(folder(crossed, leakage="allow"))
        pairs = [(f"ants/{number:02}.png", f"bees/too{number:02}.png") for number in range(0, 18, 3)]
        return [other for one, other in pairs if other in of and of[one] != of[other]]

    while names := parted():  # a file less moves others
        (crossed / names[0]).unlink()
    data = folder(crossed)
    data.setup("fit")
    assert len(data.duplicates) >= 2  # some copies were drawn together by chance
    assert places(data) == places(folder(crossed, leakage="allow"))
    for name in ("image_folder", "table", "hugging_face"):
        conf = data_conf(name)
        assert conf["leakage"] == "together"
        assert without_later(conf)["leakage"] == "error"
        assert without_later(conf | {"leakage": "drop"})["leakage"] == "drop"


def test_train_leaves_out_what_given_val_and_test_have_and_val_what_test_has(given, caplog):
    data = folder(given)
    of = places(data)
    assert data.sizes == {"train": 16, "val": 13, "test": 15}
    for number in (2, 3, 4, 5):
        assert f"train/ants/{number:02}.png" not in of
    assert "val/ants/01.png" not in of
    assert of["test/ants/held.png"] == "test"
    assert "5 files are left out" in caplog.text
    assert "train/ants/02.png = val/bees/leak2.png (val)" in caplog.text


def test_every_file_of_every_group_is_recorded_with_its_class_and_where_the_run_has_it(given):
    data = folder(given)
    data.setup("fit")
    rows = {one.file: (one.group, one.label, one.split) for one in data.duplicates}
    assert len(rows) == 10
    for left, kept in (("train/ants/02.png", "val/bees/leak2.png"), ("train/ants/05.png", "test/bees/leak5.png")):
        assert rows[left][0] == rows[kept][0]
        assert rows[left][1:] == ("ants", "left out")
        assert rows[kept][1:] == ("bees", kept.split("/")[0])


def test_an_error_knows_all_groups_though_it_names_five(class_folders):
    root = class_folders({"ants": 10, "bees": 10}, below="all/train").parent
    shutil.copytree(root / "train", root / "test")
    data = folder(root, leakage="error")
    with pytest.raises(UserError, match=r"20 images lie in two splits.* and 15 more"):
        data.setup("fit")
    assert len({one.group for one in data.duplicates}) == 20
    assert len(data.duplicates) == 40
    with pytest.raises(UserError, match=r"class ants has too few images: 10 in train, 10 in test; that would be 0 to"):
        folder(root).setup("fit")


def test_of_each_image_one_file_stays_that_of_test_before_that_of_val_before_that_of_train(given, crossed):
    of = places(folder(given, leakage="drop"))
    assert "train/ants/02.png" not in of
    assert "val/bees/leak2.png" in of
    assert "val/ants/01.png" not in of
    shutil.copy(crossed / "ants" / "01.png", crossed / "ants" / "again.png")
    drawn = folder(crossed, leakage="drop")
    assert sum(drawn.sizes.values()) == 40
    contents = [one for split in drawn.sizes for one in drawn.contents(split)]
    assert len(contents) == len(set(contents))


@pytest.mark.parametrize("leakage", ["together", "drop", "allow"])
def test_files_with_two_labels_are_left_out_or_an_error_as_conflicting_labels_says(crossed, leakage, caplog):
    with pytest.raises(
        UserError, match=r"6 images have the same bytes and two labels.*ants/00\.png \(ants\) = bees/too"
    ):
        folder(crossed, leakage=leakage, conflicting_labels="error").setup("fit")
    data = folder(crossed, leakage=leakage, conflicting_labels="drop")
    assert sum(data.sizes.values()) == 46 - 12
    assert not {name for name in places(data) if "too" in name}
    assert "all their files are left out" in caplog.text
    assert {one.split for one in data.duplicates} == {"left out"}


def test_a_class_whose_only_image_has_copies_keeps_it_in_train(class_folders):
    root = class_folders({"ants": 20, "bees": 20, "rare": 1})
    for number in range(3):
        shutil.copy(root / "rare" / "00.png", root / "rare" / f"copy{number}.png")
    shutil.copy(root / "rare" / "00.png", root / "bees" / "a.png")
    for seed in range(3):
        data = folder(root, seed=seed)
        assert np.bincount(data.splits["train"].label, minlength=3)[2] == 4
        assert places(data)["bees/a.png"] == "train"

"""Files of the same bytes: together where splits are drawn, named with their labels wherever they lie."""

import shutil

import pytest

from data_conf import split_settings
from folder_data import folder, places
from headstart.data.splits.class_division import divided
from headstart.data.splits.image_copies import Copies, together
from headstart.types import UserError
from table_data import rows_of, table, written


@pytest.fixture
def copied(class_folders):
    """Ten images a class, and a copy of every third one of ants beside it."""
    root = class_folders({"ants": 20, "bees": 20})
    for number in range(0, 20, 3):
        shutil.copy(root / "ants" / f"{number:02}.png", root / "ants" / f"copy{number:02}.png")
    return root


@pytest.mark.parametrize("settings", [{}, {"fold": 1}, {"fold": 3, "folds": 4}, {"shots": 3}])
@pytest.mark.parametrize("seed", range(4))
def test_copies_lie_in_one_split_where_splits_are_drawn(copied, settings, seed):
    of = places(folder(copied, seed=seed, **settings))
    for number in range(0, 20, 3):
        pair = {of.get(f"ants/{number:02}.png"), of.get(f"ants/copy{number:02}.png")} - {None}
        assert len(pair) <= 1


def test_the_test_with_copies_is_the_same_for_every_seed_and_each_image_is_val_in_one_fold(copied):
    assert len({tuple(sorted(folder(copied, seed=seed).names("test"))) for seed in range(4)}) == 1
    folds = [folder(copied, fold=fold) for fold in range(5)]
    vals = sorted(name for data in folds for name in data.names("val"))
    assert len(vals) == len(set(vals)) == 47 - folds[0].sizes["test"]


def test_where_copies_are_allowed_apart_and_where_none_are_parted_nothing_moves(class_folders, copied):
    apart = places(folder(copied, leakage="allow"))
    assert any(apart[f"ants/{n:02}.png"] != apart[f"ants/copy{n:02}.png"] for n in range(0, 20, 3))
    plain = class_folders({"ants": 20, "bees": 20}, below="plain")
    assert places(folder(plain)) == places(folder(plain, leakage="allow"))


def test_a_file_follows_the_first_of_its_copies_that_is_in_one_of_the_parts():
    copies = Copies({"a": "x", "d": "x", "c": "x", "e": "y", "b": "y"})
    assert together([["f", "d", "b"], ["a", "e", "c"]], copies) == [["f", "b", "e"], ["d", "a", "c"]]
    assert together([["f", "d"], ["c"]], copies) == [["f"], ["d", "c"]]
    given = {"train": [f"{number:02}" for number in range(20)]}
    assert divided("ants", given, split_settings(), copies=Copies({"zz": "x"})) == divided(
        "ants", given, split_settings()
    )


def test_the_same_bytes_under_two_labels_are_named_with_both(class_folders, caplog):
    root = class_folders({"ants": 20, "bees": 20}, below="all/train")
    for split in ("val", "test"):
        other = class_folders(below=f"other{split}", size=(9 + len(split), 8))
        shutil.copytree(other, root.parent / split)
    shutil.copy(root / "ants" / "03.png", root / "bees" / "same.png")
    folder(root.parent).setup("fit")
    assert "1 images have the same bytes and two labels" in caplog.text
    assert "train/ants/03.png (ants) = train/bees/same.png (bees)" in caplog.text


def test_a_link_of_another_class_is_the_same_image_under_two_labels(class_folders, caplog):
    root = class_folders({"ants": 20, "bees": 20})
    (root / "bees" / "03.png").unlink()
    (root / "bees" / "03.png").symlink_to(root / "ants" / "03.png")
    folder(root, leakage="allow").setup("fit")
    assert "ants/03.png (ants) = bees/03.png (bees)" in caplog.text


def test_a_pair_in_two_splits_under_two_labels_is_told_with_both(class_folders):
    root = class_folders(below="all/train")
    shutil.copytree(class_folders(below="draft", size=(9, 8)), root.parent / "test")
    shutil.copy(root / "ants" / "03.png", root.parent / "test" / "bees" / "same.png")
    with pytest.raises(UserError, match=r"train/ants/03\.png \(train, ants\) = test/bees/same\.png \(test, bees\)"):
        folder(root.parent, leakage="error").setup("fit")


def test_what_a_split_holds_twice_is_listed_by_name(copied, caplog):
    caplog.set_level("INFO")
    data = folder(copied)
    data.setup("fit")
    assert "repeated inside a split: " in caplog.text
    groups = {}
    for one in data.duplicates:
        groups.setdefault(one.group, set()).add(one.file)
    assert sorted(map(sorted, groups.values())) == [
        [f"ants/{number:02}.png", f"ants/copy{number:02}.png"] for number in range(0, 20, 3)
    ]


@pytest.mark.parametrize(
    "spelt", ["./ants/00.png", "ants/../ants/00.png", "{root}/ants/00.png", "link.png", "linked/00.png"]
)
def test_a_table_that_reaches_a_file_by_two_paths_names_both_with_their_labels(class_folders, spelt):
    root = class_folders()
    (root / "link.png").symlink_to("ants/00.png")
    (root / "linked").symlink_to("ants")
    spelt = spelt.format(root=root)
    rows = [row for row in rows_of(root) if row.startswith(("ants/", "bees/"))]
    file = written(root, [*rows, f"{spelt},bees"])
    twice = rf"row 21 lists {spelt}, which is ants/00\.png of row 1 once more \(as bees, and as ants before\)"
    message = f"1 of 21 do not: {twice}"
    with pytest.raises(UserError, match=message):
        table(file)

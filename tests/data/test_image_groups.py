"""Groups of images stay in one split, whatever is drawn, and each split has about its share of each class."""

import numpy as np
import pytest
from PIL import Image

from data_conf import split_settings
from folder_data import folder
from headstart.data.splits.image_copies import NO_COPIES, Copies
from headstart.data.splits.image_groups import (
    check_groups,
    cut_groups,
    divided_groups,
    group_counts,
    groups_by_pattern,
    with_copies,
)
from headstart.data.splits.multi_label_division import MultiLabelFiles
from headstart.types import UserError
from table_data import table, written


def patients(count=40, seed=0):
    """Images of so many patients: one to nine each, most of one class, some of both."""
    chance = np.random.default_rng(seed)
    found, groups = {"train": {"healthy": [], "ill": []}}, {}
    for patient in range(count):
        for number in range(int(chance.integers(1, 10))):
            name = f"patient{patient:03}/{number}.png"
            mostly, other = ("ill", "healthy") if patient % 3 == 0 else ("healthy", "ill")
            found["train"][other if chance.random() < 0.1 else mostly].append(name)
            groups[name] = f"patient{patient:03}"
    return found, groups


def parted(groups, splits):
    """The groups that lie in more than one split."""
    of = [{groups[name] for name in names} for names in splits.values()]
    return set().union(*(a & b for number, a in enumerate(of) for b in of[:number]))


def splits_of(parts):
    return {split: [name for part in parts for name in part[split]] for split in ("train", "val", "test")}


@pytest.mark.parametrize(
    "settings",
    [{}, {"fold": 2, "folds": 4}, {"shots": 5}, {"val_shots": 2}, {"fraction": 0.3}, {"shots": 3, "fold": 0}],
)
@pytest.mark.parametrize("seed", range(3))
def test_no_group_lies_in_two_splits(settings, seed):
    found, groups = patients(seed=seed)
    splits = splits_of(divided_groups(found, groups, split_settings(**settings, seed=seed)))
    assert not parted(groups, splits)
    assert all(splits.values())


@pytest.mark.parametrize("seed", range(5))
def test_each_split_has_about_its_share_of_the_images_of_each_class(seed):
    found, groups = patients(200)
    parts = divided_groups(found, groups, split_settings(seed=seed))
    for one, of in zip(parts, found["train"].values(), strict=True):
        for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            assert abs(len(one[split]) / len(of) - share) < 0.03


def test_the_test_is_the_same_for_every_seed_and_val_is_not():
    found, groups = patients()
    drawn = [splits_of(divided_groups(found, groups, split_settings(seed=seed))) for seed in range(4)]
    assert len({tuple(sorted(one["test"])) for one in drawn}) == 1
    assert len({tuple(sorted(one["val"])) for one in drawn}) == 4


def test_of_all_folds_each_image_is_val_once_with_its_group():
    found, groups = patients()
    drawn = [splits_of(divided_groups(found, groups, split_settings(fold=fold, seed=1))) for fold in range(5)]
    vals = [name for one in drawn for name in one["val"]]
    assert len(vals) == len(set(vals)) == len(groups) - len(drawn[0]["test"])
    assert not parted(groups, {str(fold): one["val"] for fold, one in enumerate(drawn)})


def test_five_shots_of_a_seed_are_among_its_ten_and_two_val_shots_among_its_three():
    found, groups = patients(60)

    def drawn(**settings):
        return splits_of(divided_groups(found, groups, split_settings(**settings, seed=3)))

    assert set(drawn(shots=5)["train"]) < set(drawn(shots=10)["train"]) < set(drawn()["train"])
    assert set(drawn(val_shots=2)["val"]) < set(drawn(val_shots=3)["val"]) < set(drawn()["val"])
    assert drawn(shots=5)["val"] == drawn()["val"]


def test_a_class_of_three_groups_has_one_in_each_split_however_large_they_are():
    for sizes in ((1, 1, 1), (20, 1, 1), (50, 30, 9), (2, 40, 40)):
        names = {f"{group}/{number}": str(group) for group, size in enumerate(sizes) for number in range(size)}
        many = {f"x{number}": f"x{number}" for number in range(100)}
        found = {"train": {"many": list(many), "rare": list(names)}}
        (_, rare) = divided_groups(found, names | many, split_settings())
        assert all(rare.values()), sizes


def test_a_class_of_two_groups_is_in_two_splits_and_with_too_many_shots_an_error_that_counts_them(caplog):
    found = {"train": {"many": [f"x{n}" for n in range(50)], "rare": [f"{n % 2}/{n}" for n in range(30)]}}
    groups = {name: name.split("/")[0] for of in found["train"].values() for name in of}
    (_, rare) = divided_groups(found, groups, split_settings())
    assert sorted(map(len, rare.values())) == [0, 15, 15]
    assert len(rare["train"]) == 15
    assert "rare (30)" in caplog.text
    with pytest.raises(UserError, match=r"class rare has too few images: 30 in train, in 2 groups that must each stay"):
        divided_groups(found, groups, split_settings(shots=16))


def test_given_val_and_test_images_stay_and_half_of_a_given_val_is_test_by_groups():
    found, groups = patients(90)
    names = sorted(groups)
    apart = {
        split: {
            label: [name for name in of if int(groups[name][-3:]) // 30 == at] for label, of in found["train"].items()
        }
        for at, split in enumerate(("train", "val", "test"))
    }
    given = splits_of(divided_groups(apart, groups, split_settings()))
    assert given["test"] == sorted(given["test"], key=names.index) or set(given["test"]) <= set(names)
    assert all(set(given[split]) == {one for of in apart[split].values() for one in of} for split in apart)
    halves = splits_of(divided_groups({one: apart[one] for one in ("train", "val")}, groups, split_settings()))
    assert not parted(groups, halves)
    of_val = sum(map(len, apart["val"].values()))
    assert abs(len(halves["test"]) - of_val / 2) <= 5
    assert len(halves["test"]) + len(halves["val"]) == of_val


def test_images_with_several_labels_stay_with_their_group():
    chance = np.random.default_rng(0)
    groups = {f"{number:03}.png": f"burst{number // 4}" for number in range(200)}
    labels = {name: frozenset(np.flatnonzero(chance.random(3) < (0.5, 0.3, 0.2)).tolist()) for name in groups}
    several = MultiLabelFiles(("a", "b", "c"), {"train": labels})
    for fold in (None, 0, 1):
        splits = several.divided(list(groups), split_settings(fold=fold), groups=groups)
        assert not parted(groups, splits)
        assert abs(len(splits["test"]) - 40) <= 4


def test_groups_that_share_an_image_are_one_group():
    groups = {"a": "3", "b": "1", "c": "2", "d": "2", "e": "4"}
    assert with_copies(groups, Copies({"a": "x", "c": "x", "d": "y", "b": "y"})) == dict.fromkeys("abcd", "1") | {
        "e": "4"
    }
    assert with_copies(groups, NO_COPIES) == groups


def test_cut_groups_draws_by_the_key_alone():
    _, groups = patients()
    label = dict.fromkeys(groups, (0,))

    def drawn(names, key):
        return [sorted(part) for part in cut_groups(names, (0.5, 0.5), key, (1, 1), label=label, groups=groups)]

    assert drawn(list(groups), "a") == drawn(list(reversed(groups)), "a") != drawn(list(groups), "b")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"group_pattern must be a regular expression, got '\('"),
        (r"patient\d+", "must have a group in brackets"),
        (r"(patient[0-4])_", r"finds no group in 1 of 2: b/patient5_1\.png; an image of its own may be a group"),
    ],
)
def test_a_pattern_that_finds_no_group_is_refused(pattern, message):
    with pytest.raises(UserError, match=message):
        groups_by_pattern(["a/patient4_1.png", "b/patient5_1.png"], pattern)


def test_a_group_in_two_given_splits_is_named_and_allowed_only_on_demand(caplog):
    splits, groups = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}, {"a": "p1", "b": "p2", "c": "p1", "d": "p3"}
    for leakage in ("error", "near"):
        with pytest.raises(UserError, match=r"^1 groups .*: p1 \(1 in train, 1 in val\); .*target\.leakage=allow"):
            check_groups(splits, groups, leakage=leakage)
    check_groups(splits, groups, leakage="allow")
    assert "p1 (1 in train, 1 in val)" in caplog.text
    assert group_counts(splits, groups) == {"train": 2, "val": 1, "test": 1}


@pytest.fixture
def bursts(tmp_path):
    """Two classes of six bursts of four images each, each image of a colour of its own."""
    for label, name in enumerate(("ants", "bees")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(24):
            image = Image.new("RGB", (8, 8), (10 * number, 50 * label, 0))
            image.save(tmp_path / "photos" / name / f"{name}{number // 4}_{number}.png")
    return tmp_path / "photos"


def bursts_of(data):
    return {split: {name.rpartition("_")[0] for name in data.names(split)} for split in data.sizes}


def test_a_folder_keeps_what_its_pattern_groups_and_the_summary_counts_it(bursts, caplog):
    caplog.set_level("INFO")
    data = folder(bursts, group_pattern=r"(\w+)_\d+\.png")
    found = bursts_of(data)
    assert not found["train"] & found["val"]
    assert not (found["train"] | found["val"]) & found["test"]
    assert {split: len(of) for split, of in found.items()} == {"train": 8, "val": 2, "test": 2}
    assert "images  groups  ants  bees\ntrain      32       8    16    16\n" in caplog.text
    plain = bursts_of(folder(bursts))
    assert plain["train"] & plain["val"]  # else there would be nothing to see


def test_a_table_keeps_what_its_column_groups_and_an_empty_cell_is_a_fault(bursts):
    rows = [
        f"{file.relative_to(bursts)},{file.parent.name},{file.stem.partition('_')[0]}"
        for file in sorted(bursts.rglob("*.png"))
    ]
    file = written(bursts, rows, head="path,label,burst")
    by_column = table(file, group_column="burst")
    by_pattern = table(file, group_pattern=r"/(\w+)_")
    assert bursts_of(by_column) == bursts_of(by_pattern)
    assert all(not (bursts_of(by_column)["train"] & bursts_of(by_column)[split]) for split in ("val", "test"))
    with pytest.raises(UserError, match="group_column and group_pattern both say"):
        table(file, group_column="burst", group_pattern="(a)")
    file = written(bursts, [rows[0].rpartition(",")[0] + ",", *rows[1:]], head="path,label,burst")
    with pytest.raises(UserError, match="1 of 48 do not: row 1 has no group"):
        table(file, group_column="burst")


def test_given_splits_that_part_a_group_are_an_error_that_names_it(bursts):
    rows = [
        f"{file.relative_to(bursts)},{file.parent.name},{file.stem.partition('_')[0]},{split}"
        for file in sorted(bursts.rglob("*.png"))
        for split in [("train", "train", "val", "test")[int(file.stem.partition("_")[2]) % 4]]
    ]
    data = table(written(bursts, rows, head="path,label,burst,split"), group_column="burst", split_column="split")
    with pytest.raises(UserError, match=r"^12 groups .*: ants0 \(2 in train, 1 in val, 1 in test\)"):
        data.setup("fit")

"""Splits of images with numbers: each has low and high ones, and settings of classes are refused."""

import numpy as np
import pytest

from headstart.data.splits.number_division import NumberFiles, in_quantiles, quantile_bins
from headstart.types import UserError
from table_data import table, written

SETTINGS = {"shots": None, "val_shots": None, "fraction": None, "val_share": 0.2, "test_share": 0.2, "fold": None,
            "folds": 5, "seed": 0}  # fmt: skip


def files(images=200):
    values = np.random.default_rng(0).lognormal(0, 1, images)
    return NumberFiles(("price",), {"train": {f"{n:03}.png": (float(value),) for n, value in enumerate(values)}})


def test_quantiles_hold_equally_many_numbers_and_equal_ones_lie_in_one():
    assert np.bincount(quantile_bins(np.arange(100, dtype=np.float32))).tolist() == [10] * 10
    assert set(quantile_bins(np.array([1.0] * 50 + [2.0] * 50, np.float32)).tolist()) == {0, 1}
    assert quantile_bins(np.array([3.0, 1.0], np.float32)).tolist() == [0, 0]
    assert in_quantiles(np.zeros((4, 2), np.float32)).shape == (4, 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_each_split_has_its_share_of_every_tenth_of_the_numbers(seed):
    listed = files()
    names = [name for of_split in listed.labels.values() for name in of_split]
    splits = listed.divided(names, {**SETTINGS, "seed": seed})
    bins = dict(zip(names, quantile_bins(listed.rows(names)[:, 0]), strict=True))
    counts = {split: np.bincount([bins[name] for name in part], minlength=10) for split, part in splits.items()}
    assert {split: count.tolist() for split, count in counts.items() if split != "train"} == {
        "val": [4] * 10, "test": [4] * 10,
    }  # fmt: skip
    assert sorted(name for part in splits.values() for name in part) == sorted(names)


def test_the_test_images_are_the_same_for_every_seed_and_a_fraction_is_among_a_larger_one():
    listed = files()
    names = list(listed.labels["train"])
    of = {
        (seed, share): listed.divided(names, {**SETTINGS, "seed": seed, "fraction": share})
        for seed in (0, 1)
        for share in (0.1, 0.5)
    }
    assert of[0, 0.1]["test"] == of[1, 0.5]["test"]
    assert set(of[0, 0.1]["train"]) < set(of[0, 0.5]["train"])
    assert (len(of[0, 0.1]["train"]), len(of[0, 0.5]["train"])) == (12, 60)


def test_folds_and_val_shots_0():
    listed = files(50)
    names = list(listed.labels["train"])
    parts = [listed.divided(names, {**SETTINGS, "fold": fold})["val"] for fold in range(5)]
    assert len({name for part in parts for name in part}) == sum(map(len, parts)) == 40
    assert listed.divided(names, {**SETTINGS, "val_shots": 0})["val"] == []


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (["a.png,4"], {"shots": 5}, "shots=5 counts images of each class, and the targets are numbers .age.; try frac"),
        (["a.png,old"], {}, "row 1 has 'old' for age, where a number is needed"),
        (["a.png,1e39"], {}, "row 1 has '1e39' for age, where a number of at most 1e\\+18 is needed"),
        (["a.png,-3e38"], {}, "row 1 has '-3e38' for age, where a number of at most 1e\\+18 is needed"),
        (["a.png,"], {}, "has '' for age"),
        (["a.png,inf"], {}, "has 'inf' for age"),
        (["a.png,4"], {"label_separator": ";"}, "target_column is of numbers, label_separator of classes"),
        (["a.png,4"], {"sampler": "balanced"}, "draws classes equally often, and the targets are numbers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_message(tmp_path, rows, settings, message):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=message):
        table(written(tmp_path, rows, head="path,age"), target_column="age", **settings).check_trainable()

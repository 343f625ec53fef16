"""Handwritten digits are divided fairly, and the same way each time."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from headstart.data.datasets.digits import LARGEST_SHOTS, handwritten
from headstart.types import Pixels, UserError

EXTRA = np.bincount(load_digits().target) - 174  # images of each class beyond those of the rarest


def test_classes_are_the_ten_digits(digits):
    assert digits().class_names == tuple("0123456789")
    assert digits().num_classes == 10


@pytest.mark.parametrize("shots", [1, 5, 10, LARGEST_SHOTS])
def test_the_splits_are_stratified_and_their_sizes_known(digits, shots):
    data = digits(shots)
    assert data.sizes == {"train": 10 * shots, "val": 1797 - 720 - 10 * shots, "test": 720}
    of_class = np.bincount(load_digits().target)
    for name, counts in (("train", [shots] * 10), ("val", of_class - 72 - shots), ("test", [72] * 10)):
        assert np.bincount(data.splits[name].label).tolist() == list(counts)


def test_null_shots_are_all_that_val_and_test_leave(digits):
    data = digits(None)
    assert data.sizes == {"train": 1797 - 500 - 720, "val": 500, "test": 720}
    assert np.bincount(data.splits["train"].label).tolist() == [
        count - 50 - 72 for count in np.bincount(load_digits().target)
    ]


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("shots", [5, LARGEST_SHOTS, None])
def test_every_image_lies_in_one_split_and_once(digits, hashes, seed, shots):
    data = digits(shots, seed=seed)
    contents = [one for name in ("train", "val", "test") for one in hashes(data.splits[name].image)]
    assert len(contents) == len(set(contents)) == 1797


def test_ten_shots_contain_the_five_of_the_same_seed(digits, hashes):
    five, ten, every = (set(hashes(digits(shots, seed=3).splits["train"].image)) for shots in (5, 10, None))
    assert five < ten < every


def test_val_differs_by_seed_and_test_is_the_same_for_every_number_of_shots_and_every_seed(digits):
    few, many, other = digits(5), digits(LARGEST_SHOTS), digits(5, seed=1)
    assert not np.array_equal(few.splits["val"].image, other.splits["val"].image)
    for data in (many, other):
        assert np.array_equal(few.splits["test"].image, data.splits["test"].image)
        assert np.array_equal(few.splits["test"].label, data.splits["test"].label)


def test_two_val_shots_are_among_five_and_the_same_for_every_number_of_shots(digits, hashes):
    def val(*given):
        return set(hashes(digits(*given, seed=3).splits["val"].image))

    assert digits(5, 2).sizes == {"train": 50, "val": 20, "test": 720}
    assert np.bincount(digits(5, 2).splits["val"].label).tolist() == [2] * 10
    assert val(5, 2) < val(5, 5) < val(5, None)
    assert val(5, 2) == val(LARGEST_SHOTS, 2) == val(None, 2)
    assert not val(5, 0)


def test_val_shots_leave_training_and_test_as_they_are(digits):
    for shots in (5, None):
        few, every = digits(shots, 2), digits(shots)
        for split in ("train", "test"):
            assert np.array_equal(few.splits[split].image, every.splits[split].image)


@pytest.mark.parametrize(("shots", "most"), [(5, 97), (LARGEST_SHOTS, 50), (None, 50)])
def test_as_many_val_shots_as_the_rarest_digit_has_left(digits, shots, most):
    assert digits(shots, most).sizes["val"] == 10 * most
    with pytest.raises(UserError, match=rf"between 0 and {most} images .* got {most + 1}; try val_shots={most}"):
        digits(shots, most + 1)


@pytest.mark.parametrize("folds", [2, 5])
def test_the_vals_of_all_folds_are_disjoint_and_all_that_is_not_for_the_test(digits, hashes, folds):
    every = [digits(None, fold=fold, folds=folds, seed=1) for fold in range(folds)]
    vals = [one for data in every for one in hashes(data.splits["val"].image)]
    assert len(vals) == len(set(vals)) == 1797 - 720
    for data in every:
        assert set(hashes(data.splits["train"].image)) == set(vals) - set(hashes(data.splits["val"].image))
        assert np.array_equal(data.splits["test"].image, digits(seed=2).splits["test"].image)
        assert set(np.bincount(data.splits["val"].label) * folds - [102 + n for n in EXTRA]) <= set(
            range(-folds, folds)
        )
    few = digits(5, fold=0, folds=folds, seed=1)
    assert np.array_equal(few.splits["val"].image, every[0].splits["val"].image)
    assert set(hashes(few.splits["train"].image)) < set(hashes(every[0].splits["train"].image))


def test_more_shots_than_two_folds_leave_are_an_error(digits):
    with pytest.raises(UserError, match=r"shots=52 images a class are more than folds=2 leave.* 51; try shots=51"):
        _ = digits(52, fold=0, folds=2).splits


def test_another_seed_chooses_other_shots(digits, hashes):
    chosen = [set(hashes(digits(5, seed=seed).splits["train"].image)) for seed in range(4)]
    assert all(len(a & b) < 20 for i, a in enumerate(chosen) for b in chosen[:i])  # of 50


def test_an_enlarged_digit_is_the_small_one_smoothed():
    image, label = handwritten()
    small = load_digits()
    assert image.shape == (1797, 32, 32)
    assert image.dtype == np.uint8
    assert label.tolist() == small.target.tolist()
    blocks = image.reshape(1797, 8, 4, 8, 4).mean((2, 4)) / 255  # each small pixel is a block of 4x4
    assert np.corrcoef(blocks.ravel(), small.images.ravel())[0, 1] > 0.98
    assert image.mean() / 255 == pytest.approx(small.images.mean() / 16, rel=0.05)


def test_the_images_come_as_the_backbone_asks(digits):
    data = digits(pixels=Pixels(size=64, channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (32, 3, 64, 64)


@pytest.mark.parametrize("shots", [LARGEST_SHOTS + 1, 178, 0])
def test_an_impossible_number_of_shots_names_the_largest(digits, shots):
    with pytest.raises(UserError, match=rf"between 1 and 52 .* got {shots}; try shots=(52|1)$"):
        digits(shots)


def test_the_largest_number_of_shots_is_what_the_rarest_digit_has_left():
    assert np.bincount(load_digits().target).min() - 72 - 50 == LARGEST_SHOTS

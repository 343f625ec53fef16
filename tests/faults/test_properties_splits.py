"""Splits and folds are disjoint, complete, stratified and a function of the names and the seed, whatever the images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzed import thorough
from headstart.data.splits.class_division import divided, without_fold
from headstart.data.splits.stratification import stratified, stratified_order
from headstart.types import SPLITS, UserError

pytestmark = pytest.mark.faults

names = st.lists(st.text(max_size=8), unique=True, max_size=60)
shares = st.floats(0.01, 0.6)


@st.composite
def divisions(draw):
    """The arguments of `divided`; some of them ask for more images than there are."""
    every = draw(names)
    cuts = sorted(draw(st.integers(0, len(every))) for _ in range(2))
    given_val, given_test = draw(st.booleans()), draw(st.booleans())
    fold = draw(st.none() | st.integers(0, 4))
    few = draw(st.sampled_from(["all", "shots", "fraction"]))
    return {
        "train": every[: cuts[0]] if given_val or given_test else every,
        "val": every[cuts[0] : cuts[1]] if given_val else None,
        "test": every[cuts[1] :] if given_test else None,
        "val_share": draw(shares),
        "test_share": draw(shares),
        "shots": draw(st.integers(1, 9)) if few == "shots" else None,
        "fraction": draw(st.floats(0.01, 1)) if few == "fraction" else None,
        "seed": draw(st.integers(0, 2**32 - 1)),
        "val_shots": draw(st.none() | st.integers(0, 5)) if fold is None else None,
        "fold": fold,
        "folds": draw(st.integers(5, 7)),
    }


def split(arguments):
    try:
        given = {split: arguments[split] for split in SPLITS if arguments[split] is not None}
        return divided("a", given, {key: value for key, value in arguments.items() if key not in SPLITS})
    except UserError as error:
        assert "too few images" in str(error)  # noqa: PT017 - nothing else may be wrong with these arguments
        return None


@given(divisions())
@thorough(2000)
def test_the_parts_are_disjoint_are_of_the_images_and_leave_none_out_but_what_few_labels_leave(arguments):
    parts = split(arguments)
    there = [*arguments["train"], *(arguments["val"] or ()), *(arguments["test"] or ())]
    if parts is None:
        return
    dealt = [name for part in parts.values() for name in part]
    assert len(dealt) == len(set(dealt))
    assert set(dealt) <= set(there)
    assert len(parts["test"]) >= 1
    assert len(parts["train"]) == arguments["shots"] or arguments["shots"] is None
    assert len(parts["val"]) == arguments["val_shots"] or arguments["val_shots"] is None
    if arguments["shots"] is arguments["fraction"] is arguments["val_shots"] is None:
        assert set(dealt) == set(there)


@given(divisions(), st.randoms(use_true_random=False), st.integers(0, 2**32 - 1))
@thorough(2000)
def test_the_order_of_the_files_decides_nothing_and_the_seed_no_test_image(arguments, chance, seed):
    parts = split(arguments)

    def shuffled(listed):
        return None if listed is None else chance.sample(listed, len(listed))

    again = split(arguments | {split: shuffled(arguments[split]) for split in ("train", "val", "test")})
    assert again == parts
    other = split(arguments | {"seed": seed})
    assert (other is None) == (parts is None)
    assert parts is None or other["test"] == parts["test"]


@given(divisions(), st.integers(1, 5))
@thorough(1000)
def test_few_shots_of_a_seed_are_among_its_more_and_take_nothing_from_val_or_test(arguments, more):
    few = arguments | {"shots": arguments["shots"] or 1, "fraction": None}
    less, larger = split(few), split(few | {"shots": few["shots"] + more})
    if larger is not None:
        assert set(less["train"]) < set(larger["train"])
        assert (less["val"], less["test"]) == (larger["val"], larger["test"])


@given(divisions(), st.integers(2, 7))
@thorough(1000)
def test_the_folds_share_out_what_is_not_for_the_test(arguments, folds):
    of = arguments | {"shots": None, "fraction": None, "val_shots": None, "folds": folds}
    parts = [split(of | {"fold": fold}) for fold in range(folds)]
    if any(part is None for part in parts):
        return
    (test,) = {tuple(part["test"]) for part in parts}
    vals = [name for part in parts for name in part["val"]]
    assert len(vals) == len(set(vals))
    assert {*vals, *test} == {*of["train"], *(of["val"] or ()), *(of["test"] or ())}
    assert max(len(part["val"]) for part in parts) - min(len(part["val"]) for part in parts) <= 1
    for part in parts:
        assert {*part["train"], *part["val"]} == set(vals)


@given(names, st.integers(2, 9))
@thorough(500)
def test_any_list_is_left_and_fold_in_its_own_order(listed, folds):
    dealt = []
    for fold in range(folds):
        left, taken = without_fold(listed, fold, folds)
        dealt += taken
        assert [name for name in listed if name not in set(taken)] == left
    assert dealt == listed


@st.composite
def labelled(draw):
    named = draw(st.lists(st.text(max_size=5), unique=True, min_size=1, max_size=40))
    classes = draw(st.integers(1, 5))
    return named, draw(st.lists(st.lists(st.booleans(), min_size=classes, max_size=classes),
                                min_size=len(named), max_size=len(named)).map(np.array))  # fmt: skip


parts_of_one = st.lists(st.floats(0.05, 1), min_size=2, max_size=4).map(lambda sizes: [s / sum(sizes) for s in sizes])


@given(labelled(), parts_of_one, st.text(max_size=3), st.randoms(use_true_random=False))
@thorough(1000)
def test_stratified_parts_hold_each_image_once_whatever_the_order(images, shares, key, chance):
    named, label = images
    parts = stratified(named, label, shares, key)
    assert sorted(position for part in parts for position in part) == list(range(len(named)))
    order = chance.sample(range(len(named)), len(named))
    again = stratified([named[at] for at in order], label[order], shares, key)
    assert [{named[order[at]] for at in part} for part in again] == [{named[at] for at in part} for part in parts]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), parts_of_one, st.text(max_size=3))
@thorough(1000)
def test_of_one_label_an_image_no_part_has_a_whole_image_more_than_its_share_of_a_class(label, shares, key):
    parts = stratified([str(at) for at in range(len(label))], np.eye(5, dtype=bool)[label], shares, key)
    for number in range(5):
        have = np.array([sum(label[at] == number for at in part) for part in parts])
        above = have - np.array(shares) * label.count(number)
        assert above.max() < 1 + 1e-9
        assert above.min() > -(len(shares) - 1) - 1e-9


@given(labelled(), st.text(max_size=3))
@thorough(500)
def test_a_stratified_order_holds_each_position_once(images, key):
    named, label = images
    assert sorted(stratified_order(named, label, key)) == list(range(len(named)))

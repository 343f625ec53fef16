"""Images of a class are divided fairly, and the same way each time."""

import pytest

from data_conf import split_settings
from headstart.data.splits.class_division import checked_labels, divided, divided_classes, shuffled
from headstart.types import UserError


def parts(train=20, val=None, test=None, *, shots=None, seed=0, val_share=0.2, test_share=0.25, **labels):
    def files(split: str, count: int) -> list[str]:
        return [f"{split}/{number:02}.png" for number in range(count)]

    counts = {"train": train, "val": val, "test": test}
    given = {split: files(split, count) for split, count in counts.items() if count is not None}
    settings = split_settings(val_share=val_share, test_share=test_share, shots=shots, seed=seed, **labels)
    return divided("ants", given, settings)


def counts(**given) -> tuple[int, int, int]:
    return tuple(len(part) for part in parts(**given).values())


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"train": 20}, (11, 4, 5)),
        ({"train": 20, "val": 6}, (20, 3, 3)),
        ({"train": 20, "val": 7}, (20, 3, 4)),
        ({"train": 20, "test": 6}, (16, 4, 6)),
        ({"train": 20, "val": 6, "test": 1}, (20, 6, 1)),
        ({"train": 20, "shots": 3}, (3, 4, 5)),
        ({"train": 3}, (1, 1, 1)),
        ({"train": 1, "val": 2}, (1, 1, 1)),
        ({"train": 20, "fraction": 0.5}, (6, 4, 5)),
        ({"train": 20, "fraction": 1.0}, (11, 4, 5)),
        ({"train": 20, "fraction": 0.01}, (1, 4, 5)),
        ({"train": 20, "fold": 0, "folds": 3}, (10, 5, 5)),
        ({"train": 20, "val": 6, "fold": 0, "folds": 2}, (12, 11, 3)),
        ({"train": 20, "test": 6, "fold": 3, "folds": 4, "shots": 2}, (2, 5, 6)),
        ({"train": 20, "val_shots": 2}, (11, 2, 5)),
        ({"train": 20, "val_shots": 0}, (11, 0, 5)),
        ({"train": 20, "val": 7, "val_shots": 2, "shots": 5}, (5, 2, 4)),
        ({"train": 20, "val": 6, "test": 1, "val_shots": 6}, (20, 6, 1)),
    ],
)
def test_what_is_missing_is_taken_from_what_is_there(given, want):
    assert counts(**given) == want


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"test": 9}, {"val": 9, "test": 8}])
def test_every_image_lies_in_one_split_and_once(given):
    of_all = [name for part in parts(**given).values() for name in part]
    assert len(of_all) == len(set(of_all)) == 20 + sum(given.values())


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"test": 9}])
def test_the_test_is_the_same_for_every_seed_and_every_number_of_shots(given):
    tests = {tuple(parts(**given, seed=seed, shots=shots)["test"]) for seed in range(3) for shots in (1, 5, None)}
    assert len(tests) == 1


def test_val_is_the_same_for_every_number_of_shots_and_another_for_another_seed():
    vals = [{tuple(parts(seed=seed, shots=shots)["val"]) for shots in (1, 5, None)} for seed in (0, 1)]
    assert [len(val) for val in vals] == [1, 1]
    assert vals[0] != vals[1]


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"val": 9, "test": 8}])
def test_ten_shots_contain_the_five_of_the_same_seed(given):
    five, ten, every = (set(parts(**given, shots=shots, seed=3)["train"]) for shots in (5, 10, None))
    assert five < ten < every


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"val": 9, "test": 8}])
def test_a_tenth_of_a_seed_lies_in_its_fifth(given):
    tenth, fifth, every = (set(parts(100, **given, fraction=share, seed=3)["train"]) for share in (0.1, 0.2, 1.0))
    assert tenth < fifth < every
    assert every == set(parts(100, **given, seed=3)["train"])


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"val": 9, "test": 8}])
def test_two_val_shots_of_a_seed_are_among_its_five_whatever_is_trained_on(given):
    two, five, every = (parts(40, **given, val_shots=count, seed=3) for count in (2, 4, None))
    assert set(two["val"]) < set(five["val"]) <= set(every["val"])
    assert two["train"] == five["train"] == every["train"]  # what val leaves out is not trained on
    assert two["test"] == every["test"]
    assert parts(40, **given, val_shots=2, shots=1, seed=3)["val"] == two["val"]


def test_another_seed_chooses_other_val_shots_of_given_val_images():
    assert len({tuple(parts(val=9, test=8, val_shots=3, seed=seed)["val"]) for seed in range(4)}) == 4


@pytest.mark.parametrize("given", [{}, {"val": 9}, {"test": 9}, {"val": 9, "test": 8}])
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_the_vals_of_all_folds_are_disjoint_and_together_all_that_is_not_for_the_test(given, folds):
    every = [parts(**given, fold=fold, folds=folds, seed=1) for fold in range(folds)]
    assert len({tuple(one["test"]) for one in every}) == 1
    assert every[0]["test"] == parts(**given, seed=2)["test"]
    vals = [name for one in every for name in one["val"]]
    assert len(vals) == len(set(vals)) == 20 + sum(given.values()) - len(every[0]["test"])
    assert max(len(one["val"]) for one in every) - min(len(one["val"]) for one in every) <= 1
    assert all(sorted(one["train"] + one["val"]) == sorted(vals) for one in every)


def test_another_seed_deals_other_folds():
    assert parts(fold=0, seed=0)["val"] != parts(fold=0, seed=1)["val"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shots": 0}, "shots must be 1 at least.* got 0"),
        ({"fraction": 0.0}, "fraction must be above 0 and at most 1.* got 0.0"),
        ({"fraction": 1.5}, "fraction must be above 0 and at most 1.* got 1.5"),
        ({"fraction": 0.5, "shots": 5}, "got shots=5 and fraction=0.5; leave one of them null"),
        ({"fold": 5}, "between 0 and 4, as there are 5 folds.* got 5; try fold=4 or folds=6"),
        ({"fold": -1}, "between 0 and 4.* got -1"),
        ({"folds": 1}, "folds must be 2 at least, got 1"),
        ({"val_shots": -1}, "val_shots must be 0 at least.* got -1"),
        ({"val_shots": 0, "fold": 1}, "got fold=1 and val_shots=0; leave one of them null"),
    ],
)
def test_labels_out_of_range_are_an_error_with_the_range(given, message):
    with pytest.raises(UserError, match=message):
        checked_labels(**{"shots": None, "fraction": None, "fold": None, "folds": 5} | given)
    with pytest.raises(UserError, match=message):
        parts(**given)


def test_another_seed_chooses_other_shots():
    assert len({tuple(parts(val=9, shots=5, seed=seed)["train"]) for seed in range(4)}) == 4


def test_an_image_more_moves_no_other_one_in_the_order_of_chance():
    names = [f"{number}.png" for number in range(30)]
    assert [name for name in shuffled([*names, "new.png"], "seed 1") if name != "new.png"] == shuffled(names, "seed 1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"train": 2},
            r"ants has too few images: 2 in train; .* 0 for val, 1 for test, where 1, 1 and 0 are needed",
        ),
        ({"train": 20, "shots": 12}, r"20 in train; .* 11 to train on, .* where 12, 0 and 0 are needed.*fewer shots"),
        ({"train": 20, "val": 1}, r"20 in train, 1 in val; .* 0 for val, 1 for test"),
        ({"train": 4, "fold": 0, "folds": 5}, r"4 in train; .* 3 to train on, 0 for val, 1 for test.*fewer folds"),
        ({"train": 0, "val": 5}, r"5 in val; .* 0 to train on"),
        ({"train": 20, "val_shots": 5}, r"4 for val, .* where 1, 5 and 0 are needed.*fewer val_shots \(4 at most\)"),
    ],
)
def test_a_class_with_too_few_images_is_an_error_with_all_counts(given, message):
    with pytest.raises(UserError, match=message):
        parts(**given)


@pytest.mark.parametrize(("there", "want"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1))])
def test_of_one_or_two_images_of_a_class_train_has_the_first_and_test_the_second(there, want, caplog):
    few = [f"rare/{number}.png" for number in range(there)]
    listed = {"train": {"ants": [f"ants/{number}.png" for number in range(20)], "rare": few}}
    ants, rare = divided_classes(listed, split_settings())
    assert tuple(map(len, rare.values())) == want
    assert ants == divided("ants", {"train": listed["train"]["ants"]}, split_settings())  # others are as without it
    assert [record.args[:2] for record in caplog.records] == [
        (split, 1) for split, count in zip(("val", "test"), want[1:], strict=True) if not count
    ]
    assert all(f"rare ({there})" in record.getMessage() for record in caplog.records)

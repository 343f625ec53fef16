"""Classes are taken, put in another order, renamed and merged in every data set that finds its classes itself."""

import numpy as np
import pytest

from folder_data import folder
from headstart.data.splits.chosen_classes import chosen_classes
from headstart.data.splits.class_sets import joint_classes
from headstart.data.splits.multi_label_division import MultiLabelFiles
from headstart.evaluation.class_indices import class_indices
from headstart.types import UserError

OWN = ("Elephants", "cat", "dogs", "misc")


@pytest.mark.parametrize(
    ("classes", "want"),
    [
        (None, {"Elephants": ["Elephants"], "cat": ["cat"], "dogs": ["dogs"], "misc": ["misc"]}),
        (["dogs", "cat"], {"dogs": ["dogs"], "cat": ["cat"]}),
        ({"Elephants": "elephant"}, {"elephant": ["Elephants"], "cat": ["cat"], "dogs": ["dogs"], "misc": ["misc"]}),
        ({"cat": "pet", "dogs": "pet", "misc": None}, {"Elephants": ["Elephants"], "pet": ["cat", "dogs"]}),
        ({"Elephants": "cat"}, {"cat": ["Elephants", "cat"], "dogs": ["dogs"], "misc": ["misc"]}),
    ],
)
def test_a_list_takes_classes_in_its_order_and_a_mapping_renames_merges_and_leaves_out(classes, want):
    chosen = chosen_classes(classes, OWN)
    assert dict(zip(chosen.names, map(list, chosen.members), strict=True)) == want


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["elephants", "cat"], r"elephants is none of Elephants, cat, dogs, misc; did you mean Elephants\?"),
        ({"dog": "pet"}, r"dog is none of .*; did you mean dogs\?"),
        (["cat", "cat"], "each class once, got cat again"),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest_one(classes, said):
    with pytest.raises(UserError, match=said):
        chosen_classes(classes, OWN)


def test_names_that_yaml_reads_as_numbers_or_true_are_names():
    assert chosen_classes([1, True], ("1", "7", "true")).names == ("1", "true")
    assert chosen_classes({7: 1}, ("1", "7")).members == (("1", "7"),)


def test_a_folder_trains_on_the_classes_that_are_named_and_on_merged_ones_as_on_one(class_folders):
    root = class_folders({"ants": 10, "bees": 10, "wasps": 10})
    whole, two = folder(root), folder(root, classes=["wasps", "ants"])
    assert two.class_names == ("wasps", "ants")
    for split in whole.sizes:
        of_two = dict(zip(two.names(split), two.splits[split].label.tolist(), strict=True))
        of_whole = dict(zip(whole.names(split), whole.splits[split].label.tolist(), strict=True))
        assert of_two == {name: 1 - label // 2 for name, label in of_whole.items() if label != 1}
    merged = folder(root, classes={"bees": "stinging", "wasps": "stinging"}, shots=3)
    assert merged.class_names == ("ants", "stinging")
    assert np.bincount(merged.splits["train"].label).tolist() == [3, 3]
    assert {name.split("/")[0] for name in merged.names("test")} == {"ants", "bees", "wasps"}
    assert np.bincount(merged.splits["test"].label).tolist() == [2, 4]


def test_all_images_of_other_data_have_the_names_that_the_model_knows(class_folders):
    data = folder(class_folders({"Ameisen": 3, "bees": 2, "misc": 4}), classes={"Ameisen": "ants", "misc": None})
    whole, names = data.all_images(["train"])
    assert len(names) == 5
    known = ("bees", "ants")
    numbers = class_indices(data.class_names, known, lambda names: UserError(str(names)))
    assert [known[int(numbers[label])] for label in whole.label.tolist()] == [
        "ants" if name.startswith("Ameisen") else "bees" for name in names
    ]


def test_of_several_labels_an_image_keeps_those_that_are_taken():
    listed = MultiLabelFiles(OWN, {"train": {"a": frozenset({0, 1}), "b": frozenset({3}), "c": frozenset({1, 2})}})
    chosen = listed.chosen(chosen_classes({"cat": "pet", "dogs": "pet", "misc": None}, OWN))
    assert chosen.class_names == ("Elephants", "pet")
    assert chosen.rows(["a", "b", "c"]).tolist() == [[1, 1], [0, 0], [0, 1]]


def test_digits_and_printed_characters_keep_the_images_of_their_classes(digits, printed):
    whole, odd = digits(), digits(classes=[7, 1])
    assert odd.class_names == ("7", "1")
    for split in ("train", "val", "test"):
        stored, of = odd.splits[split], whole.splits[split]
        for number, digit in enumerate((7, 1)):
            assert (stored.image[stored.label == number] == of.image[of.label == digit]).all()
    even = digits(classes={name: "even" if int(name) % 2 == 0 else "odd" for name in "0123456789"}, shots=4)
    assert np.bincount(even.splits["train"].label).tolist() == [4, 4]
    assert np.bincount(even.splits["test"].label).tolist() == [360, 360]
    assert len(np.unique(np.concatenate([part.label for part in even.splits.values()]))) == 2
    letters = printed("letters", per_class=3, held_out=1)
    some = printed("letters", per_class=3, held_out=1, classes=["B", "A"])
    train = some.splits["train"]
    assert (train.image[train.label == 1] == letters.splits["train"].image[letters.splits["train"].label == 0]).all()
    both = printed("letters", per_class=4, held_out=1, classes={"B": "A"}).splits["train"]
    assert np.bincount(both.label).tolist() == [4] * 36


def test_domains_with_other_classes_are_told_both_ways_out():
    with pytest.raises(UserError, match=r"source\.classes=\[b,c\]' 'target\.classes=\[b,c\]'.*target\.classes=\{d: "):
        joint_classes(("a", "b", "c"), ("b", "c", "d"), "same")


@pytest.mark.parametrize("fold", [None, 1])
def test_a_fraction_of_the_digits_is_that_share_of_what_val_and_test_leave(digits, fold):
    every, tenth, fifth = (digits(shots=None, fraction=share, fold=fold) for share in (None, 0.1, 0.2))
    counts = [np.bincount(data.splits["train"].label) for data in (every, tenth, fifth)]
    assert counts[1].tolist() == [round(0.1 * count) for count in counts[0].tolist()]
    assert counts[2].tolist() == [round(0.2 * count) for count in counts[0].tolist()]
    contents = [set(data.contents("train")) for data in (tenth, fifth, every)]
    assert contents[0] < contents[1] < contents[2]
    assert tenth.contents("test") == every.contents("test")
    assert not contents[1] & set(fifth.contents("val"))


def test_a_fraction_of_the_digits_takes_the_place_of_their_shots_and_says_so(digits, caplog):
    caplog.set_level("INFO")
    assert digits(shots=5, fraction=0.2).contents("train") == digits(shots=None, fraction=0.2).contents("train")
    assert "fraction=0.2 says how many digits are for training, in place of shots=5" in caplog.text
    with pytest.raises(UserError, match=r"between 0 and 92 .*beside fraction=0\.2"):
        digits(fraction=0.2, val_shots=93)
    assert set(np.bincount(digits(fraction=0.2, val_shots=92).splits["val"].label)) == {92}


def test_a_fraction_of_the_printed_characters_is_the_first_of_each_class(printed):
    few, every = printed("digits", per_class=10, fraction=0.25), printed("digits", per_class=10)
    assert np.bincount(few.splits["train"].label).tolist() == [2] * 10
    assert set(few.contents("train")) < set(every.contents("train"))
    assert few.contents("val") == every.contents("val")

"""All images of a data set, to evaluate on: whatever splits it has or lacks."""

import numpy as np
import pytest
from PIL import Image

from folder_data import folder
from headstart.data.datasets.whole_dataset import Whole
from headstart.types import UserError
from table_data import rows_of, table, written


def names(data, splits=("train", "val", "test")):
    whole = Whole(data, splits=splits)
    assert set(whole.splits) == {"test"}
    label = [whole.class_names[one] for one in whole.splits["test"].label.tolist()]
    return dict(zip(whole.names("test"), label, strict=True))


def test_class_folders_alone_are_all_there_with_their_labels(class_folders):
    root = class_folders({"ants": 3, "bees": 1, "cats": 2})  # too few for all splits
    found = names(folder(root))
    assert found == {file.relative_to(root).as_posix(): file.parent.name for file in root.rglob("*.png")}
    with pytest.raises(UserError, match="too few images"):
        folder(root, shots=2).setup("fit")


@pytest.mark.parametrize("splits", [("test",), ("val", "test"), ("train", "test"), ("train", "val", "test")])
def test_all_splits_of_a_folder_are_there_whichever_it_has(class_folders, splits):
    for number, split in enumerate(splits):
        root = class_folders({"ants": 2 + number, "bees": 3}, below=f"all/{split}").parent
    found = names(folder(root))
    assert len(found) == sum(5 + number for number in range(len(splits)))
    assert {name.split("/")[0] for name in found} == set(splits)
    assert folder(root).given_splits == splits
    assert {name.split("/")[0] for name in names(folder(root), ("test",))} == {"test"}


def test_one_class_is_enough_and_splits_may_have_other_classes(class_folders):
    class_folders({"ants": 4}, below="all/train")
    root = class_folders({"wasps": 3}, below="all/test").parent
    assert sorted(set(names(folder(root)).values())) == ["ants", "wasps"]
    assert set(names(folder(class_folders({"ants": 4}, below="one"))).values()) == {"ants"}
    with pytest.raises(UserError, match="only one of them has ants, wasps"):
        folder(root).setup("fit")


def test_a_table_of_test_rows_alone_is_all_there_and_no_data_to_train_on(class_folders):
    root = class_folders()
    data = table(written(root, rows_of(root, lambda _: "test"), head="path,label,part"), split_column="part")
    assert len(names(data)) == 20
    with pytest.raises(
        UserError, match=r"photos\.csv must list images to train on, it has test alone; .*evaluate\.data"
    ):
        data.check_trainable()
    with pytest.raises(UserError, match="must list images to train on"):
        data.setup("fit")


def test_a_table_of_several_labels_is_all_there(class_folders):
    root = class_folders()
    rows = [f"{row},test" for row in rows_of(root)]
    file = written(root, [*rows[:-1], rows[-1].replace("bees,", "bees|ants,")], head="path,label,part")
    whole = Whole(table(file, label_separator="|", split_column="part"))
    assert whole.multi_label
    assert whole.splits["test"].label.sum(axis=0).tolist() == [11, 10]


def test_settings_that_choose_images_are_refused(class_folders):
    with pytest.raises(UserError, match=r"none are drawn by shots=2, fold=0; leave that null"):
        _ = Whole(folder(class_folders(), shots=2, fold=0)).splits


def test_images_are_those_of_their_names_and_have_the_same_contents(class_folders):
    data = folder(class_folders())
    whole = Whole(data)
    for batch in whole.plain_dataloader("test"):
        for image, position in zip(batch.image, batch.position.tolist(), strict=True):
            with Image.open(data.root / whole.names("test")[position]) as file:
                assert image[:, 0, 0].tolist() == list(np.asarray(file)[0, 0])
    of_splits = {n: c for s in data.sizes for n, c in zip(data.names(s), data.contents(s), strict=True)}
    assert dict(zip(whole.names("test"), whole.contents("test"), strict=True)) == of_splits


def test_data_that_are_drawn_or_in_memory_are_all_there(digits, printed):
    of = digits(shots=None)
    assert Whole(of).sizes == {"test": 1797}
    assert len(set(Whole(of).names("test"))) == 1797
    with pytest.raises(UserError, match="none are drawn by val_shots=2; leave that null"):
        _ = Whole(digits(val_shots=2)).splits
    letters = printed(per_class=3, held_out=2)
    assert Whole(letters).sizes == {"test": 7 * letters.num_classes}
    assert Whole(letters, splits=("val",)).sizes == {"test": 2 * letters.num_classes}
    with pytest.raises(UserError, match="got 'train'"):
        Whole(letters).plain_dataloader("train")

"""Images of a table with several labels are those of its rows, and are divided fairly."""

import numpy as np
import pytest
import torch
from PIL import Image

from data_conf import keywords, split_settings
from headstart.data.datasets.image_table import ImageTable
from headstart.data.splits.interleaved_classes import by_turns
from headstart.data.splits.multi_label_division import MultiLabelFiles, leading
from headstart.types import Pixels, UserError

RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
NAMES = ("ants", "bees", "cats")


def labels_of(number: int) -> list[str]:
    return [name for name, every in zip(NAMES, (2, 3, 5), strict=True) if number % every == 0]


@pytest.fixture
def photos(tmp_path):
    for number in range(60):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    return tmp_path


def table(root, head, rows, **changes) -> ImageTable:
    (root / "photos.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return ImageTable(
        **keywords("table") | {"table": str(root / "photos.csv"), "num_workers": 0} | changes, pixels=RGB, seed=0
    )


def separated(root, separator="|", **changes) -> ImageTable:
    rows = [f"{number:02}.png,{separator.join(labels_of(number))}" for number in range(60)]
    return table(root, "path,label", rows, **{"label_separator": separator} | changes)


def test_each_image_has_the_labels_of_its_row(photos):
    data = separated(photos, " ; ", label_separator=";")
    assert (data.class_names, data.num_classes, data.multi_label) == (NAMES, 3, True)
    assert sum(data.sizes.values()) == 60
    for split in data.sizes:
        for batch in data.plain_dataloader(split):
            assert (batch.label.dtype, batch.label.shape[1]) == (torch.float32, 3)
            for position, label in zip(batch.position.tolist(), batch.label, strict=True):
                number = int(data.names(split)[position][:2])
                assert label.tolist() == [float(name in labels_of(number)) for name in NAMES]
    assert data.train_dataloader().dataset.label.shape == (data.sizes["train"], 3)


def test_columns_of_0_and_1_say_the_same_in_their_own_order(photos):
    order = ("cats", "ants", "bees")
    rows = [
        ",".join([f"{number:02}.png", *(("1" if name in labels_of(number) else "0.0") for name in order)])
        for number in range(60)
    ]
    of_columns = table(photos, "path,cats,ants,bees", rows, label_columns=list(order))
    assert of_columns.class_names == order
    assert sum(of_columns.sizes.values()) == 60
    for split in of_columns.sizes:
        for name, label in zip(of_columns.names(split), of_columns.splits[split].label, strict=True):
            assert label.tolist() == [float(one in labels_of(int(name[:2]))) for one in order]


def test_what_is_missing_is_cut_off_with_its_share_of_every_label(photos):
    data = separated(photos)
    assert [abs(data.sizes[split] - want) <= 2 for split, want in (("train", 36), ("val", 12), ("test", 12))] == [
        True
    ] * 3
    for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        counts = data.splits[split].label.sum(axis=0)
        assert np.abs(counts - share * np.array([30, 20, 12])).max() <= 2


def test_the_test_is_the_same_for_every_seed_and_val_is_not(photos):
    several = separated(photos)._listed
    assert isinstance(several, MultiLabelFiles)
    files = several.files()["train"]
    parts = [several.divided(files, split_settings(seed=seed)) for seed in (0, 1)]
    assert parts[0]["test"] == parts[1]["test"]
    assert parts[0]["val"] != parts[1]["val"]
    five = [several.divided(files, split_settings(fold=fold)) for fold in range(5)]
    vals = sorted(name for one in five for name in one["val"])
    assert vals == sorted(set(files) - set(parts[0]["test"]))
    assert all(sorted(one["train"] + one["val"]) == vals for one in five)
    tenth, fifth, every = (
        set(several.divided(files, split_settings(fraction=share))["train"]) for share in (0.1, 0.2, 1.0)
    )
    assert tenth < fifth < every == set(parts[0]["train"])


def test_val_shots_are_so_many_val_images_of_each_class_at_least_and_nested(photos):
    whole, two, one, none = (separated(photos, val_shots=count) for count in (None, 2, 1, 0))
    for data, count in ((two, 2), (one, 1)):
        assert data.splits["val"].label.sum(axis=0).min() >= count
    assert set(one.names("val")) < set(two.names("val")) < set(whole.names("val"))
    assert none.sizes == {"train": whole.sizes["train"], "val": 0, "test": whole.sizes["test"]}
    assert sorted(two.names("train")) == sorted(whole.names("train"))
    with pytest.raises(UserError, match="val_shots=20 needs so many val images of each class"):
        _ = separated(photos, val_shots=20).splits


@pytest.mark.parametrize("shots", [1, 3, 6])
def test_shots_are_so_many_images_of_each_class_at_least_and_few_more(photos, shots):
    data = separated(photos, shots=shots)
    counts = data.splits["train"].label.sum(axis=0)
    assert counts.min() >= shots
    assert data.sizes["train"] <= 3 * shots
    fewer = separated(photos, shots=1)
    assert set(fewer.names("train")) <= set(data.names("train"))
    assert fewer.names("val") == data.names("val")


def test_given_splits_stay_and_images_without_a_label_are_images(photos):
    rows = [
        f"{number:02}.png,{'|'.join(labels_of(number))},{('train', 'valid', 'test')[min(number // 20, 2)]}"
        for number in range(60)
    ]
    data = table(photos, "path,label,split", rows, label_separator="|", split_column="split")
    assert data.sizes == {"train": 20, "val": 20, "test": 20}
    without = sum(not labels_of(number) for number in range(60))
    assert sum(int((split.label.sum(axis=1) == 0).sum()) for split in data.splits.values()) == without == 16


def test_the_summary_counts_each_class_and_each_image_once(photos, caplog):
    with caplog.at_level("INFO"):
        data = separated(photos)
        counts = data.splits["train"].label.sum(axis=0).astype(int).tolist()
    line = next(line.split() for line in caplog.text.splitlines() if line.startswith("train"))
    assert line == ["train", *map(str, [data.sizes["train"], *counts])]


def test_a_class_that_val_lacks_is_a_warning_and_one_that_train_lacks_an_error(photos, caplog):
    def rows(rare):
        labels = ["ants", "bees"] * 2
        splits = ["train", "train", "val", "test"]
        return [f"{n:02}.png,{labels[n]}{'|cats' if n == rare else ''},{splits[n]}" for n in range(4)]

    given = {"label_separator": "|", "split_column": "split"}
    _ = table(photos, "path,label,split", rows(0), **given).splits
    assert "val has no image of bees, cats: its figures are means over the others" in caplog.text
    with pytest.raises(UserError, match=r"train of .* must have an image of each class, it has none of cats"):
        table(photos, "path,label,split", rows(3), **given).setup("fit")


@pytest.mark.parametrize(
    ("head", "rows", "given", "message"),
    [
        ("path,a,b", ["00.png,1,2"], {"label_columns": ["a", "b"]}, "row 1 has '2' for b, which is neither 0 nor 1"),
        ("path,a,b", ["00.png,1,"], {"label_columns": ["a", "b"]}, "row 1 has '' for b, which is neither 0 nor 1"),
        ("path,a,b", ["00.png,1,0"], {"label_columns": ["a", "c"]}, "got path, a, b without c"),
        ("path,a,b", [], {"label_columns": ["a", "a"]}, "name each column once, got a more than once"),
        ("path,label", ["00.png,a"], {"label_separator": "|"}, "two classes are needed at least, got one .*, a, in"),
        ("path,label", ["00.png,"], {"label_separator": "|"}, "two classes are needed at least, got none"),
        ("path,label", [], {"label_separator": ""}, "what stands between two labels"),
        ("path,label", [], {"label_separator": "|", "label_columns": ["a", "b"]}, "both say which labels .*leave one"),
    ],
)
def test_what_no_labels_can_be_read_of_is_an_error(photos, head, rows, given, message):
    with pytest.raises(UserError, match=message):
        table(photos, head, rows, **given).setup("fit")


def test_more_shots_than_a_class_has_are_an_error_with_its_count(photos):
    with pytest.raises(
        UserError, match=r"shots=10 needs so many training images of each class: cats has 8; take fewer"
    ):
        _ = separated(photos, shots=10).splits


def test_an_image_counts_for_its_rarest_class_and_classes_take_turns():
    label = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1]], np.float32)
    assert leading(label).tolist() == [1, 0, 0, 2, 1]
    assert by_turns(label).tolist() == [1, 0, 3, 2, 4]

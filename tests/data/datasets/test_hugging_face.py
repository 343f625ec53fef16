"""Images of a Hugging Face data set are those of its rows."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_conf import keywords
from headstart.data.datasets.image_folder import ImageFolder
from headstart.data.hugging_face.datasets_library import chosen_splits
from headstart.data.hugging_face.image_columns import classes_of
from headstart.types import UserError
from hugging_face_cases import NAMES, RGB, datasets, hugging_face, rows, stored

datasets.disable_progress_bars()


CONF = Path(__file__).parents[3] / "conf" / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", str(tmp_path / "cache"))


def image_folder(root) -> ImageFolder:
    return ImageFolder(**keywords("image_folder") | {"root": str(root), "num_workers": 0}, pixels=RGB, seed=0)


def pixels_by_label(data, split):
    of = data.splits[split]
    image = of.at(np.arange(len(of.label)))
    return sorted((label, one.numpy().tobytes()) for label, one in zip(of.label.tolist(), image, strict=True))


def test_rows_are_decoded_as_the_files_of_the_same_bytes_are(tmp_path):
    """EXIF turns, CMYK, 16 bit and palettes too, and the feature cache finds the one by the other."""
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = BytesIO()
    Image.fromarray((np.arange(120, dtype=np.uint16) * 500).reshape(10, 12)).save(deep, "PNG")
    odd = [
        *((f"{n}.jpg", stored(0, n, "JPEG", exif=exif)) for n in range(3)),
        *((f"{n}.jpg", stored(0, n, "JPEG", "CMYK", size=(40, 30))) for n in range(3, 6)),
        *((f"{n}.png", stored(0, n, mode="P")) for n in range(6, 9)),
        ("9.png", deep.getvalue()),
    ]
    plain = [(f"{n}.png", stored(1, n)) for n in range(10)]
    for name, files in zip(NAMES, (odd, plain), strict=True):
        (tmp_path / "folder" / name).mkdir(parents=True)
        for file, content in files:
            (tmp_path / "folder" / name / file).write_bytes(content)
    held = {"image": [{"bytes": content, "path": None} for _, content in odd + plain], "label": [0] * 10 + [1] * 10}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    datasets.Dataset.from_dict(held, features=features).save_to_disk(tmp_path / "saved")
    ours, folder = hugging_face(tmp_path / "saved"), image_folder(tmp_path / "folder")
    everything = [
        sorted(pair for split in data.sizes for pair in pixels_by_label(data, split)) for data in (ours, folder)
    ]
    assert everything[0] == everything[1]
    contents = [{one for split in data.sizes for one in data.contents(split)} for data in (ours, folder)]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 20


def test_a_folder_of_parquet_a_file_of_it_and_one_of_save_to_disk_are_the_same(tmp_path, saved):
    (tmp_path / "parquet" / "data").mkdir(parents=True)
    rows().to_parquet(tmp_path / "parquet" / "data" / "train-00000-of-00001.parquet")
    one, *others = [
        hugging_face(path) for path in (saved, tmp_path / "parquet", next((tmp_path / "parquet").rglob("*.parquet")))
    ]
    for other in others:
        assert other.class_names == one.class_names == ("ants", "bees")
        for split in one.sizes:
            assert other.names(split) == one.names(split)
            assert other.contents(split) == one.contents(split)


def test_an_arrow_file_and_a_folder_of_image_files_are_read(tmp_path, saved, class_folders):
    arrow = next(saved.glob("*.arrow"))
    assert hugging_face(arrow).contents("test") == hugging_face(saved).contents("test")
    root = class_folders()
    assert {one for split in ("train", "val", "test") for one in hugging_face(root).contents(split)} == {
        one for split in ("train", "val", "test") for one in image_folder(root).contents(split)
    }


def test_a_name_is_the_row_that_it_says(saved):
    data = hugging_face(saved)
    held = datasets.load_from_disk(str(saved)).cast_column("image", datasets.Image(decode=False))
    for split in data.sizes:
        numbers = [int(name.removeprefix("train/")) for name in data.names(split)]
        assert data.splits[split].label.tolist() == [held[number]["label"] for number in numbers]
        assert [data.storage.read(name) for name in data.names(split)] == [
            held[number]["image"]["bytes"] for number in numbers
        ]


def test_validation_is_val_and_a_test_without_labels_counts_as_missing(tmp_path):
    unlabelled = rows(4, first=200).map(lambda _: {"label": -1}, load_from_cache_file=False)
    held = datasets.DatasetDict(train=rows(6), validation=rows(4, first=100), test=unlabelled)
    held.save_to_disk(tmp_path / "three")
    data = hugging_face(tmp_path / "three")
    assert data.sizes == {"train": 12, "val": 4, "test": 4}  # half of val each, class by class
    assert {name.split("/")[0] for name in data.names("test")} == {"val"}
    with pytest.raises(
        UserError, match=r"each row of .* must have a label, 8 of 8 in test have none: rows 0, 1, 2, 3, 4, \.\.\."
    ):
        hugging_face(tmp_path / "three", test_split="test")


def test_slices_of_splits_are_taken_as_load_dataset_takes_them(tmp_path):
    (tmp_path / "parquet").mkdir()
    mixed = rows().select([n // 2 + 10 * (n % 2) for n in range(20)])
    mixed.to_parquet(tmp_path / "parquet" / "train.parquet")
    data = hugging_face(tmp_path / "parquet", train_split="train[:60%]", val_split="train[60%:]")
    assert data.sizes == {"train": 12, "val": 4, "test": 4}
    with pytest.raises(UserError, match=r"val_split must be of train, got 'trian\[60%:\]'; did you mean train\?"):
        hugging_face(tmp_path / "parquet", val_split="trian[60%:]")
    overlapping = {"train_split": "train[:60%]", "val_split": "train[50%:]"}
    with pytest.raises(UserError, match="2 images lie in two splits"):
        _ = hugging_face(tmp_path / "parquet", **overlapping, leakage="error").splits
    assert hugging_face(tmp_path / "parquet", **overlapping).sizes == {"train": 10, "val": 6, "test": 4}


@pytest.mark.parametrize(
    ("there", "wanted", "want"),
    [
        (["train", "valid", "test"], {}, {"train": "train", "val": "valid", "test": "test"}),
        (["train", "test"], {}, {"train": "train", "test": "test"}),
        (["full"], {}, {"train": "full"}),
        (["a", "b"], {"train": "a", "val": "b"}, {"train": "a", "val": "b"}),
        (["train", "test"], {"val": "test"}, {"train": "train", "val": "test"}),  # one split is not two
    ],
)
def test_splits_are_found_by_their_names(there, wanted, want):
    assert chosen_splits(there, dict.fromkeys(("train", "val", "test")) | wanted, "org/name") == want


def test_no_split_to_train_on_is_an_error_that_names_those_that_there_are():
    with pytest.raises(UserError, match="none of the splits of org/name is called train, it has a, b; set train_split"):
        chosen_splits(["a", "b"], dict.fromkeys(("train", "val", "test")), "org/name")


def test_words_become_classes_by_the_alphabet_and_numbers_by_their_size(tmp_path):
    rows(label=datasets.Value("string")).save_to_disk(tmp_path / "words")
    data = hugging_face(tmp_path / "words")
    assert data.class_names == ("ants", "bees")
    found = classes_of({"train": [10, 9, 10]}, names=None, asked=[], path="org/name")
    assert found == {"train": {"9": ["train/0000001"], "10": ["train/0000000", "train/0000002"]}}


def test_a_class_of_which_there_is_no_image_is_left_out():
    found = classes_of({"train": [2, 0]}, names=["a", "b", "c"], asked=[], path="org/name")
    assert list(found["train"]) == ["a", "c"]


def test_a_class_that_one_split_alone_has_is_named(tmp_path):
    held = {"train": rows().select(range(10)), "test": rows(2, first=10)}
    datasets.DatasetDict(held).save_to_disk(tmp_path / "two")
    with pytest.raises(
        UserError, match=r"train and test of .*two must have the same classes; .* has bees; .*classes=\[ants\]"
    ):
        hugging_face(tmp_path / "two").setup("fit")


def test_rows_of_a_group_stay_in_one_split_and_an_empty_one_is_named(tmp_path):
    patients = [f"patient{number // 4}" for number in range(20)] * 2
    word = datasets.Value("string")
    rows(20, extra={"patient": (word, patients)}).save_to_disk(tmp_path / "grouped")
    data = hugging_face(tmp_path / "grouped", group_column="patient")
    of = {split: {patients[int(name.split("/")[1])] for name in data.names(split)} for split in data.sizes}
    assert sum(map(len, of.values())) == len(set(patients)) == 5
    with pytest.raises(UserError, match=r"group_column must be a column of .*, got 'patients'.*did you mean patient\?"):
        hugging_face(tmp_path / "grouped", group_column="patients")
    rows(extra={"patient": (word, ["p"] * 19 + [None])}).save_to_disk(tmp_path / "lacking")
    with pytest.raises(UserError, match="must have a group, 1 of 20 in train have none: rows 19"):
        hugging_face(tmp_path / "lacking", group_column="patient")

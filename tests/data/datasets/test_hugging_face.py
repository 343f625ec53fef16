"""Images of a Hugging Face data set are those of its rows."""

import json
import pickle
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from composed import TINY
from data_conf import keywords
from headstart.cli import main
from headstart.data.datasets.hugging_face import HuggingFace
from headstart.data.datasets.image_folder import ImageFolder
from headstart.data.hugging_face.datasets_library import chosen_splits
from headstart.data.hugging_face.image_columns import classes_of, columns_of
from headstart.types import Pixels, UserError

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

CONF = Path(__file__).parents[3] / "conf" / "data"
RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
NAMES = ["ants", "bees"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", str(tmp_path / "cache"))


def hugging_face(path, **changes) -> HuggingFace:
    return HuggingFace(**keywords("hugging_face") | {"path": str(path), "num_workers": 0} | changes, pixels=RGB, seed=0)


def image_folder(root) -> ImageFolder:
    return ImageFolder(**keywords("image_folder") | {"root": str(root), "num_workers": 0}, pixels=RGB, seed=0)


def stored(label: int, number: int, kind="PNG", mode="RGB", size=(12, 10), **how) -> bytes:
    drawn = np.random.default_rng([label, number]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(drawn).convert(mode).save(file, kind, **how)
    return file.getvalue()


def rows(count=10, *, first=0, label=None, extra=None):
    """A data set of 2 x count images, one class after the other."""
    features = {"image": datasets.Image(), "label": label or datasets.ClassLabel(names=NAMES)}
    held = {
        "image": [{"bytes": stored(of, first + n), "path": None} for of in (0, 1) for n in range(count)],
        "label": [of if label is None else NAMES[of] for of in (0, 1) for _ in range(count)],
    }
    for name, (feature, values) in (extra or {}).items():
        features[name], held[name] = feature, values
    return datasets.Dataset.from_dict(held, features=datasets.Features(features))


@pytest.fixture
def saved(tmp_path):
    rows().save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


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
    with pytest.raises(UserError, match="lie in two splits"):
        _ = hugging_face(tmp_path / "parquet", train_split="train[:60%]", val_split="train[50%:]").splits


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
    with pytest.raises(UserError, match=r"train and test of .*two must have the same classes; .* has bees$"):
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


IMAGE, WORD = datasets.Image(), datasets.Value("string")
CLASS = datasets.ClassLabel(names=NAMES)


def test_columns_are_found_by_their_types():
    assert columns_of({"id": WORD, "pic": IMAGE, "kind": CLASS}, image=None, label=None, path="x") == ("pic", "kind")
    assert columns_of({"img": IMAGE, "text": WORD, "label": WORD}, image=None, label=None, path="x") == ("img", "label")


@pytest.mark.parametrize(
    ("features", "label", "message"),
    [
        (
            {"img": IMAGE, "fine": CLASS, "coarse": CLASS},
            None,
            r"2 columns could be the label: x has img \(Image\), fine \(ClassLabel\), .*target\.label_column",
        ),
        ({"img": WORD, "label": CLASS}, None, r"no column is the image by its type: x has img \(string\), label"),
        ({"img": IMAGE, "label": CLASS}, "lable", r"label_column must be a column of x, got 'lable'; .*mean label"),
        ({"img": IMAGE, "label": datasets.Value("float32")}, None, r"a word or a whole number, label of x is float32"),
    ],
)
def test_columns_that_do_not_fit_are_named_with_what_there_is(features, label, message):
    with pytest.raises(UserError, match=message):
        columns_of(features, image=None, label=label, path="x")


def test_rows_without_an_image_are_unreadable_and_can_be_left_out(tmp_path):
    held = rows()
    broken = held.cast_column("image", datasets.Image(decode=False)).to_dict()
    broken["image"][3] = None
    broken["image"][14] = {"bytes": b"no image", "path": None}
    datasets.Dataset.from_dict(broken, features=held.features).save_to_disk(tmp_path / "broken")
    with pytest.raises(
        UserError,
        match=r"2 of 20 files in .*broken are no images .*train/0000003 \(ValueError: the row holds no image\), ",
    ):
        _ = hugging_face(tmp_path / "broken").splits
    assert sum(hugging_face(tmp_path / "broken", unreadable="skip").sizes.values()) == 18


def test_a_split_is_pickled_as_the_names_of_its_files(tmp_path):
    rows(100).save_to_disk(tmp_path / "saved")
    small = hugging_face(tmp_path / "saved")
    images = sum(len(small.storage.read(name)) for split in small.sizes for name in small.names(split))
    assert len(pickle.dumps(small.storage)) < 5000 < images
    there = pickle.loads(pickle.dumps(small.splits["val"]))
    assert there.at(np.arange(3)).equal(small.splits["val"].at(np.arange(3)))


def test_workers_give_the_images_that_the_process_itself_gives(saved):
    batches = [
        [batch.image for batch in hugging_face(saved, num_workers=count, batch_size=4).val_dataloader()]
        for count in (0, 2)
    ]
    assert all(one.equal(other) for one, other in zip(*batches, strict=True))


def test_offline_says_so_at_once(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match=r"the data set org/name cannot be read .*HF_HUB_OFFLINE is set, .*unset it, or give a folder"
    ):
        hugging_face("org/name")


def test_no_network_is_told_as_such(monkeypatch):
    def gone(*_, **__):
        raise ConnectionError("Couldn't reach 'org/name' on the Hub (LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset_builder", gone)
    with pytest.raises(UserError, match=r"org/name cannot be read .*is there a network.*save_to_disk"):
        hugging_face("org/name")


def test_the_library_is_named_where_it_is_missing(monkeypatch, saved):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'headstart\[hugging_face\]'"):
        hugging_face(saved)


def test_a_revision_of_a_folder_is_refused(saved):
    with pytest.raises(UserError, match="revision is of a data set of the hub"):
        hugging_face(saved, revision="main")


def test_the_command_line_trains_on_it(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data@target=hugging_face", "target.path=saved", *TINY, "trainer.max_epochs=1", "mode=scratch"]) == 0
    result = json.loads(next(Path("outputs").rglob("result.json")).read_text())
    assert result["sizes"] == {"train": 12, "val": 4, "test": 4}
    assert result["class_names"] == NAMES


def test_a_bad_column_ends_the_command_with_one_line(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["data@target=hugging_face", "target.path=saved", "target.label_column=lable", *TINY, "mode=scratch"]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "did you mean label?" in said
    assert "Traceback" not in said


def test_val_shots_and_folds_of_a_data_set_divide_the_images_that_are_not_for_the_test(tmp_path):
    rows().save_to_disk(tmp_path / "saved")

    def made(**changes):
        return hugging_face(tmp_path / "saved", **changes)

    whole, one, none = made(), made(val_shots=1), made(val_shots=0)
    assert one.sizes == whole.sizes | {"val": 2}
    assert none.sizes == whole.sizes | {"val": 0}
    assert set(one.names("val")) < set(whole.names("val"))
    vals = [name for fold in range(5) for name in made(fold=fold).names("val")]
    assert sorted(vals) == sorted([*whole.names("train"), *whole.names("val")])

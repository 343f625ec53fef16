"""Columns, missing rows and errors of a Hugging Face data set."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from composed import TINY
from headstart.cli import main
from headstart.data.hugging_face.image_columns import columns_of
from headstart.types import UserError
from hugging_face_cases import NAMES, datasets, hugging_face, rows


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", str(tmp_path / "cache"))


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

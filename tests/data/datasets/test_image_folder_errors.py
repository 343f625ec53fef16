"""Folders of images that cannot be read as asked, and files that change."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from folder_data import RGB, folder
from headstart.data.files import class_folders as folders_module
from headstart.data.files import table_file
from headstart.data.files.file_split import FileSplit
from headstart.types import Pixels, UserError
from held_out_checks import check_val_shots_and_folds


def test_the_shorter_side_becomes_256_224ths_of_the_backbones_size_by_default(class_folders):
    root = class_folders()
    for size, want in ((224, 256), (32, 37), (96, 110)):
        assert folder(root, resize=None, pixels=RGB._replace(size=size)).decoder.resize == want


def test_names_of_no_split_are_an_error(class_folders):
    with pytest.raises(UserError, match=r"got 'tests'; did you mean test\?"):
        folder(class_folders()).names("tests")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"folder of class folders.*none at .*nowhere"):
        folder(tmp_path / "nowhere")


@pytest.mark.parametrize("inside", ["", "ants/", "train/", "train/ants/", "train/ants/;val/"])
def test_a_folder_without_images_says_what_it_holds(tmp_path, inside):
    for path in inside.split(";"):
        (tmp_path / "root" / path).mkdir(parents=True, exist_ok=True)
    holds = inside.split("/")[0] or "nothing"
    with pytest.raises(UserError, match=rf"no image lies in a class folder.*holds {holds}"):
        folder(tmp_path / "root")


def test_images_without_class_folders_say_so(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"no image lies in a class folder.*holds a\.png"):
        folder(tmp_path)


def test_class_folders_that_differ_are_named(class_folders):
    class_folders({"ants": 3, "bees": 3}, below="all/train")
    root = class_folders({"ants": 3, "wasps": 3}, below="all/val").parent
    with pytest.raises(UserError, match="only one of them has bees, wasps"):
        folder(root).setup("fit")


def test_a_class_with_fewer_images_than_shots_is_named(class_folders):
    data = folder(class_folders({"ants": 10, "bees": 2}), shots=2)
    with pytest.raises(UserError, match="class bees has too few images: 2"):
        data.setup("fit")


def test_a_resize_below_what_the_backbone_wants_is_an_error(class_folders):
    with pytest.raises(UserError, match=r"at least the backbone's 8 pixels.*got 7"):
        folder(class_folders(), resize=7)


def test_two_channels_are_an_error(class_folders):
    with pytest.raises(UserError, match="must be 1 or 3, got 2"):
        folder(class_folders(), pixels=Pixels(8, 2, (0.5,) * 2, (0.5,) * 2))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_damaged_file_is_named_when_it_is_met(class_folders, num_workers):
    root = class_folders()
    whole = (root / "ants" / "03.png").read_bytes()
    (root / "ants" / "03.png").write_bytes(whole[:45])  # its header is whole
    data = folder(root, num_workers=num_workers)
    with pytest.raises(UserError, match=r"ants.03\.png is no image that can be read"):
        _ = [list(data.plain_dataloader(split)) for split in data.sizes]


def test_the_files_of_a_split_can_be_pickled_for_workers_that_are_not_forked(class_folders):
    import pickle

    files = folder(class_folders()).splits["train"]
    assert isinstance(files, FileSplit)
    there = pickle.loads(pickle.dumps(files))
    assert torch.equal(there.at(np.array([3, 1])), files.at(np.array([3, 1])))


def test_a_file_is_read_once_in_a_process_until_it_changes(tmp_path, monkeypatch):
    from headstart.data.files import file_location

    Image.new("L", (4, 4), 10).save(tmp_path / "a.png")
    read = []
    seen = file_location.header  # type: ignore[attr-defined]
    monkeypatch.setattr(file_location, "header", lambda *given: read.append(given) or seen(*given))
    first = file_location.FolderStorage(tmp_path)
    before = first.header("a.png", 99), first.digest("a.png", b"")
    again = file_location.FolderStorage(tmp_path)
    assert (again.header("a.png", 99), again.digest("a.png", b"")) == before
    assert again.digest("a.png", b"other") != before[1]
    assert len(read) == 1
    Image.new("L", (5, 4), 10).save(tmp_path / "a.png")
    assert again.header("a.png", 99).width == 5
    assert again.digest("a.png", b"") != before[1]
    assert isinstance(again.header("gone.png", 99), str)


@pytest.mark.slow
def test_val_shots_and_folds_of_a_folder_divide_the_images_that_are_not_for_the_test(class_folders):
    root = class_folders()

    def made(**changes):
        return folder(root, **changes)

    check_val_shots_and_folds(made)


def test_an_empty_folder_of_a_split_is_an_error_that_says_the_way_out(class_folders):
    root = class_folders(below="all/train").parent
    (root / "val").mkdir()
    with pytest.raises(UserError, match=r"val holds no class folder; .*'target\.folders=\{train:train\}', so that val"):
        folder(root)


def test_classes_that_differ_in_case_alone_are_a_warning_with_the_setting_that_merges_them(class_folders, caplog):
    data = folder(class_folders({"Ants": 10, "ants": 10}))
    data.setup("fit")
    assert "the classes Ants and ants differ in case or spaces alone; if they are one" in caplog.text
    assert "'target.classes={Ants: ants}'" in caplog.text


def test_a_class_that_another_split_spells_otherwise_is_told_with_the_setting_that_renames_it(class_folders):
    root = class_folders(below="all/train").parent
    shutil.copytree(root / "train", root / "val")
    (root / "val" / "ants").rename(root / "val" / "Ants")
    with pytest.raises(UserError, match=r"must have the same classes; .*'target\.classes=\{Ants: ants\}'"):
        folder(root).setup("fit")


def test_an_accent_that_splits_write_in_two_ways_is_the_same_class(class_folders):
    root = class_folders({"caf\u00e9": 10, "tea": 10}, below="all/train").parent
    shutil.copytree(root / "train", root / "val")
    (root / "val" / "caf\u00e9").rename(root / "val" / "cafe\u0301")
    for number, file in enumerate(sorted((root / "val").rglob("*.png"))):  # other images than train's
        Image.new("RGB", (8, 8), (0, 0, 10 + number)).save(file)
    data = folder(root)
    data.setup("fit")
    assert data.class_names == ("caf\u00e9", "tea")
    assert data.sizes["val"] == 10


def test_test_images_without_class_folders_are_an_error_that_says_the_way_out(class_folders):
    root = class_folders(below="all/train").parent
    (root / "test").mkdir()
    Image.new("RGB", (8, 8)).save(root / "test" / "1.png")
    with pytest.raises(UserError) as said:
        folder(root)
    assert f"{root}/test holds 1 images and no class folder" in str(said.value)
    assert "'target.folders={train:train}'" in str(said.value)
    assert f"headstart task=predict predict.images={root}/test" in str(said.value)
    assert folder(root, folders={"train": "train"}).sizes == {"train": 12, "val": 4, "test": 4}


@pytest.mark.parametrize("which", ["root", "its folders", "table"])
def test_what_may_not_be_read_is_an_error_that_says_the_way_out(which, class_folders, monkeypatch):
    """By a stand-in, as root may read everything."""
    root = class_folders()

    def closed(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    if which == "table":
        monkeypatch.setattr(table_file, "_csv", closed)
        (root / "photos.csv").write_text("path,label\n")
        with pytest.raises(
            UserError, match=r"table must be a file that may be read, got .*photos\.csv: Permission denied;"
        ):
            table_file.table_rows(root / "photos.csv", ["path"])
        return
    monkeypatch.setattr(folders_module, "_folders_in" if which == "root" else "identity_of", closed)
    with pytest.raises(UserError, match=r"root must be a folder that may be read, got .* \(chmod -R a\+rX"):
        folder(root)


def test_a_lone_folder_of_test_images_without_classes_is_an_error_that_says_the_way_out(tmp_path):
    (tmp_path / "test").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "test" / "1.png")
    with pytest.raises(UserError) as said:
        folder(tmp_path)
    assert f"{tmp_path}/test holds 1 images and no class folder" in str(said.value)
    assert "put train/ with class folders beside it" in str(said.value)
    assert f"headstart task=predict predict.images={tmp_path}/test" in str(said.value)

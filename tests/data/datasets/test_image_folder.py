"""A folder of class folders becomes splits whose images are those of the files."""

import os
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image

from folder_data import RGB, folder
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.files.class_folders import class_folders as found
from headstart.types import Pixels, UserError


def colours(batch) -> list[tuple[int, int]]:
    """Of each image, its file's number and its class: class_folders draws them so."""
    corner = batch.image[:, :2, 0, 0]
    return [(red // 10, green // 50) for red, green in corner.tolist()]


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that are decoded from now on, in this process."""
    seen: list[str] = []
    decode = Decoder.__call__
    monkeypatch.setattr(Decoder, "__call__", lambda self, path: (seen.append(path.name), decode(self, path))[1])
    return seen


@pytest.mark.parametrize("num_workers", [0, 2, "auto"])
def test_each_image_is_that_of_its_name_and_its_label(class_folders, num_workers):
    data = folder(class_folders(), num_workers=num_workers)
    assert data.class_names == ("ants", "bees")
    assert data.sizes == {"train": 12, "val": 4, "test": 4}
    for split in data.sizes:
        names = data.names(split)
        seen = 0
        for batch in data.plain_dataloader(split):
            assert (batch.image.dtype, tuple(batch.image.shape[1:])) == (torch.uint8, (3, 8, 8))
            of_names = [names[position] for position in batch.position.tolist()]
            want = [f"{data.class_names[label]}/{number:02}.png" for number, label in colours(batch)]
            assert of_names == want
            assert [label for _, label in colours(batch)] == batch.label.tolist()
            seen += len(batch.label)
        assert seen == len(names)


def test_training_gives_each_image_once_an_epoch_and_classes_take_turns_in_val(class_folders):
    data = folder(class_folders())
    seen = [one for batch in data.train_dataloader() for one in colours(batch)]
    assert len(seen) == len(set(seen)) == 12
    assert data.splits["val"].label.tolist() == [0, 1, 0, 1]


def test_images_are_channels_last_in_memory(class_folders):
    batch = next(iter(folder(class_folders()).train_dataloader()))
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_a_grey_backbone_gets_grey_images(class_folders):
    grey = Pixels(size=8, channels=1, mean=(0.5,), std=(0.5,))
    batch = next(iter(folder(class_folders(), pixels=grey).train_dataloader()))
    assert batch.image.shape[1:] == (1, 8, 8)
    assert batch.image.dtype == torch.uint8


@pytest.mark.parametrize(
    ("inside", "sizes"),
    [
        ({"train": 5, "val": 3, "test": 2}, {"train": 10, "val": 6, "test": 4}),
        ({"train": 5, "valid": 4}, {"train": 10, "val": 4, "test": 4}),
        ({"train": 5, "validation": 4}, {"train": 10, "val": 4, "test": 4}),
        ({"train": 10, "test": 3}, {"train": 16, "val": 4, "test": 6}),
        ({"train": 10}, {"train": 12, "val": 4, "test": 4}),
    ],
)
def test_splits_are_the_folders_that_are_there_and_what_is_missing_is_taken_from_them(class_folders, inside, sizes):
    for split, count in inside.items():
        root = class_folders({"ants": count, "bees": count}, below=f"all/{split}").parent
    data = folder(root, leakage="allow")  # the same images everywhere
    assert data.sizes == sizes
    assert data.class_names == ("ants", "bees")
    for split in ("val", "test"):
        if split in inside:
            assert {name.split("/")[0] for name in data.names(split)} == {split}


def test_splits_are_the_folders_that_folders_says_whatever_they_are_called(class_folders):
    for split, count in {"training": 5, "val": 3, "test": 2, "rest": 4}.items():
        root = class_folders({"ants": count, "bees": count}, below=f"all/{split}").parent
    data = folder(root, leakage="allow", folders={"train": "training", "test": "val"})
    assert data.sizes == {"train": 8, "val": 2, "test": 6}  # val is taken from training
    assert {name.split("/")[0] for name in data.names("val")} == {"training"}
    assert {name.split("/")[0] for name in data.names("test")} == {"val"}


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({"test": "val"}, "must list images to train on, it has test alone"),
        ({}, "must give train"),
        ({"train": "train", "tests": "val"}, "must give train"),
        ({"train": "train", "test": "train"}, "a folder of its own"),
        ({"train": "train", "test": "held_out"}, r"test lies in held_out.*it has train, val"),
    ],
)
def test_folders_that_cannot_be_splits_are_an_error(class_folders, folders, said):
    for split in ("train", "val"):
        root = class_folders({"ants": 3, "bees": 3}, below=f"all/{split}").parent
    with pytest.raises(UserError, match=said):
        folder(root, folders=folders).setup("fit")


def test_a_class_may_be_called_train(class_folders):
    data = folder(class_folders({"bus": 10, "train": 10}))
    assert data.class_names == ("bus", "train")


def test_files_at_any_depth_belong_to_their_class_folder_and_what_is_no_image_is_left_out(class_folders):
    root = class_folders({"ants": 3, "bees": 3})
    deep = root / "ants" / "garden" / "2026"
    deep.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(deep / "late.JPEG")
    for extra in ("notes.txt", "Thumbs.db", ".DS_Store", "._00.png", "no_suffix"):
        (root / "ants" / extra).write_bytes(b"x")
    (root / "ants" / ".cache").mkdir()
    shutil.copy(root / "ants" / "00.png", root / "ants" / ".cache" / "00.png")
    (root / "README.md").write_text("two classes")
    assert found(root, None)["train"] == {
        "ants": ["ants/00.png", "ants/01.png", "ants/02.png", "ants/garden/2026/late.JPEG"],
        "bees": ["bees/00.png", "bees/01.png", "bees/02.png"],
    }


def test_the_order_of_the_file_system_does_not_matter(class_folders, monkeypatch):
    root = class_folders()
    scandir, before = os.scandir, folder(root)
    monkeypatch.setattr(os, "scandir", lambda top: nullcontext(list(scandir(top))[::-1]))
    after = folder(root)
    for split in before.sizes:
        assert before.names(split) == after.names(split)


def test_another_place_on_disk_makes_the_same_splits(class_folders):
    one, two = (folder(class_folders(below=below), shots=3) for below in ("here", "there/deeper"))
    for split in one.sizes:
        assert one.names(split) == two.names(split)
        assert one.contents(split) == two.contents(split)


def test_home_is_expanded(class_folders, monkeypatch):
    monkeypatch.setenv("HOME", str(class_folders().parent))
    assert folder("~/photos").sizes["train"] == 12


def test_shots_are_nested_and_stratified(class_folders):
    root = class_folders()
    two, four = (folder(root, shots=shots, seed=5) for shots in (2, 4))
    assert set(two.names("train")) < set(four.names("train"))
    assert np.bincount(four.splits["train"].label).tolist() == [4, 4]
    for split in ("val", "test"):
        assert two.names(split) == four.names(split)


def test_a_kept_image_is_decoded_once_however_often_it_is_seen(class_folders, decoded):
    data = folder(class_folders())
    first, *others = ([batch.image for batch in data.plain_dataloader("train")] for _ in range(3))
    list(data.train_dataloader())
    assert sorted(decoded) == sorted(name.split("/")[1] for name in data.names("train"))
    for other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.skipif(os.name != "posix", reason="workers are forked on Linux only")
def test_what_a_worker_has_decoded_is_kept_for_all(class_folders, decoded):
    data = folder(class_folders(), num_workers=2)
    list(data.train_dataloader())
    data.num_workers = 0
    list(data.plain_dataloader("train"))
    assert decoded == []


def test_nothing_is_kept_where_there_is_no_room_and_train_comes_before_val(class_folders, decoded):
    image = 8 * 8 * 3 / 2**30
    for room, times in ((0, (2, 2, 2)), (12 * image, (1, 2, 2)), (16 * image, (1, 1, 2)), (1, (1, 1, 2))):
        data = folder(class_folders(below=f"room{room}"), cache_gib=room)
        for split, often in zip(("train", "val", "test"), times, strict=True):
            decoded.clear()
            for _ in range(2):
                list(data.plain_dataloader(split))
            assert len(decoded) == often * data.sizes[split]


def test_several_threads_decode_what_one_does(class_folders):
    data = folder(class_folders(), cache_gib=0)
    threads = torch.get_num_threads()
    images = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            images.append(torch.cat([batch.image for batch in data.plain_dataloader("train")]))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*images)


def test_contents_follow_the_bytes_and_how_they_are_decoded_not_names_and_not_mean_and_std(class_folders):
    root = class_folders({"ants": 4, "bees": 4})
    shutil.copy(root / "ants" / "00.png", root / "bees" / "copy.png")

    def contents(**changes) -> dict[str, str]:
        data = folder(root, **changes)
        return {n: c for split in data.sizes for n, c in zip(data.names(split), data.contents(split), strict=True)}

    before = contents()
    assert len(before) == 9
    assert {len(bytes.fromhex(one)) for one in before.values()} == {16}
    assert len(set(before.values())) == 8
    assert before["ants/00.png"] == before["bees/copy.png"]
    assert contents(pixels=RGB._replace(mean=(0.1,) * 3), seed=3, cache_gib=0) == before
    for changes in ({"resize": 9}, {"decode": "full"}, {"pixels": Pixels(8, 1, (0.5,), (0.5,))}):
        assert not set(contents(**changes).values()) & set(before.values())
    Image.new("RGB", (8, 8), (1, 2, 3)).save(root / "ants" / "00.png")
    assert {name for name, content in contents().items() if content != before[name]} == {"ants/00.png"}

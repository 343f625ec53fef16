"""A folder with the commonest troubles trains by the first command, and each trouble is told."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from composed import composed, trained
from headstart.data.datasets.image_folder import ImageFolder
from headstart.runs.folder.run_naming import config_hash
from headstart.types import UserError

FIRST = ["data@target=image_folder", "mode=scratch", "trainer.max_epochs=1", "target.cache_gib=0.1"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Spaces and other letters in names, nested folders, mixed kinds of files, copies, and a class of one image."""
    root = tmp_path_factory.mktemp("stranger") / "my photos"
    rng = np.random.default_rng(0)

    def save(name, size=(40, 36)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)

    for number in range(12):
        save(
            f"Ameisen (große)/trip {number % 2}/é {number}.{('jpg', 'PNG', 'webp', 'jpeg')[number % 4]}",
            (36, 50 + number),
        )
    for number in range(7):
        save(f"bees/{number}.png", (64 + number, 48))
    save("蝶/only.png")
    shutil.copy(root / "bees" / "0.png", root / "bees" / "0 (copy).png")
    shutil.copy(root / "bees" / "1.png", root / "Ameisen (große)" / "wrong.png")
    (root / "bees" / "notes.txt").write_text("x")
    (root / ".DS_Store").write_bytes(b"x")
    return root


def test_it_trains_and_tells_what_it_found(photos, tmp_path, caplog):
    caplog.set_level("INFO")
    result = trained(*FIRST, f"target.root='{photos}'", folder=tmp_path / "run")
    assert result["class_names"] == ["Ameisen (große)", "bees", "蝶"]
    assert sum(result["sizes"].values()) == 22
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
    for told in (
        "val has no image of 1 classes", "test has no image of 1 classes", "蝶 (1)",
        "1 images have the same bytes and two labels", "2 repeated inside a split", "files that are no images: 1",
    ):  # fmt: skip
        assert told in caplog.text
    rows = list(csv.DictReader((tmp_path / "run" / "duplicates.csv").open(encoding="utf-8")))
    assert {row["file"] for row in rows} == {
        "Ameisen (große)/wrong.png", "bees/1.png", "bees/0.png", "bees/0 (copy).png",
    }  # fmt: skip
    assert len({(row["group"], row["split"]) for row in rows}) == 2  # each group in one split


def test_an_error_about_copies_leaves_the_table_of_all_of_them(photos, tmp_path):
    given = tmp_path / "given"
    for split in ("train", "val", "test"):
        shutil.copytree(photos, given / split)
    with pytest.raises(UserError, match=r"40 images lie in two splits.*and 35 more.*: .*run/duplicates\.csv\)"):
        trained(*FIRST, f"target.root='{given}'", "target.leakage=error", folder=tmp_path / "run")
    with (tmp_path / "run" / "duplicates.csv").open(encoding="utf-8") as table:
        assert len(list(csv.DictReader(table))) == 3 * 22


def test_classes_are_part_of_the_hash_and_of_the_result(photos, tmp_path):
    two, renamed = "target.classes=[bees,'Ameisen (große)']", "target.classes={bees: wasps}"
    assert trained(*FIRST, f"target.root='{photos}'", two, folder=tmp_path / "run")["class_names"] == [
        "bees",
        "Ameisen (große)",
    ]
    hashes = {
        config_hash(composed(*FIRST, "target.root=photos", *more))
        for more in ([], [two], [renamed], ["target.classes=[a,b]"], ["target.classes=[b,a]"])
    }
    assert len(hashes) == 5


def test_a_folder_around_all_others_is_named(photos):
    made = composed(*FIRST, f"target.root='{photos.parent}'").target
    data = {key: value for key, value in made.items() if key not in ("_target_", "augment")}
    from headstart.types import Pixels

    folder = ImageFolder(**data, augment=None, pixels=Pixels(8, 3, (0.5,) * 3, (0.5,) * 3), seed=0)
    with pytest.raises(UserError, match=r"two classes are needed.*my photos/bees.*: try target\.root=.*/my photos$"):
        folder.check_trainable()

"""The files that task=predict and task=explain read are those that training would have read."""

import os
import shutil

import pytest
from PIL import Image

from headstart.tasks.predict import files_of
from headstart.types import UserError


def names(images, root):
    return [os.path.relpath(name, root) for name in files_of(str(images), setting="predict.images")]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "photos"
    for name in ("ants/00.png", "ants/01.png", "bees/00.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / name)
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(root / "ants" / "00.png", away / "IMG_1")
    (root / "ants" / "more").symlink_to(away)
    (root / "bees" / "loop").symlink_to(root)
    (root / "ants" / "labels.csv").write_text("a,b")
    (root / "ants" / ".hidden.png").write_bytes(b"")
    os.mkfifo(root / "bees" / "pipe.png")
    return root


def test_a_folder_gives_the_images_that_its_links_lead_to_and_counts_the_rest(root, caplog):
    caplog.set_level("INFO")
    assert names(root, root) == ["ants/00.png", "ants/01.png", "ants/more/IMG_1", "bees/00.png"]
    (told,) = caplog.records
    assert (told.levelname, told.message) == (
        "WARNING",
        f"not read in {root}: links to a folder that is read already: 1 (bees/loop); "
        "pipes, sockets or devices, which are never opened: 1 (bees/pipe.png); files that are no images: 1 (.csv 1)",
    )


def test_a_pattern_goes_through_no_folder_twice_and_opens_no_pipe(root):
    assert names(f"{root}/**/*.png", root) == ["ants/00.png", "ants/01.png", "bees/00.png"]
    assert names(root / "bees" / "loop" / "ants" / "*.png", root) == [
        "bees/loop/ants/00.png", "bees/loop/ants/01.png",
    ]  # fmt: skip


def test_a_pipe_is_no_image(root):
    with pytest.raises(UserError, match=r"predict\.images must be .*pipe\.png: it is no regular file"):
        names(root / "bees" / "pipe.png", root)


def test_a_folder_without_an_image_says_what_it_holds(root):
    for image in [*(root / "bees").glob("*.png"), root / "bees" / "loop"]:
        image.unlink()
    (root / "bees" / "a.jpg.bak").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match=r"no image lies in it, but images by their first bytes, .*: 1 \(a\.jpg\.bak\)"):
        names(root / "bees", root)


@pytest.mark.parametrize("pattern", ["", "ants/*.png"])
def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(root, pattern):
    shutil.copy(root / "ants" / "00.png", os.fsencode(root / "ants") + b"/\xe9.png")
    with pytest.raises(UserError, match=r"must be UTF-8, got .*ants/\\xe9\.png; rename it"):
        names(root / pattern, root)


def test_arguments_that_are_not_utf8_are_a_mistake_on_the_command_line(capsys):
    from headstart.cli import main

    assert main(["task=predict", "predict.images=caf\udce9"]) == 2
    assert "arguments and the working folder must be UTF-8, got predict.images=caf\\xe9" in capsys.readouterr().err

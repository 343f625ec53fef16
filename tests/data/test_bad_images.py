"""Bad input is an error that says which file and why, or no error at all."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from folder_data import folder
from headstart.data.decoding.image_decoding import Decoder
from headstart.types import Pixels, UserError


def broken(root, name="ants/bad.jpg", content=b""):
    (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize("content", [b"", b"some text\n", b"<html>404</html>"])
def test_a_file_without_an_image_is_named_before_training(class_folders, content):
    data = folder(broken(class_folders(), content=content))
    with pytest.raises(UserError, match=r"1 of 21 files .*: ants/bad\.jpg \(UnidentifiedImageError\); .*=skip"):
        data.setup("fit")


def test_a_broken_link_is_named_before_training(class_folders):
    root = class_folders()
    (root / "bees" / "link.png").symlink_to(root / "nowhere.png")
    with pytest.raises(UserError, match=r"bees/link\.png \(FileNotFoundError"):
        folder(root).setup("fit")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all files")
def test_a_file_that_may_not_be_read_is_named_before_training(class_folders):
    root = class_folders()
    (root / "ants" / "00.png").chmod(0)
    with pytest.raises(UserError, match=r"ants/00\.png \(PermissionError"):
        folder(root).setup("fit")


def test_skip_leaves_out_what_has_no_header_and_what_cannot_be_decoded_and_says_so(class_folders, caplog):
    root = broken(class_folders())
    whole = (root / "bees" / "03.png").read_bytes()
    (root / "bees" / "cut.png").write_bytes(whole[:45])
    data = folder(root, unreadable="skip")
    assert data.sizes == {"train": 12, "val": 4, "test": 4}
    names = {name for split in data.sizes for name in data.names(split)}
    assert not names & {"ants/bad.jpg", "bees/cut.png"}
    assert "2 of 22 files" in caplog.text
    assert "ants/bad.jpg (UnidentifiedImageError), bees/cut.png (OSError" in caplog.text
    assert sum(len(batch.label) for split in data.sizes for batch in data.plain_dataloader(split)) == 20


def test_a_class_of_which_nothing_can_be_read_has_too_few_images(class_folders):
    root = class_folders()
    for file in (root / "bees").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match="class bees has too few images: none"):
        folder(root, unreadable="skip").setup("fit")


def test_one_class_is_too_few(class_folders):
    with pytest.raises(UserError, match=r"two classes are needed at least, got one .*, ants, in"):
        folder(class_folders({"ants": 10})).setup("fit")


def leaking(class_folders):
    root = class_folders(below="photos/train")
    shutil.copy(root / "ants" / "03.png", root / "ants" / "again.png")
    for split in ("val", "test"):
        shutil.copytree(class_folders(below=f"draft{split}", size=(9 + len(split), 8)), root.parent / split)
    shutil.copy(root / "bees" / "05.png", root.parent / "val" / "bees" / "same.png")
    return root.parent


def test_the_same_image_in_two_splits_is_named_with_both_places_where_it_is_an_error(class_folders):
    pair = r"train/bees/05\.png \(train\) = val/bees/same\.png \(val\)"
    with pytest.raises(UserError, match=rf"^1 images lie in two splits.*: {pair}; .*target\.leakage=allow"):
        folder(leaking(class_folders), leakage="error").setup("fit")


def test_leakage_that_is_allowed_is_a_warning_and_nothing_is_left_out(class_folders, caplog):
    data = folder(leaking(class_folders), leakage="allow")
    assert data.sizes == {"train": 21, "val": 21, "test": 20}
    assert "train/bees/05.png (train) = val/bees/same.png (val)" in caplog.text


def test_an_image_twice_in_one_split_is_counted_and_no_error(class_folders, caplog):
    caplog.set_level("INFO")
    folder(leaking(class_folders), leakage="allow").setup("fit")
    assert "1 repeated inside a split" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_an_image_of_a_pixel_a_side_is_one_colour(tmp_path, size):
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "tiny.png")
    made = Decoder(8, 9, 3, reduced=True)(tmp_path / "tiny.png")
    assert made.shape == (8, 8, 3)
    assert (made == (10, 20, 30)).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_jpeg_of_100_megapixels_is_decoded_at_an_eighth(tmp_path, monkeypatch):
    Image.new("L", (10_000, 10_000), 77).save(tmp_path / "huge.jpg")
    loaded, crop = [], Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, *a, **k: (loaded.append(self.size), crop(self, *a, **k))[1])
    assert (Decoder(8, 9, 1, reduced=True)(tmp_path / "huge.jpg") == 77).all()
    assert loaded == [(1250, 1250)]


def test_16_bit_files_of_a_camera_of_12_bits_ask_for_the_range_before_training_and_are_read_with_it(class_folders):
    root = class_folders()
    values = np.linspace(0, 4000, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(values).save(root / "ants" / "deep.png")
    with pytest.raises(UserError) as told:
        folder(root).setup("fit")
    assert (
        "ants/deep.png (its 16-bit values reach 4000 of 65535 and would be nearly black); "
        "set target.value_range=[low,high], which become black and white, as [0,4095]; or repair" in str(told.value)
    )
    data = folder(root, value_range=(0, 4095))
    split = next(split for split in data.sizes if "ants/deep.png" in data.names(split))
    made = data.splits[split].at(np.array([data.names(split).index("ants/deep.png")]))
    assert np.array_equal(made[0, :, :, 0], np.rint(values * (255 / 4095)))


@pytest.mark.parametrize("unreadable", ["error", "skip"])
def test_an_image_above_the_limit_of_pixels_is_named_before_training_and_never_decoded(
    class_folders, caplog, unreadable
):
    root = class_folders()
    Image.new("L", (50, 50)).save(root / "ants" / "bomb.png")
    data = folder(root, max_pixels=2499, unreadable=unreadable)
    said = "ants/bomb.png (it has more pixels than max_pixels=2499 allows (50 x 50 = 2500 pixels))"
    if unreadable == "error":
        with pytest.raises(UserError) as told:
            data.setup("fit")
        assert f"{said}; where it is no attack, raise target.max_pixels; or repair them" in str(told.value)
    else:
        assert sum(data.sizes.values()) == 20
        assert said in caplog.text
    assert sum(folder(root, max_pixels=2500).sizes.values()) == 21


@pytest.mark.parametrize("name", ["ameise-süß-蚂蚁.png", "x" * 240 + ".png", "two words.png", "%s{}.png"])
def test_odd_and_long_names_are_names(class_folders, name):
    root = class_folders()
    Image.new("RGB", (8, 8), (255, 255, 255)).save(root / "ants" / name)
    data = folder(root)
    split = next(split for split in data.sizes if f"ants/{name}" in data.names(split))
    position = data.names(split).index(f"ants/{name}")
    assert (data.splits[split].at(np.array([position])) == 255).all()


def test_four_channels_are_an_error_that_says_which_are_possible(class_folders):
    pixels = Pixels(size=8, channels=4, mean=(0.5,) * 4, std=(0.5,) * 4)
    with pytest.raises(UserError, match=r"channels must be 1 or 3, got 4"):
        folder(class_folders(), pixels=pixels)


def test_the_reason_quotes_no_byte_of_a_file_that_a_terminal_would_obey(tmp_path):
    image = tmp_path / "image.im"
    Image.new("L", (9, 9)).save(image)
    image.write_bytes(image.read_bytes().replace(b"Greyscale", b"Gr\x1b[2Jle\x07", 1))
    with pytest.raises(UserError, match=r"Gr\\x1b\[2Jle\\x07") as found:
        Decoder(9, 9, 1, reduced=False)(image)
    assert str(found.value).isprintable()

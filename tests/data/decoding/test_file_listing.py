"""Every file below a folder is used, or is counted with the reason why not."""

import os
import shutil
import socket

import pytest
from PIL import Image

from folder_data import folder
from headstart.data.decoding import file_opening
from headstart.data.decoding.file_listing import LeftOut, image_files
from headstart.data.decoding.file_opening import begins_as_image
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.files.class_folders import class_folders as found
from headstart.types import UserError


def listed(below, root=None):
    outside = LeftOut()
    return image_files(below, root or below, outside), outside


def held(root):
    outside = LeftOut()
    return found(root, None, outside)["train"], outside


@pytest.fixture
def root(class_folders):
    return class_folders({"ants": 3, "bees": 3})


def test_an_image_without_a_suffix_is_used_and_one_with_another_suffix_is_counted(root):
    whole = (root / "ants" / "00.png").read_bytes()
    for name in ("IMG_0001", "photo.png_large", "00.png~"):
        (root / "ants" / name).write_bytes(whole)
    (root / "ants" / "notes").write_text("seen in May")
    files, outside = held(root)
    assert files["ants"] == ["ants/00.png", "ants/01.png", "ants/02.png", "ants/IMG_0001"]
    assert outside.told() == (
        "images by their first bytes, with a suffix that says otherwise: 2 (ants/00.png~, ants/photo.png_large); "
        "files that are no images: 1 (no suffix 1)"
    )


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "JPEG"), ("L", "PNG"), ("P", "GIF"), ("L", "TIFF"), ("RGB", "WEBP"), ("RGB", "BMP"), ("L", "JPEG2000")],
)
def test_each_format_is_known_by_its_first_bytes(tmp_path, mode, kind):
    Image.new(mode, (9, 9)).save(tmp_path / "one", kind)
    assert begins_as_image((tmp_path / "one").read_bytes()[:32])
    assert listed(tmp_path)[0] == ["one"]


@pytest.mark.parametrize(
    "begin", [b"", b"BM", b"BMW is a car, not a picture", b"RIFF\0\0\0\0WAVEfmt ", b"%PDF-1.4", b"PK"]
)
def test_what_begins_otherwise_is_no_image(begin):
    assert not begins_as_image(begin)


def test_hidden_files_and_those_of_the_system_are_left_out_without_a_word(root):
    for name in (".DS_Store", "._00.png", "Thumbs.db", "thumbs.db", "desktop.ini"):
        (root / "ants" / name).write_bytes(b"x")
        (root / name).write_bytes(b"x")
    (root / ".cache").mkdir()
    shutil.copytree(root / "ants", root / "__MACOSX" / "ants")
    shutil.copytree(root / "bees", root / "ants" / "@eaDir" / "00.png")  # small copies that a file server makes
    for name in (".git", "__pycache__", "#recycle", "lost+found"):
        shutil.copytree(root / "bees", root / name)
    files, outside = held(root)
    assert {name: len(of_class) for name, of_class in files.items()} == {"ants": 3, "bees": 3}
    assert outside.told() == ""


def test_linked_folders_are_followed_at_any_depth_and_as_classes(root, tmp_path):
    away = tmp_path / "away" / "deep"
    away.mkdir(parents=True)
    for name in ("04.png", "05.png"):
        shutil.copy(root / "ants" / "00.png", away / name)
    (root / "ants" / "more").symlink_to(away.parent)
    (root / "wasps").symlink_to(away)
    (root / "bees" / "one.png").symlink_to(away / "04.png")
    files, outside = held(root)
    assert files["ants"][3:] == ["ants/more/deep/04.png", "ants/more/deep/05.png"]
    assert files["wasps"] == ["wasps/04.png", "wasps/05.png"]
    assert files["bees"][3:] == ["bees/one.png"]
    assert outside.told() == ""


@pytest.mark.parametrize("to", [".", "..", "../..", "deep"])
def test_a_link_that_never_ends_is_named_once_and_not_followed(root, to):
    (root / "ants" / "deep").mkdir()
    shutil.copy(root / "ants" / "00.png", root / "ants" / "deep" / "03.png")
    (root / "ants" / "deep" / "again").symlink_to(root / "ants" / to)
    files, outside = held(root)
    assert files["ants"] == ["ants/00.png", "ants/01.png", "ants/02.png", "ants/deep/03.png"]
    assert outside.told() == "links to a folder that is read already: 1 (ants/deep/again)"


def test_a_class_folder_that_leads_back_to_its_root_is_no_class(root):
    (root / "all").symlink_to(root)
    (root / "self").symlink_to("self")
    files, outside = held(root)
    assert list(files) == ["ants", "bees"]
    assert outside.told() == "links to a folder that is read already: 1 (all); links to nothing: 1 (self)"


def test_a_folder_that_two_links_lead_to_is_read_once_under_its_own_name(root):
    (root / "ants" / "z").mkdir()
    shutil.copy(root / "ants" / "00.png", root / "ants" / "z" / "03.png")
    (root / "ants" / "a").symlink_to(root / "ants" / "z")
    files, outside = held(root)
    assert files["ants"][3:] == ["ants/z/03.png"]
    assert "ants/a" in outside.told()


def test_pipes_and_sockets_are_never_opened(root, monkeypatch):
    monkeypatch.chdir(root / "ants")  # the path of a socket must be short
    os.mkfifo("pipe.png")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.jpg")
    files, outside = held(root)
    assert len(files["ants"]) == 3
    told = "pipes, sockets or devices, which are never opened: 3 (ants/pipe, ants/pipe.png, ants/socket.jpg)"
    assert outside.told() == told
    with pytest.raises(UserError, match=r"pipe\.png is no image that can be read \(it is no regular file"):
        Decoder(8, 8, 3, reduced=True)(root / "ants" / "pipe.png")


def test_what_is_left_out_is_counted_behind_the_summary_as_a_warning_where_images_may_be_missed(class_folders, caplog):
    root = class_folders()
    for number in range(2):
        (root / "bees" / f"{number}.txt").write_text("")
    caplog.set_level("INFO")
    folder(root).setup("fit")
    told = caplog.records[-1]
    assert (told.levelname, told.message) == ("INFO", f"not read in {root}: files that are no images: 2 (.txt 2)")
    shutil.copy(root / "ants" / "00.png", root / "ants" / "00.bak")
    shutil.copy(root / "ants" / "00.png", root / "lost.png")
    folder(root).setup("fit")
    told = caplog.records[-1]
    assert (told.levelname, told.message) == (
        "WARNING",
        f"not read in {root}: images by their first bytes, with a suffix that says otherwise: 1 (ants/00.bak); "
        "images outside of a class folder: 1 (lost.png); files that are no images: 2 (.txt 2)",
    )


def test_folders_beside_the_splits_are_counted(class_folders):
    for split in ("train", "val", "notes"):
        root = class_folders({"ants": 3, "bees": 3}, below=f"all/{split}").parent
    outside = LeftOut()
    assert set(found(root, None, outside)) == {"train", "val"}
    assert outside.told() == "folders beside those of the splits: 1 (notes)"


@pytest.mark.parametrize(
    ("files", "holds"),
    [
        ([], "nothing"),
        (["a.xml", "b.xml"], r"files that are no images: 2 \(.xml 2\)"),
        (["._00.png", "Thumbs.db"], "nothing"),
    ],
)
def test_a_class_folder_without_an_image_is_an_error(root, files, holds):
    (root / "wasps").mkdir()
    for name in files:
        (root / "wasps" / name).write_bytes(b"x")
    with pytest.raises(UserError, match=rf"wasps of .* does not \(wasps holds {holds}\); take it away"):
        folder(root)


def test_a_class_of_heic_alone_is_one_line_with_the_command_that_installs_the_extra(root, monkeypatch):
    monkeypatch.setattr(file_opening, "_can_heic", lambda: False)
    (root / "wasps").mkdir()
    for number in range(7):
        (root / "wasps" / f"{number}.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    with pytest.raises(UserError) as told:
        folder(root).setup("fit")
    assert str(told.value) == (
        f"7 of 13 files in {root} are HEIC, which needs pip install 'headstart[heic]': wasps/0.heic, wasps/1.heic, "
        "wasps/2.heic, wasps/3.heic, wasps/4.heic and 2 more; install it, or leave them out with target.unreadable=skip"
    )
    with pytest.raises(UserError, match="class wasps has too few images: none"):
        folder(root, unreadable="skip").setup("fit")


def test_heic_is_left_out_loudly_where_that_is_asked_for_and_a_class_is_left(class_folders, monkeypatch, caplog):
    monkeypatch.setattr(file_opening, "_can_heic", lambda: False)
    root = class_folders()
    (root / "ants" / "new.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    caplog.set_level("INFO")
    assert sum(folder(root, unreadable="skip").sizes.values()) == 20
    assert "ants/new.heic (HEIC, which needs pip install 'headstart[heic]'); they are left out" in caplog.text
    assert "1 unreadable files left out" in caplog.text


def test_heic_is_decoded_by_the_extra(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 48), (10, 200, 90))
    heif.from_pillow(image).save(tmp_path / "one.heic", quality=100)
    shutil.copy(tmp_path / "one.heic", tmp_path / "one.jpg")  # as some phones name it
    for name in ("one.heic", "one.jpg"):
        made = Decoder(32, 32, 3, reduced=True)(tmp_path / name)
        assert abs(made.astype(int) - (10, 200, 90)).max() <= 3


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"caf\xe9/00.png", b"deep/caf\xe9/00.png", b"caf\xe9"])
def test_a_name_that_is_not_utf8_is_an_error_that_shows_it_and_tells_the_way_out(root, name):
    whole = (root / "ants" / "00.png").read_bytes()
    path = os.path.join(os.fsencode(root / "ants"), name)  # noqa: PTH118  # a Path of bytes there is none
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    with open(path, "wb") as stream:  # noqa: PTH123
        stream.write(whole)
    shown = "ants/" + name.decode("utf-8", "backslashreplace")
    with pytest.raises(UserError) as told:
        folder(root)
    assert f"must be UTF-8, got {shown}; rename it" in str(told.value)
    str(told.value).encode()


def test_a_class_whose_name_is_not_utf8_is_an_error(root):
    os.rename(os.fsencode(root / "ants"), os.fsencode(root) + b"/\xe4nts")  # noqa: PTH104
    with pytest.raises(UserError, match=r"must be UTF-8, got \\xe4nts;"):
        folder(root)


def test_a_file_that_is_no_image_may_have_any_name(root):
    with open(os.fsencode(root / "ants") + b"/caf\xe9.txt", "wb"):  # noqa: PTH123
        pass
    outside = held(root)[1]
    outside.told().encode()
    assert "files that are no images" in outside.told()

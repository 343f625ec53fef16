"""An empty path, as a shell variable that is not set leaves, is never the working folder."""

from pathlib import Path

import pytest

from headstart.backbones.weights.weights_address import address_of
from headstart.cli import main
from headstart.data.webdataset.shard_reading import shards_of
from headstart.features.cache.activation_cache import FeatureCache
from headstart.runs.saved.finished_run import saved_run
from headstart.system.files.setting_paths import given_path, made_folder
from headstart.tasks.predict import files_of
from headstart.types import UserError


def test_a_path_is_what_it_says_and_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert given_path("photos/a", "root") == Path("photos/a")
    assert given_path("~/photos", "root") == Path("/home/somebody/photos")
    assert given_path(".", "root") == Path()


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_text_is_refused(text):
    with pytest.raises(UserError, match=r"root must be a path, got an empty text, .*written root=\.$"):
        given_path(text, "root")


@pytest.mark.parametrize(
    "read",
    [
        lambda: saved_run("", "best"),
        lambda: files_of("", setting="predict.images"),
        lambda: address_of(""),
        lambda: shards_of("", setting="urls"),
        lambda: FeatureCache(folder="", max_gib=1, dtype="float32", views=0),
    ],
)
def test_whoever_reads_a_path_refuses_an_empty_one(read):
    with pytest.raises(UserError, match="got an empty text"):
        read()


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("data@target=image_folder target.root=", "target.root"),
        ("data@target=table target.table=", "target.table"),
        ("data@source=image_folder source.root=", "source.root"),
        ("weights=file weights.path=", "weights.path"),
        ("task=predict predict.run_dir=run predict.images=", "predict.images"),
        ("task=evaluate evaluate.run_dir=", "evaluate.run_dir"),
        ("task=evaluate evaluate.run_dir=run data@evaluate.data=table +evaluate.data.table=", "evaluate.data.table"),
        ("-m seed=0,1 data@target=image_folder target.root=", "target.root"),
        ("data@target=", "data@target"),
        ("resume=", "resume"),
        ("hydra.run.dir=", "hydra.run.dir"),
    ],
)
def test_a_key_with_nothing_behind_it_is_one_line_and_exit_code_2(command, key, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{key}= gives no value; is a shell variable not set? For none write {key}=null" in line
    assert not list(tmp_path.iterdir())


def test_an_empty_path_of_a_file_of_settings_is_refused_too(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOTOS", "")
    assert main(["mode=scratch", "data@target=image_folder", "target.root=${oc.env:PHOTOS}"]) == 2
    assert "root must be a path, got an empty text" in capsys.readouterr().err


def test_a_folder_is_made_and_where_a_file_or_a_link_to_itself_lies_it_is_one_line(tmp_path):
    assert made_folder(tmp_path / "a" / "b", "embed.out_dir").is_dir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for place in ("file", "file/below", "loop"):
        with pytest.raises(
            UserError, match=r"^embed\.out_dir must be a folder that can be written, got .*; give another"
        ):
            made_folder(tmp_path / place, "embed.out_dir")

"""Paths reach the config as the shell gives them."""

from pathlib import Path

import pytest

ODD = [
    "/data/pets",
    "/p(1)/c",
    "/图/c",
    "/with space/c",
    "/[brackets]/{braces}/c",
    "/it's/c",
    '/a "quoted" one/c',
    "/both ' and \"/c",
    "/a=b/c",
    "/a,b/c",
    "/#hash/c",
    "/back\\slash/c\\",
    "/dollar$HOME/c",
    "relative/path",
    "123",
    "true",
    "a:b",
    " leading and trailing ",
    "C:\\Users\\me",
]


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("sign", ["", "++"])
def test_a_path_reaches_the_config_verbatim(command, path, sign):
    assert command(f"{sign}model.root={path}") == 0
    assert command.cfg.model.root == path


def test_a_tilde_is_the_home_folder(command, monkeypatch):
    monkeypatch.setenv("HOME", "/home/some one")
    assert command("model.root=~/pets (1)") == 0
    assert command.cfg.model.root == "/home/some one/pets (1)"


def test_quotes_null_and_interpolations_keep_their_meaning(command):
    assert command("model.root='a b'") == 0
    assert command.cfg.model.root == "a b"
    assert command("model.root=null") == 0
    assert command.cfg.model.root is None
    assert command("model.root=x-${mode}") == 0
    assert command.cfg.model.root == "x-a"


def test_with_m_a_comma_separates_paths_unless_the_whole_exists(command):
    assert command("-m", "model.root=/p(1)/a,/图/b") == 0
    import stub_jobs

    assert [cfg.model.root for cfg in stub_jobs.CALLS] == ["/p(1)/a", "/图/b"]
    Path("one,two").mkdir()
    assert command("-m", "model.root=one,two") == 0
    assert command.cfg.model.root == "one,two"


def test_the_folder_of_the_runs_may_hold_interpolations(command):
    assert command("hydra.run.dir=out (1)/${mode}") == 0
    assert Path("out (1)/a/.hydra").is_dir()


def test_another_value_that_the_grammar_cannot_read_is_taken_verbatim(command):
    command.write("experiment/own.yaml", "# @package _global_\nnote: x\nmodel: {root: '${note}'}\n")
    assert command("experiment=own", "note=three (3) of [4") == 0
    assert command.cfg.note == "three (3) of [4"

"""The help names what the command offers, without importing torch."""

import subprocess
import sys

import pytest

from headstart.cli.command_help import help_text
from headstart.system.files import conf_folder
from headstart.system.files.conf_folder import conf_dir


def test_help_names_every_group_and_option_of_conf():
    text = help_text()
    for file in conf_dir().glob("*/*.yaml"):
        if file.parent.name not in ("hydra", "local") and not file.parent.name.startswith("_"):
            assert file.stem in text
            assert f"{file.parent.name}=" in text or f"{file.parent.name}@" in text
    for shown in (
        "data@source=",
        "data@target=",
        "task=",
        "--multirun",
        "--trace",
        "headstart -m study=demo",
    ):
        assert shown in text
    assert "task=hydra" not in text


def test_help_fits_into_100_columns_and_describes_every_option():
    lines = help_text().splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line for line in lines if line.startswith("      ") and line.strip() and len(line.split()) == 1]
    assert all(any(char.isalpha() for char in row) for row in rows)


def test_help_marks_the_defaults():
    text = help_text()
    assert "    * fit" in text
    assert "    * default" in text
    assert "      sgd" in text
    assert "data@source=  (* printed)" in text


def test_help_shows_the_users_own_options(tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").write_text(
        "# conf/backbone/mine.yaml -- my own stages\n_target_: mine.Mine\n"
    )
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "one.yaml").write_text("# @package _global_\n# one more thing\nx: 1\n")
    text = help_text(str(tmp_path))
    assert "mine              my own stages" in text
    assert "extra=" in text
    assert "one more thing" in text


@pytest.mark.parametrize(
    ("argv", "banned"),
    [
        (["--help"], ["torch", "hydra", "omegaconf", "pytorch_lightning", "numpy"]),
        (["--version"], ["torch", "hydra", "omegaconf"]),
        (["--cfg", "job"], ["torch", "pytorch_lightning", "torchvision", "numpy", "matplotlib"]),
        (["--cfg", "job", "optimizer.lr=x"], ["torch", "pytorch_lightning", "torchvision", "numpy"]),
        (["-m", "study=demo", "optimizer.lr=x"], ["torch", "pytorch_lightning", "torchvision", "numpy"]),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_to_answer(tmp_path, argv, banned):
    code = (
        "import sys; from headstart.cli import main; main(sys.argv[1:]); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(eval(done.stderr.splitlines()[-1]))
    assert loaded.isdisjoint(banned)
    assert list(tmp_path.iterdir()) == []


def test_conf_lies_in_the_package_where_it_was_installed_with_it(tmp_path, monkeypatch):
    package = tmp_path / "lib" / "python" / "headstart"
    (package / "conf").mkdir(parents=True)
    monkeypatch.setattr(conf_folder, "PACKAGE", package)
    assert conf_dir() == package / "conf"
    (package / "conf").rmdir()
    assert conf_dir() == tmp_path / "lib" / "conf"  # beside src/ of a checkout

"""The examples of docs/extending work as they stand, in a project outside the package."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cached_composing import cached_composing
from composed import TINY
from headstart.cli import main
from headstart.cli.checking.callable_parameters import signature
from headstart.cli.checking.value_types import choices
from headstart.cli.command_arguments import arguments
from headstart.cli.command_check import checked
from page_blocks import DOCS, blocks, commands

PAGES = sorted(page.stem for page in (DOCS / "extending").glob("*.md") if page.stem != "index")
EXAMPLE_TASKS = ("task=plan", "task=describe", "task=stage_sizes")  # they take none of a run's settings
SMALL = [text for text in TINY if not text.startswith("backbone.")]  # a page may have a backbone of its own


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes the files of a page into an empty folder, from where they can be imported."""

    def written(page: str) -> Path:
        for block in blocks(DOCS / "extending" / f"{page}.md", "python", "yaml"):
            assert block.file, f"a block of {page}.md names no file in its first line:\n{block.text}"
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        return tmp_path

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield written
    for name in set(sys.modules) - known:
        if name.startswith("my_"):
            del sys.modules[name]


def page_commands(page):
    return [words for words in commands(DOCS / "extending" / f"{page}.md") if "--config-dir" in words]


def test_each_kind_of_part_has_a_page():
    assert PAGES == ["adaptation", "backbone", "data_set", "head", "mode", "picture", "regularizer", "schedule", "task"]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_fit_the_signatures_of_its_code(page, project):
    project(page)
    found = page_commands(page)
    assert found
    with cached_composing():
        for words in found:
            checked(arguments(words))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(DOCS / "extending" / f"{page}.md", "python")])
def test_the_code_of_a_page_can_be_imported(page, project):
    project(page)
    for block in blocks(DOCS / "extending" / f"{page}.md", "python"):
        import_module(Path(block.file).stem)


def test_the_page_about_modes_lists_what_may_be_trainable():
    settings = signature("headstart.runs.top_level_settings.Settings")
    assert settings is not None
    page = (DOCS / "extending" / "mode.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| `trainable` |"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) - {"unfreeze"} == set(
        choices(settings.parameters["trainable"].kind)
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_command_of_each_page_runs(page, project, capsys):
    project(page)
    words = next(words for words in reversed(page_commands(page)) if "-m" not in words and "outputs/" not in str(words))
    small = [] if any(word in EXAMPLE_TASKS for word in words) else SMALL
    assert main([*words, *small]) == 0, capsys.readouterr().err

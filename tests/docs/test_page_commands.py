"""The commands and links of the pages are right: each command composes, each link leads somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from cached_composing import cached_composing
from composed import TINY
from headstart.cli import main
from headstart.cli.command_arguments import arguments
from headstart.cli.command_check import checked
from page_blocks import DOCS, ROOT, blocks, commands, pages

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
GENERATED = ("reference/config/", "reference/classes/", "reference/python.md", "images/benefit_")  # of make docs
EXTENSIONS = "--config-dir"  # commands with parts of one's own: test_extending_pages.py
RUN = [  # drawn from the pages; each is run with small settings
    "mode=gradual unfreeze.first_epoch=1 unfreeze.every_epochs=2",
    "mode=fine_tuning weights.reset_from=2",
    "mode=gradual unfreeze=plateau unfreeze.until.patience=3",
    "task=plan mode=gradual unfreeze=chain_thaw",
    "mode=multi_task source.characters=letters",
]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def checkable(page: Path) -> list[list[str]]:
    return [
        words
        for words in commands(page)
        if EXTENSIONS not in words
        and "--help" not in words
        and "..." not in " ".join(words)
        and not any(word.startswith("resume=outputs/") for word in words)  # needs that folder
    ]


def parameters() -> list[Any]:
    """Pages with commands; of most the many commands take seconds."""
    first = ("README.md", "docs/quick_start.md")
    return [
        pytest.param(page, id=page_name(page), marks=() if page_name(page) in first else pytest.mark.slow)
        for page in pages()
        if checkable(page)
    ]


@pytest.mark.parametrize("page", parameters())
def test_the_commands_of_a_page_compose(page, tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(
        "\n".join(block.text for block in blocks(page, "python") if "my_nets" in block.text)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TOKEN", "secret")
    with cached_composing():
        for words in checkable(page):
            checked(arguments(words))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and GitHub make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


FOR_CONTRIBUTORS = [ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]


@pytest.mark.parametrize("page", [*pages(), *FOR_CONTRIBUTORS], ids=page_name)
def test_the_links_of_a_page_lead_to_files_and_headings(page):
    for link in (first or second for first, second in LINK.findall(page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        inside = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else ""
        if inside.startswith(GENERATED):
            continue
        assert target.exists(), f"{page_name(page)} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page_name(page)} links to {link}: no such heading"


def test_both_readmes_show_the_same_commands():
    english, chinese = (commands(ROOT / name) for name in ("README.md", "README.zh.md"))
    assert english == chinese
    assert english


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, "python")], ids=page_name)
def test_python_blocks_are_python(page):
    for block in blocks(page, "python"):
        compile(block.text, page_name(page), "exec")


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN)
def test_a_drawn_command_of_the_pages_runs(command, tmp_path, monkeypatch, capsys):
    words = command.split()
    assert any(words == found for page in pages() for found in commands(page)), f"no page has {command}"
    monkeypatch.chdir(tmp_path)
    assert main([*words, *TINY]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_the_python_lines_about_pictures_give_a_map_for_each_image():
    import torch

    from headstart.backbones.zoo.small_cnn import small_cnn
    from headstart.modules.heads.linear_head import LinearHead

    backbone = small_cnn(width=4, size=32, channels=1, keep=None)
    names = {
        "backbone": backbone,
        "head": LinearHead(width=backbone.width, num_classes=3, init="random"),
        "images": torch.zeros(2, 1, 32, 32, dtype=torch.uint8),
        "classes": torch.tensor([0, 2]),
    }
    (block,) = blocks(DOCS / "how_to" / "explain.md", "python")
    exec(block.text, names)
    assert len(names["maps"]) == 2


@pytest.mark.slow
def test_the_python_lines_for_notebooks_run(tmp_path, monkeypatch, capsys):
    import numpy as np
    from PIL import Image

    (block,) = blocks(DOCS / "how_to" / "notebook.md", "python")
    short = block.text.replace('"seed=1"]', '"seed=1", *SMALL]')
    assert short != block.text
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "photos" / "black.png")
    exec(short, {"SMALL": TINY})
    assert "black.png" in capsys.readouterr().out

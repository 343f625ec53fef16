"""Code blocks of the project's Markdown pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"<[\w ]+>")  # <run> of a path that only the reader knows


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Args:
        page: The file.
        language: The word behind the fence.
        text: Its lines.
    """

    page: Path
    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that a comment in its first line names (below `# @package`); "" where none does."""
        match = re.match(r"(?:# @package \w+\n)?# ([\w/.]+\.(?:py|yaml))\n", self.text)
        return match[1] if match else ""


def pages() -> list[Path]:
    """All Markdown pages that a user reads: the READMEs and docs/."""
    return [ROOT / "README.md", ROOT / "README.zh.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages."""
    fenced = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(page, language, text) for language, text in fenced if language in languages]


def commands(page: Path) -> list[list[str]]:
    """The arguments of each headstart command in the page's bash blocks, placeholders replaced by `run`."""
    return [words for block in blocks(page, "bash") for words in _commands_of(block.text)]


def _commands_of(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        if not re.match(r"\s*(?:[A-Z_]+=\S+ )*headstart\b", line):
            continue
        words = shlex.split(PLACEHOLDER.sub("run", line), comments=True)
        yield words[words.index("headstart") + 1 :]

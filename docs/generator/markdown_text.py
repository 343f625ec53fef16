"""Plain text as Markdown: comments, docstrings and values, escaped where Markdown would read them otherwise."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):$")


@dataclass
class Docstring:
    """A docstring in Google style, taken apart.

    Args:
        text: What stands before the first section, as Markdown.
        parameters: Meaning of each parameter by name, as Markdown.
        sections: The other sections (Returns, Raises, Yields), as Markdown.
    """

    text: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)


def inline(text: str) -> str:
    """A line of text in which nothing but `code` is markup."""
    parts = text.replace("``", "`").split("`")
    if len(parts) % 2 == 0:  # one apostrophe alone
        return _escaped(text)
    return "`".join(part if at % 2 else _escaped(part) for at, part in enumerate(parts))


def cell(text: str) -> str:
    """The same for a cell of a table."""
    return inline(text).replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """Text as code inside a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`"


def docstring(text: str | None) -> Docstring:
    """The parts of a docstring; an absent one has none."""
    parsed = Docstring()
    lines = inspect.cleandoc(text or "").splitlines()
    before: list[str] = []
    section, body = "", []
    for line in [*lines, "End:"]:
        match = SECTION.match(line) or (re.match("^(End):$", line))
        if not match:
            (body if section else before).append(line)
            continue
        if section in ("Args", "Attributes"):
            parsed.parameters |= _parameters(body)
        elif section:
            parsed.sections[section] = inline(" ".join(part.strip() for part in body if part.strip()))
        section, body = match[1], []
    parsed.text = "\n".join(line if line.startswith("    ") else inline(line) for line in before).strip()
    return parsed


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        match = re.match(r"^ {2,4}\*{0,2}(\w+)(?: \([^)]*\))?: ?(.*)$", line)
        if match:
            name = match[1]
            found[name] = [match[2]]
        elif name and line.strip():
            found[name].append(line.strip())
    return {name: inline(" ".join(text)) for name, text in found.items()}


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([*\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", text)

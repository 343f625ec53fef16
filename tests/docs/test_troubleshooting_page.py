"""The messages on the page Troubleshooting are those of the code."""

import ast
import re
from functools import cache

import pytest

from page_blocks import DOCS, ROOT

MESSAGES = re.findall(r"^`([^`].*)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
GAP = "\x00"


@cache
def texts() -> str:
    """All texts in the source, what is filled in replaced by a gap."""
    found = []
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(" ".join(text.split()) for text in found)


def test_the_page_has_messages():
    assert len(MESSAGES) > 40


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_stands_in_the_code(message):
    pieces = [piece.strip(" ;:,()") for piece in message.split("...")]
    known = [piece for piece in pieces if len(piece) >= 3]
    assert known
    for piece in known:
        assert piece in texts(), f"no message has {piece!r}"

"""Texts as a terminal may show them: what it would obey is written out."""

from __future__ import annotations

import re

# what moves the cursor, sets colours or titles, turns the direction of writing, or is no character at all
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with each character that a terminal would not show escaped, line breaks too: \\n, \\x1b, \\u200b.

    Args:
        text: Any.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def without_commands(text: str) -> str:
    """The text with what a terminal would obey escaped; line breaks and tabs stay, and so do joiners of letters.

    Args:
        text: Of names and values that another person may have chosen.
    """
    return OBEYED.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()

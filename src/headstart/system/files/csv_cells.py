"""Cells of CSV files that no spreadsheet takes for a formula."""

from __future__ import annotations

import re

BEGINS = re.compile(r"'*[=+\-@\t\r\n]")  # with these, spreadsheets let a formula begin
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would compute it; a number stays a number.

    A name that begins with apostrophes and such a sign gets one more, so that `uncelled` gives each name back.
    """
    return f"'{text}" if BEGINS.match(text) and not NUMBER.fullmatch(text) else text


def uncelled(text: str) -> str:
    """What `cell` made this text of."""
    return text[1:] if text.startswith("'") and BEGINS.match(text) else text

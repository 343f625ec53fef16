"""Printing of lines whose names and values another person may have chosen."""

from __future__ import annotations

from headstart.system.credential_masking import masked
from headstart.system.printing.terminal_escaping import without_commands


def tell(*texts: str) -> None:
    """Print lines on stdout, without credentials and without what a terminal would obey.

    Args:
        texts: Each a line or several.
    """
    print(*(without_commands(masked(text)) for text in texts), sep="\n", flush=True)

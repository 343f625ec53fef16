"""Names of files and classes, which must be UTF-8 to stand in logs, tables and JSON files."""

from __future__ import annotations

from headstart.types import UserError


def utf8(name: str) -> str:
    """The name of a file or a class. Raises UserError where it is not UTF-8."""
    if (shown := escaped(name)) == name:
        return name
    raise UserError(
        f"the names of files and classes must be UTF-8, got {shown}; rename it (of a whole folder at once: "
        "convmv -r -f latin1 -t utf8 --notest <folder>)"
    )


def escaped(name: str) -> str:
    """A name as it can be shown: bytes that are not UTF-8, which Python keeps as surrogates, as \\xe9."""
    return "".join(map(_escaped, name))


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) & 0xFF:02x}"
    return ascii(letter)[1:-1] if "\ud800" <= letter <= "\udfff" else letter  # half of a character, as JSON may hold it

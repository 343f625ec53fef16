"""Mutants that no test can notice, each with the reason: read from known_survivors.toml."""

import tomllib
from pathlib import Path

from mutants import Mutant

TABLE = Path(__file__).with_suffix(".toml")


def reasons() -> dict[tuple[str, str, str], str]:
    """(file below src/headstart, line before, line after) -> the reason."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
    return {(row["file"], row["before"], row["after"]): row["reason"] for row in rows}


def reason(mutant: Mutant, root: Path, known: dict[tuple[str, str, str], str]) -> str | None:
    """Why no test can notice a mutant; None of one that is not in the table."""
    before, after = mutant.changed_line()
    return known.get((mutant.path.relative_to(root).as_posix(), before, after))

"""What an earlier process of the same choice has left in its folder."""

from __future__ import annotations

from pathlib import Path

from headstart.runs.candidates.choosing.chosen_model import CHOICE, MODEL
from headstart.runs.candidates.choosing.narrowing import FILE as NARROWED
from headstart.runs.candidates.choosing.time_left import FILE as TIME
from headstart.runs.folder.run_folder import RESULT, cleared


def forget_earlier(folder: Path) -> None:
    """Take away what a choice would go on with: its result, its candidates, the time that it spent, its model.

    Trials stay: they lie in a folder of their own, and are the same whoever asks for them.

    Args:
        folder: Of the command.
    """
    for name in (RESULT, NARROWED, TIME, CHOICE):
        (folder / name).unlink(missing_ok=True)
    if (folder / MODEL).is_dir():
        cleared(folder / MODEL)

"""Paths as settings give them."""

from __future__ import annotations

from pathlib import Path

from headstart.types import UserError


def given_path(text: str | Path, setting: str) -> Path:
    """The path, with ~ for the home folder. Raises UserError where the text is empty: it would mean the working folder.

    setting: what it is called on the command line.
    """
    if not str(text).strip():
        raise UserError(
            f"{setting} must be a path, got an empty text, as a shell variable that is not set leaves; the working "
            f"folder is written {setting}=."
        )
    return Path(text).expanduser()


def made_folder(folder: Path, setting: str) -> Path:
    """The folder, made where there is none. Raises UserError where it cannot be, as where a file lies there.

    setting: what it is called on the command line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UserError(
            f"{setting} must be a folder that can be written, got {folder} ({error.strerror}); give another one"
        ) from error
    return folder

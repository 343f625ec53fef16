"""Storage of a search's trials: a journal in the sweep's folder, or a database."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.types import UserError

JOURNAL = "trials.journal"  # in the sweep's folder
BEGINS = b'{"op_code":'  # each line of a journal
INSTALL = "pip install 'headstart[optuna]'"


def optuna() -> Any:
    """The module of Optuna, whose own log is silent then. Raises UserError where it is not installed."""
    try:
        module = import_module("optuna")
    except ImportError as error:
        raise UserError(f"hydra/sweeper=optuna needs Optuna 4 or later ({error}); try: {INSTALL}") from error
    module.logging.set_verbosity(module.logging.ERROR)
    return module


def opened_storage(address: str) -> Any:
    """The storage at an address.

    A journal is a file that several processes, also on other machines of a shared file system, append to.

    Args:
        address: The path of a journal, or the URL of a database as SQLAlchemy writes it (sqlite:///trials.db).

    Raises:
        UserError: The journal is damaged or cannot be written, the database cannot be opened, or its driver is not
            installed.
    """
    library = optuna()
    if "://" not in address:
        return _opened_journal(Path(address), library)
    try:
        return library.storages.RDBStorage(address)
    except Exception as error:  # SQLAlchemy, its drivers and servers raise whatever they do
        raise UserError(
            f"hydra.sweeper.storage cannot be opened ({_told(error)}); null keeps a journal in the sweep's folder"
        ) from error


def mend_journal(file: Path) -> None:
    """Cut off a last line that a process which was killed has not written to its end; no other may write meanwhile.

    Args:
        file: The journal.

    Raises:
        UserError: The file is there and is no journal: nothing in it is touched.
    """
    if not file.exists():
        return
    if not file.is_file():
        raise UserError(f"hydra.sweeper.storage must be a journal's file or the URL of a database, got {file}")
    content = file.read_bytes()
    *lines, last = content.split(b"\n")
    wrong = next((number for number, line in enumerate(lines, 1) if not _is_entry(line)), None)
    if wrong is not None or not (last.startswith(BEGINS) or BEGINS.startswith(last)):
        raise UserError(_damaged(file, f"line {wrong or len(lines) + 1} is no entry of Optuna's journal"))
    if last:
        with file.open("r+b") as stream:
            stream.truncate(len(content) - len(last))


def _opened_journal(file: Path, library: Any) -> Any:
    try:
        return library.storages.JournalStorage(import_module("optuna.storages.journal").JournalFileBackend(str(file)))
    except OSError:  # no room, no permission: said as of any file
        raise
    except Exception as error:  # of entries that do not fit Optuna raises whatever its own code does
        raise UserError(_damaged(file, _told(error))) from error


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and isinstance(entry.get("op_code"), int)


def _damaged(file: Path, why: str) -> str:
    return (
        f"{file} is no journal of a search, or is damaged: {why}; put a whole copy in its place, or give this search "
        "another study_name or hydra.sweeper.storage"
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

"""Storage of a search's trials: a journal in the sweep's folder, or a database."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.types import UserError

JOURNAL = "trials.journal"  # in the sweep's folder
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
        UserError: The database cannot be opened, or its driver is not installed.
    """
    library = optuna()
    if "://" not in address:
        backend = import_module("optuna.storages.journal").JournalFileBackend(address)
        return library.storages.JournalStorage(backend)
    try:
        return library.storages.RDBStorage(address)
    except Exception as error:  # SQLAlchemy, its drivers and servers raise whatever they do
        text = " ".join(str(error).split())[:300]
        raise UserError(
            f"hydra.sweeper.storage cannot be opened ({type(error).__name__}: {text}); null keeps a journal in the "
            "sweep's folder"
        ) from error


def mend_journal(file: Path) -> None:
    """Cut off a last line that a process which was killed has not written to its end; no other may write meanwhile."""
    if not file.is_file():
        return
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)

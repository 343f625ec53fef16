"""The mark of a run's folder: which run it is for, and which process has trained it last."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from headstart.runs.folder.run_folder import write_json

MARK = "run.json"


def write_mark(folder: Path, digest: str, *, asked: str) -> None:
    """Write that the folder is for a run of this hash, which this process trains now.

    asked: the hash of the config before a rule or a tuning gave it values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    by = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    write_json(folder / MARK, {"format": 1, "hash": digest, "asked": asked, "by": by})


def marked_hashes(folder: Path) -> tuple[str, ...]:
    """The hash of the run that the folder is for, then the one it was asked for by; empty where it has no mark."""
    mark = _mark(folder)
    return tuple(dict.fromkeys(str(mark[key]) for key in ("hash", "asked") if key in mark))


def holder(folder: Path) -> str:
    """Who has trained in the folder last, in words."""
    by = _mark(folder).get("by")
    if not isinstance(by, dict):
        return "another command"
    return f"process {by.get('pid')} on {by.get('host')} (since {by.get('since')})"


def _mark(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

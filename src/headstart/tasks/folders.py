"""What lies in a run's folder, and when is the run finished?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from headstart.report.files import plain, write_whole

ANSWERS = "answers"  # what each image contributed to the figures
RESULT = "result.json"  # written last: where it is, the run is finished


def finished(folder: Path) -> dict[str, Any] | None:
    """The result of a finished run, None where there is none (a damaged one counts as none)."""
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result


def cleared(folder: Path) -> Path:
    """The folder without what an earlier run of the same hash left: it would mix with the new run's curves."""
    for leftover in ("checkpoints", ANSWERS, "metrics.csv", RESULT, "error.txt"):
        path = folder / leftover
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for pattern in ("events.out.tfevents.*", "profile*.txt", "profile*.pt.trace.json"):
        for leftover_file in folder.glob(pattern):
            leftover_file.unlink()
    (folder / "checkpoints").mkdir(parents=True)
    return folder


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write so that whoever reads sees all of it or nothing; floats that are no number become null."""
    write_whole(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")

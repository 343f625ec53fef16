"""Results of all finished runs below a folder, a record for each; needs no torch."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headstart.report.stored_runs.study_runs import FinishedRun, runs_below
from headstart.types import UserError

COPIED = ("study", "hash", "steps", "examples", "wall_s", "num_classes")  # of result.json, as they are


def results(folder: str | Path = "outputs", *, frame: bool | None = None) -> Any:
    """A record of each finished run below a folder: its settings, its metrics by tag, and what it took.

    Args:
        folder: A run's folder, or one above it.
        frame: Whether the records are a pandas.DataFrame; None: where pandas is installed.

    Returns:
        A DataFrame with a row for each run, or a list of dicts. Runs that are unfinished or damaged are left out.

    Raises:
        UserError: There is no such folder, or a DataFrame is wanted and pandas is not installed.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"expected a folder of runs, got {folder}, which is not there")
    records = [_record(run) for run in runs_below(path).finished]
    if frame is None:
        frame = find_spec("pandas") is not None
    if not frame:
        return records
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise UserError("frame=True needs pandas, which is not installed; try: pip install pandas") from error
    return pandas.DataFrame.from_records(records)


def _record(run: FinishedRun) -> dict[str, Any]:
    metrics = run.result.get("metrics")
    return {
        "folder": str(run.folder),
        "mode": run.mode,
        "seed": run.seed,
        "fold": run.fold,
        "control": run.is_control,
        "state": "diverged" if run.has_diverged else "finished",
        "overrides": " ".join(run.overrides),
        **{key: run.result.get(key) for key in COPIED},
        **(metrics if isinstance(metrics, dict) else {}),
    }

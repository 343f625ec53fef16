"""What the jobs of a sweep do now, read from their folders."""

from __future__ import annotations

import json
import math
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headstart.report.stored_runs.metric_rows import rows_in
from headstart.report.stored_runs.study_runs import config_in
from headstart.runs.folder.folder_mark import MARK
from headstart.runs.folder.run_folder import finished
from headstart.runs.folder.training_lock import LOCK, is_held
from headstart.runs.status.planned_jobs import planned_jobs, written_overrides
from headstart.system.credential_masking import without_credentials

State = Literal["running", "waiting", "stopped", "failed", "diverged", "pruned", "finished"]
STATES: tuple[State, ...] = ("running", "waiting", "stopped", "failed", "diverged", "pruned", "finished")
ERROR = "error.txt"


class JobState(NamedTuple):
    """One job.

    Attributes:
        folder: Of the job.
        overrides: Its own; None where nobody knows them.
        state: stopped: it has begun, and nobody trains it now; waiting: it has not begun.
        epoch: Epochs that are done; nan where nothing was measured.
        epochs: How many it has in all; None where another setting ends it.
        metric: Name of its monitored metric; empty where it is not known.
        trainable: How many stages are trainable in the phase of now; nan where nothing says it.
        value: The metric's newest value, of a finished run that of its best checkpoint.
        elapsed_s: Seconds since it began, of a finished run what fitting took; nan where nobody knows.
        error: Of a failed job the last line of its error.
    """

    folder: Path
    overrides: tuple[str, ...] | None
    state: State
    epoch: float = math.nan
    epochs: int | None = None
    metric: str = ""
    value: float = math.nan
    trainable: float = math.nan
    elapsed_s: float = math.nan
    error: str = ""

    @property
    def left_s(self) -> float:
        """Seconds to the end of a running job, by the time that its epochs took; nan where nothing tells."""
        if self.state != "running" or self.epochs is None or not self.epoch > 0:
            return math.nan
        return max(0.0, self.elapsed_s * (self.epochs / self.epoch - 1))


def job_states(sweep: Path) -> list[JobState]:
    """The jobs of a sweep's folder: those that lie there, and those that its last command has planned.

    Args:
        sweep: The folder.
    """
    planned = {job.folder.name: job for job in planned_jobs(sweep)}
    there = {path.name: path for path in sorted(sweep.iterdir()) if path.is_dir() and (path / ".hydra").is_dir()}
    names = [*planned, *(name for name in there if name not in planned)]
    return [
        job_state(there[name], planned[name].overrides if name in planned else None)
        if name in there
        else JobState(planned[name].folder, planned[name].overrides, "waiting")
        for name in names
    ]


def job_state(folder: Path, overrides: tuple[str, ...] | None = None, *, is_trained: bool | None = None) -> JobState:
    """What the job of a folder does now.

    Args:
        folder: Of the job.
        overrides: Its own, where they are known besides.
        is_trained: Whether somebody trains it now; None: as its lock says.
    """
    overrides = written_overrides(folder) if overrides is None else overrides
    result = finished(folder)
    is_trained = is_held(folder / LOCK) if is_trained is None else is_trained
    if result is not None and not is_trained:
        metric = str(result.get("monitor") or "val/accuracy")
        value, wall = (result.get("metrics") or {}).get(metric), result.get("wall_s")
        points = result.get("evaluations") or [{}]
        said = result.get("state")
        return JobState(
            folder,
            overrides,
            "pruned" if said == "pruned" else "diverged" if said == "diverged" else "finished",
            epoch=_number(points[-1].get("epoch")),
            metric=metric,
            value=_number(value),
            elapsed_s=_number(wall),
        )
    error = _last_line(folder / ERROR)
    state: State = "running" if is_trained else "failed" if error else "stopped"
    config = config_in(folder)
    metric = _metric(config)
    epoch, value, trainable = _newest(folder, metric, "stages/trainable")
    length = _node(config, "trainer").get("max_epochs")
    epochs = length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None
    elapsed = _elapsed(folder) if state == "running" else math.nan
    told = error if state == "failed" else ""
    return JobState(folder, overrides, state, epoch, epochs, metric, value, trainable, elapsed, told)


def _metric(config: dict[str, Any]) -> str:
    said = _node(config, "module").get("metric")
    return f"val/{said}" if isinstance(said, str) else "val/accuracy"


def _node(config: dict[str, Any], key: str) -> dict[str, Any]:
    """A node of a config; empty where it is none, as in a config that was damaged."""
    node = config.get(key)
    return node if isinstance(node, dict) else {}


def _newest(folder: Path, *columns: str) -> tuple[float, ...]:
    """The last epoch in metrics.csv, and the last value of each of the columns."""
    try:
        rows = rows_in(folder / "metrics.csv")
    except (OSError, ValueError):  # it has not measured anything yet, or writes just now
        return (math.nan,) * (1 + len(columns))
    return tuple(
        next((row[name] for row in reversed(rows.values()) if name in row), math.nan) for name in ("epoch", *columns)
    )


def _elapsed(folder: Path) -> float:
    try:
        since = json.loads((folder / MARK).read_text(encoding="utf-8"))["by"]["since"]
        return max(0.0, time.time() - datetime.fromisoformat(str(since)).timestamp())
    except (OSError, ValueError, KeyError, TypeError):
        return math.nan


def _last_line(file: Path) -> str:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    return without_credentials(next((line for line in reversed(lines) if line), ""))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

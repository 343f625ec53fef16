"""Results of runs that were started from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headstart.runs.folder.run_folder import finished, result_damage
from headstart.types import UserError

if TYPE_CHECKING:
    from headstart.api.loaded_model import LoadedModel


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: The run's folder.
        metrics: Metrics of the best checkpoint, by tag: val/accuracy, test/accuracy, test/loss and others.
        record: The content of result.json.
    """

    folder: Path
    metrics: Mapping[str, float]
    record: Mapping[str, Any] = field(repr=False)

    @property
    def state(self) -> str:
        """`finished`, or `diverged`."""
        return str(self.record.get("state", "finished"))

    def load_model(self, *, checkpoint: Literal["best", "last"] = "best", accelerator: str = "auto") -> LoadedModel:
        """The model of the run.

        Args:
            checkpoint: Whether the best weights or the last ones are loaded.
            accelerator: Where it computes, as Lightning names it: cpu, gpu, mps or auto.
        """
        from headstart.api.loaded_model import load

        return load(self.folder, checkpoint=checkpoint, accelerator=accelerator)


@dataclass(frozen=True)
class SweepResult:
    """The runs of a sweep.

    Attributes:
        folder: The folder of the study.
        runs: One result for each job, those that diverged among them.
        failures: The message of each job that failed, by its folder.
    """

    folder: Path
    runs: tuple[RunResult, ...]
    failures: Mapping[Path, str]

    @property
    def report(self) -> Path | None:
        """The report of the study; None where none was written."""
        file = self.folder / "report.html"
        return file if file.is_file() else None


def run_result_in(folder: Path) -> RunResult:
    """The result of the run in a folder.

    Args:
        folder: The run's folder.

    Raises:
        UserError: The run has no result, or it is damaged.
    """
    record = finished(folder)
    if record is None:
        damage = result_damage(folder)
        why = f"its result.json is damaged ({damage})" if damage else "it has no result.json"
        raise UserError(f"expected the folder of a finished run, got {folder}: {why}")
    return RunResult(folder, record["metrics"], record)

"""The report at the end of a multirun, by a callback of Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell

if TYPE_CHECKING:
    from headstart.report.report_files import WrittenReport

REPORTED = ("fit", "few_images")  # the tasks whose sweeps end in a report
written: list[WrittenReport] = []  # of this process, so that the command knows what Hydra has not called for
failures: list[Exception] = []  # Hydra turns an exception of a callback into a warning: the exit code needs it


class ReportAtEnd(Callback):
    """Writes the report of the sweep's folder when all jobs are done, and prints its verdict.

    Hydra does not call it when a job failed; `report_at_end` is there for the command to call then.
    """

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if OmegaConf.select(config, "task") in REPORTED and rank_environment.rank() == 0:
            report_at_end(Path(str(config.hydra.sweep.dir)))


def report_at_end(folder: Path) -> Path | None:
    """The page of a folder's report, whose verdict is printed; None where it failed, see `failures`."""
    from headstart.report.report_files import write_report  # here, as Hydra imports this module before each job

    try:
        report = write_report(folder)
    except Exception as error:
        failures.append(error)
        return None
    written.append(report)
    tell(f"\n{report.text}\n  report: {report.page}")
    return report.page

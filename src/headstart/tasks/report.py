"""The task `report`: the report of a study's folder, written again."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from headstart.report.report_files import write_report
from headstart.runs.outcome.report_logging import log_report
from headstart.system.files.setting_paths import given_path
from headstart.system.printing.terminal_printing import tell


def report(
    *,
    cfg: DictConfig,
    dir: str | Path,  # noqa: A002
    baseline: str,
    metric: str | None,
    figures: bool,
    errors: bool,
    studies: list[str] | None,
) -> None:
    """Print the verdict of a study's runs and the path of its page, report.html in the same folder.

    Args:
        cfg: The composed config, of which the loggers alone are read: W&B, MLflow and Comet are told the verdicts.
        dir: The study's folder.
        baseline: The mode that the others are compared with.
        metric: A column of metrics.csv; None for the runs' own monitored metric.
        figures: Draw each figure too, as SVG and PNG in report-figures/.
        errors: Show images of the most confident errors in the page.
        studies: Folders of studies that stand side by side; the report is written into `dir`, which may be new.

    Raises:
        UserError: There is no finished run, or the runs lack the metric.
    """
    written = write_report(
        given_path(dir, "report.dir"),
        baseline=baseline,
        metric=metric,
        figures=figures,
        errors=errors,
        studies=[given_path(study, "report.studies") for study in studies or ()],
    )
    tell(f"{written.text}\n  report: {written.page}")
    log_report(cfg, written)

"""A study's verdicts in W&B, MLflow and Comet, as a run of their own; the report itself writes TensorBoard's."""

from __future__ import annotations

import logging
import math
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.report.report_files import WrittenReport
from headstart.system.metric_direction import lower_is_better

log = logging.getLogger(__name__)
VERDICT = "verdict"


def log_report(cfg: DictConfig, report: WrittenReport) -> None:
    """Tell the verdicts and each arm's mean level at the end; a later report of the folder goes on with the same run.

    Args:
        cfg: The composed config, whose loggers are told; nothing where it names none of these.
            An error of theirs is a warning.
        report: Of the study.
    """
    from headstart.runs.training.loggers.run_loggers import NEEDED  # here, with what follows: they need Lightning

    nodes = OmegaConf.to_container(cfg.get("logger") or OmegaConf.create(), resolve=False)
    assert isinstance(nodes, dict)  # a DictConfig gives a dict; mypy cannot know
    outside: dict[Any, Any] = {key: node for key, node in nodes.items() if node and node.get("_target_") in NEEDED}
    if not outside:
        return
    try:
        _tell(cfg, outside, report)
    except Exception as error:
        log.warning("the loggers were not told the verdicts: %s: %s", type(error).__name__, error)


def _tell(cfg: DictConfig, outside: dict[Any, Any], report: WrittenReport) -> None:
    from headstart.callbacks.loggers.logger_display import show_summary, show_text
    from headstart.runs.training.loggers.logger_closing import ended_with_run
    from headstart.runs.training.loggers.run_loggers import RunNames, begin_loggers, made_loggers

    folder = report.page.parent
    own = cfg.copy()
    with open_dict(own):
        own.logger, own.run_dir = outside, folder.as_posix()
    study = folder.resolve().name
    names = RunNames(study=study, arm="report", name=f"{study} report", settings={})
    loggers = made_loggers(own, folder, names, goes_on=True)
    with ended_with_run(loggers):
        begin_loggers(own, folder, loggers, names)
        show_text(loggers, VERDICT, report.text)
        show_summary(loggers, {}, _levels(report), 0)


def _levels(report: WrittenReport) -> dict[str, float]:
    """The mean level at the end of each arm, as it was logged."""
    from headstart.report.analysis.run_measures import END

    sign = -1.0 if lower_is_better(report.study.metric) else 1.0
    means = {arm.label: arm.means[END].mean for section in report.study.sections for arm in section.all_arms}
    return {f"asymptote/{label}": sign * mean for label, mean in means.items() if math.isfinite(mean)}

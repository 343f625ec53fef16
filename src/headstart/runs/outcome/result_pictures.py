"""Figures of a task as PNG files in its folder, and in the loggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from headstart.callbacks.loggers.logger_display import show_figures, show_text, take_pictures
from headstart.runs.training.loggers.logger_closing import ended_with_run
from headstart.runs.training.loggers.run_loggers import RunNames, made_loggers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def picture_loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of a config that take pictures, for a task that trains no run.

    Args:
        cfg: The composed config.
    """
    task = str(cfg.task)
    names = RunNames(study=task, arm=task, name=task, settings={"seed": cfg.seed})
    loggers = made_loggers(cfg, Path(cfg.run_dir), names, goes_on=False)
    return [logger for logger in loggers if take_pictures([logger])]


def show_in(loggers: Sequence[Logger], task: str, figures: Mapping[str, Figure], text: str | None = None) -> None:
    """Show figures in loggers as <task>/<name>, and a text as <task>.

    Args:
        loggers: Of the config; each is closed.
        task: What the tags begin with.
        figures: By name.
        text: Aligned lines.
    """
    with ended_with_run(loggers):
        if text is not None:
            show_text(loggers, task, text)
        show_figures(loggers, {f"{task}/{name}": figure for name, figure in figures.items()}, 0)


def write_pictures(cfg: DictConfig, folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Write each figure to <folder>/<name>.png, and to the loggers that take pictures as <task>/<name>.

    Args:
        cfg: The composed config.
        folder: Of the task.
        figures: By name.
    """
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    show_in(picture_loggers(cfg), cfg.task, figures)
    return paths

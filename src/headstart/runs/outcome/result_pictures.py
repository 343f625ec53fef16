"""Figures of a task as PNG files in its folder, and in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from pytorch_lightning.loggers import TensorBoardLogger

from headstart.compat.hydra_instantiation import instantiate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def write_pictures(cfg: DictConfig, folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Write each figure to <folder>/<name>.png, and to TensorBoard as <task>/<name> where there is such a logger.

    Args:
        cfg: The composed config.
        folder: Of the task.
        figures: By name.
    """
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    loggers = [instantiate(node) for node in cfg.logger.values() if node]
    for board in [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]:
        for name, figure in figures.items():
            board.experiment.add_figure(f"{cfg.task}/{name}", figure, global_step=0, close=False)
        board.experiment.close()
    return paths

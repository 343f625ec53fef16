"""Figures of a task as PNG files in its folder, and in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from pytorch_lightning.loggers import TensorBoardLogger

from headstart.compat.hydra_instantiation import instantiate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def tensorboards(cfg: DictConfig) -> list[TensorBoardLogger]:
    """The TensorBoard loggers that a config names.

    Args:
        cfg: The composed config.
    """
    loggers = [instantiate(node) for node in cfg.logger.values() if node]
    return [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]


def show_in(
    boards: Sequence[TensorBoardLogger], task: str, figures: Mapping[str, Figure], text: str | None = None
) -> None:
    """Show figures in TensorBoard as <task>/<name>, and a text as <task>.

    Args:
        boards: Of the config; each is closed.
        task: What the tags begin with.
        figures: By name.
        text: Aligned lines, which Markdown shows as they are.
    """
    for board in boards:
        if text is not None:
            lines = "\n".join(f"    {line}" for line in text.splitlines())
            board.experiment.add_text(task, lines, global_step=0)
        for name, figure in figures.items():
            board.experiment.add_figure(f"{task}/{name}", figure, global_step=0, close=False)
        board.experiment.close()


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
    show_in(tensorboards(cfg), cfg.task, figures)
    return paths

"""Figures, images and texts of a run, shown in each of its loggers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from headstart.callbacks.loggers.logger_kinds import KnownLogger, known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def take_pictures(loggers: Iterable[Logger]) -> bool:
    """Whether any of the loggers can show a picture.

    Args:
        loggers: Of a run.
    """
    return any(known(logger).takes_pictures for logger in loggers)


@rank_zero_only
def show_figures(loggers: Iterable[Logger], figures: Mapping[str, Figure], step: int) -> None:
    """Show figures in each logger that takes pictures.

    Args:
        loggers: Of a run.
        figures: By their tags.
        step: Optimizer steps done.
    """
    for logger in loggers:
        for tag, figure in figures.items():
            _told(logger, _figure(tag, figure, step), pictures=True)


def _figure(tag: str, figure: Figure, step: int) -> Callable[[KnownLogger], None]:
    return lambda kind: kind.show_figure(tag, figure, step)


@rank_zero_only
def show_image(loggers: Iterable[Logger], tag: str, image: Any, step: int) -> None:
    """Show an image in each logger that takes pictures.

    Args:
        loggers: Of a run.
        tag: Of the image.
        image: (H, W, 3) uint8.
        step: Optimizer steps done.
    """
    for logger in loggers:
        _told(logger, lambda kind: kind.show_image(tag, image, step), pictures=True)


@rank_zero_only
def show_text(loggers: Iterable[Logger], tag: str, text: str) -> None:
    """Show aligned lines in each logger.

    Args:
        loggers: Of a run.
        tag: Of the text.
        text: The lines.
    """
    for logger in loggers:
        _told(logger, lambda kind: kind.show_text(tag, text))


@rank_zero_only
def show_settings(loggers: Iterable[Logger], settings: Mapping[str, Any]) -> None:
    """Tell each logger at the beginning what tells its run apart; TensorBoard learns it at the end.

    Args:
        loggers: Of a run.
        settings: By name.
    """
    for logger in loggers:
        _told(logger, lambda kind: kind.show_settings(settings))


@rank_zero_only
def show_summary(
    loggers: Iterable[Logger], settings: Mapping[str, Any], metrics: Mapping[str, float], step: int
) -> None:
    """Tell each logger the metrics that a run ends with; TensorBoard's HPARAMS shows them beside the settings.

    Args:
        loggers: Of a run.
        settings: That tell the runs of a study apart.
        metrics: By name.
        step: Optimizer steps done.
    """
    for logger in loggers:
        _told(logger, lambda kind: kind.show_summary(settings, metrics, step))


def _told(logger: Logger, tell: Callable[[KnownLogger], None], *, pictures: bool = False) -> None:
    """Tell a logger something. An error is a warning: nothing that a logger shows may cost a run its result."""
    kind = known(logger)
    if pictures and not kind.takes_pictures:
        return
    try:
        tell(kind)
    except Exception as error:
        log.warning("%s was not told: %s: %s", type(logger).__name__, type(error).__name__, error)

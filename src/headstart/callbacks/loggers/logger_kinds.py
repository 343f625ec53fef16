"""How each kind of logger takes a picture, a text, settings and final metrics."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning.loggers import CometLogger, CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from headstart.compat.tensorboard_events import add_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_MLFLOW = re.compile(r"[^\w./: -]")  # characters that no name of a parameter may have there, as the @ of data@target


class KnownLogger:
    """Any logger: settings and texts as hyper-parameters, metrics as they come, pictures where it has `log_image`.

    Args:
        logger: It. Its `log_image(key=..., images=[...], step=...)` is called as Lightning's own loggers have it.
    """

    PICTURES: bool | None = None  # whether it can show any; None: where it has log_image

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    @property
    def takes_pictures(self) -> bool:
        """Whether it can show any."""
        return callable(getattr(self.logger, "log_image", None)) if self.PICTURES is None else self.PICTURES

    def show_image(self, tag: str, image: Any, step: int) -> None:
        """Show an image (H, W, 3) of uint8."""
        self.logger.log_image(key=tag, images=[image], step=step)

    def show_figure(self, tag: str, figure: Figure, step: int) -> None:
        """Show a figure."""
        self.show_image(tag, pixels_of(figure), step)

    def show_text(self, tag: str, text: str) -> None:
        """Show aligned lines."""
        self.logger.log_hyperparams({tag: text})

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        """Note settings at the beginning."""
        self.logger.log_hyperparams(dict(settings))

    def show_summary(self, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        """Note the metrics that a run ends with."""
        self.logger.log_metrics(dict(metrics), step=step)


class _Csv(KnownLogger):
    """metrics.csv, which is for curves alone: what else it would write lies in config.yaml and result.json."""

    PICTURES = False

    def show_text(self, tag: str, text: str) -> None:
        pass

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        pass

    def show_summary(self, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        pass


class _TensorBoard(KnownLogger):
    PICTURES = True

    def show_image(self, tag: str, image: Any, step: int) -> None:
        self.logger.experiment.add_image(tag, image, global_step=step, dataformats="HWC")

    def show_figure(self, tag: str, figure: Figure, step: int) -> None:
        self.logger.experiment.add_figure(tag, figure, global_step=step, close=False)

    def show_text(self, tag: str, text: str) -> None:
        lines = "\n".join(f"    {line}" for line in text.splitlines())  # as Markdown shows what is aligned already
        self.logger.experiment.add_text(tag, lines, global_step=0)

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        pass  # HPARAMS takes them with the metrics, once

    def show_summary(self, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        add_row(self.logger.experiment, settings, list(metrics))
        self.logger.log_metrics(dict(metrics), step=0)


class _Wandb(KnownLogger):
    PICTURES = True

    def show_image(self, tag: str, image: Any, step: int) -> None:
        from PIL import Image

        self.logger.log_image(key=tag, images=[Image.fromarray(np.asarray(image))], step=step)

    def show_text(self, tag: str, text: str) -> None:
        import wandb

        self.logger.log_metrics({tag: wandb.Html(f"<pre>{html.escape(text)}</pre>")}, step=0)

    def show_summary(self, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        self.logger.experiment.summary.update(dict(metrics))


class _Mlflow(KnownLogger):
    PICTURES = True

    def show_image(self, tag: str, image: Any, step: int) -> None:
        self.logger.experiment.log_image(self.logger.run_id, np.asarray(image), key=tag, step=step)

    def show_text(self, tag: str, text: str) -> None:
        self.logger.experiment.log_text(self.logger.run_id, text, f"{tag}.txt")

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        self.logger.log_hyperparams({NOT_MLFLOW.sub("_", key): value for key, value in settings.items()})


class _Comet(KnownLogger):
    PICTURES = True

    def show_image(self, tag: str, image: Any, step: int) -> None:
        self.logger.experiment.log_image(np.asarray(image), name=tag, step=step)

    def show_text(self, tag: str, text: str) -> None:
        self.logger.experiment.log_text(text, metadata={"name": tag})


KINDS: dict[type[Logger], type[KnownLogger]] = {
    CSVLogger: _Csv,
    TensorBoardLogger: _TensorBoard,
    WandbLogger: _Wandb,
    MLFlowLogger: _Mlflow,
    CometLogger: _Comet,
}


def known(logger: Logger) -> KnownLogger:
    """How a logger takes what is more than a metric, by its class.

    Args:
        logger: Of a run.
    """
    return next((kind for of, kind in KINDS.items() if isinstance(logger, of)), KnownLogger)(logger)


def pixels_of(figure: Figure) -> Any:
    """A figure as an image (H, W, 3) of uint8.

    Args:
        figure: It stays as it is.
    """
    from PIL import Image

    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))

"""Positions of the logs in checkpoints: a resumed run cuts them back to where they were."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger

EVENTS = "events.out.tfevents.*"


class LogPositions(Callback):
    """Takes metrics.csv and TensorBoard's files of a resumed run back to where they were at the checkpoint.

    What was logged after it is logged again, and would stand there twice. To be made before the loggers open their
    files.

    Args:
        folder: The folder of the logs.
    """

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder
        self._earlier = sorted(folder.glob(EVENTS))  # of the process that was killed

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if not trainer.is_global_zero or not trainer.training:  # nobody goes on from the best checkpoint
            return
        for logger in trainer.loggers:
            logger.save()  # what waits in memory belongs to this moment
        tables = [Path(logger.experiment.metrics_file_path) for logger in _tables(trainer)]
        checkpoint["logs"] = {
            "tables": [path.read_bytes().decode() if path.exists() else "" for path in tables],
            "events": {path.name: path.stat().st_size for path in sorted(self.folder.glob(EVENTS))},
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if not trainer.is_global_zero or "logs" not in checkpoint:
            return
        for logger, text in zip(_tables(trainer), checkpoint["logs"]["tables"], strict=True):
            if text:  # the logger has deleted the file when it opened it
                Path(logger.experiment.metrics_file_path).write_bytes(text.encode())
                logger.experiment.metrics_keys = next(csv.reader(text.splitlines()))
        sizes = checkpoint["logs"]["events"]
        for path in self._earlier:
            if path.name in sizes:
                os.truncate(path, min(path.stat().st_size, sizes[path.name]))
            else:
                path.unlink()


def _tables(trainer: Trainer) -> list[CSVLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]

"""Callbacks for the command line: when a run's first training step begins, which parts learn in each epoch.
+callbacks.bench._target_=bench_first_step.FirstStep"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback


class FirstStep(Callback):
    """Writes the time of day at which the first training step is done, and ends the process."""

    def __init__(self, *, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, *_: Any) -> None:
        self.path.write_text(json.dumps({"done": time.time()}), encoding="utf-8")
        os._exit(0)


class Learning(Callback):
    """Writes which parts learned in each epoch, as bench_network.Learned has it for the peers."""

    def __init__(self, *, path: str) -> None:
        self.path = Path(path)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        from bench_network import Learned

        self._learned = Learned(pl_module.stages)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._learned.epoch_ended()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self.path.write_text(json.dumps(self._learned.epochs), encoding="utf-8")

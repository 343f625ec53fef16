"""Progress bar of a whole run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from headstart.compat.lightning.lightning_loops import trained_batches


class Progress(Callback):
    """One bar for the whole run, in batches, with the epoch and the last value of the monitored metric beside it.

    Before it stands the name of the run's folder. One line stays at the end, and is all where there is no terminal.

    Args:
        monitor: The metric; None means none.
    """

    def __init__(self, *, monitor: str | None) -> None:
        self.monitor = monitor
        self.title = ""
        self._bar: tqdm[Any] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.title = Path(trainer.default_root_dir).name
            batches = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches
            self._bar = tqdm(
                total=None if batches == float("inf") else int(batches),
                desc=self.title,
                unit="batch",
                dynamic_ncols=True,
                mininterval=0.2,
                leave=False,
                disable=not sys.stderr.isatty(),
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.update(trained_batches(trainer))  # those that a resumed run has behind it

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None and trainer.state.fn == "fit":
            self._bar.set_postfix_str(self._figures(trainer), refresh=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            print(f"{self.title}: {self._figures(trainer)}", file=sys.stderr, flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._bar is not None:
            self._bar.close()

    def _figures(self, trainer: Trainer) -> str:
        value = None if self.monitor is None else trainer.callback_metrics.get(self.monitor)
        shown = "" if value is None else f", {self.monitor} {float(value):.3f}"
        if trainer.max_epochs == -1:  # the run is so many steps long, or ends by its time
            return f"step {trainer.global_step}{f'/{trainer.max_steps}' * (trainer.max_steps != -1)}{shown}"
        return f"epoch {trainer.current_epoch}/{trainer.max_epochs}{shown}"

"""Detects diverged training: a loss or a weight that is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from headstart.callbacks.each_rank import of_each_rank
from headstart.types import Batch

KEY = "divergence"  # in a checkpoint


class First(NamedTuple):
    """The first sign of divergence."""

    what: str  # the training loss, the val loss or the weights
    epoch: int  # in which it was found, the first one is 1; 0: before training


class Divergence(Callback):
    """Notes whether a training loss, a val loss or, when training ends, a weight was nan or infinite, on any rank.

    A run is diverged once that was so, even if its losses become finite again. first: the first sign, None while there
    is none. Losses are summed on their device: the sum stays finite only if each of them is. It is read when an epoch
    or a validation ends and when a checkpoint is written, so that no step waits for the device.
    """

    def __init__(self) -> None:
        self.first: First | None = None
        self._train: Tensor | None = None  # the sum of this rank's training losses since the last reading
        self._val: Tensor | None = None  # that of all logits of val, as the mean loss leaves out batches that are nan

    @property
    def state(self) -> str:
        """`diverged` or `finished`, of a run that has come to its end."""
        return "finished" if self.first is None else "diverged"

    def warning(self, learning_rate: str) -> str:
        """What happened and what to try, in plain words; empty where training has not diverged.

        learning_rate: the setting of the run's learning rate.
        """
        if self.first is None:
            return ""
        when = f"in epoch {self.first.epoch}" if self.first.epoch else "before training"
        return (
            f"training diverged: {self.first.what} was infinite or nan for the first time {when}; the figures do not "
            f"say how good this kind of training is; try a smaller {learning_rate}, trainer.gradient_clip_val=1 or "
            "scheduler=warmup_cosine"
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.first = self._train = self._val = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            self._train = loss.detach().float().clone() if self._train is None else self._train.add_(loss.detach())

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        logits = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
        if trainer.state.fn == "fit" and isinstance(logits, Tensor):
            total = logits.detach().sum(dtype=torch.float32)
            self._val = total if self._val is None else self._val.add_(total)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._read(trainer, val_loss=trainer.callback_metrics.get("val/loss"))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._train is not None:  # on all ranks, as they take the same number of batches
            self._read(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = [p.to_local() if isinstance(p, DTensor) else p for p in pl_module.parameters()]
        finite = all(bool(torch.isfinite(weight.detach()).all()) for weight in weights)
        self._note({"a weight": finite}, trainer.current_epoch)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            self._read(trainer)
            checkpoint[KEY] = tuple(self.first) if self.first is not None else None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get(KEY)
        self.first = None if found is None else First(*found)

    def _read(self, trainer: Trainer, *, val_loss: Tensor | None = None) -> None:
        """Look at what was gathered since the last time; every rank must."""
        found = {
            "the training loss": _is_finite(self._train),
            "the val loss": _is_finite(self._val) and _is_finite(val_loss),
        }
        self._train = self._val = None
        self._note(found, trainer.current_epoch + (trainer.global_step > 0))

    def _note(self, finite: Mapping[str, bool], epoch: int) -> None:
        """Take note of the first sign on any rank; every rank must."""
        if self.first is not None:  # on all ranks, as it is made of what all have found
            return
        everywhere = of_each_rank(dict(finite))
        signs = [what for what in finite if not all(of_rank[what] for of_rank in everywhere)]
        if signs:
            self.first = First(signs[0], epoch)


def _is_finite(value: Tensor | None) -> bool:
    return value is None or bool(torch.isfinite(value))

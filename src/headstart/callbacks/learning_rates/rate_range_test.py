"""Learning-rate range test: one optimizer step at each of rising rates, and the loss before it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Literal

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_loops import stop_after_batch
from headstart.compat.lightning.lightning_trainer import callbacks_of

Ended = Literal["at the highest rate", "the loss rose", "the loss was not finite"]


class RateRangeTest(Callback):
    """Sets the rates of an optimizer's groups before each step, rising, and ends training when the loss has risen.

    Smith 2017, Cyclical Learning Rates for Training Neural Networks (WACV, arXiv:1506.01186), section 3.3; rates rise
    by a constant factor, and the loss is smoothed as fastai does it. The loss beside a rate is that of the batch before
    its step. Groups keep the ratios that they were made with. The module's scheduler must leave the rates alone. To
    stand in the trainer's callbacks after Unfreeze; for one device.

    Args:
        rates: Of the head, rising; one a step.
        smoothing: Of the losses, from 0 (none) to below 1: the share of the earlier mean in the next one.
        stop_above: The test ends where the smoothed loss is above so many times its least value.
        parts: The parts whose rates rise; those of others are 0. None: all.

    Attributes:
        losses: Of each step that was made, the last one perhaps not finite.
        smoothed: Their exponential mean, corrected for its start at 0.
        ended: Why there are no more.
    """

    def __init__(
        self, rates: Sequence[float], *, smoothing: float, stop_above: float, parts: Collection[str] | None = None
    ) -> None:
        self.rates, self.smoothing, self.stop_above, self.parts = list(rates), smoothing, stop_above, parts
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.ended: Ended = "at the highest rate"
        self._shares: list[tuple[dict[str, Any], float]] = []  # an optimizer's group, its rate over the head's
        self._loss = 0.0  # of the batches of a step that are done
        self._mean = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        unfreeze = next(callback for callback in callbacks_of(trainer) if isinstance(callback, Unfreeze))
        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        chosen = None if self.parts is None else {name for part in self.parts for name in unfreeze.parts.of(part)}
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        head = float(groups[-1]["base"])
        self._shares = [
            (group, float(group["base"]) / head if chosen is None or names[id(group["params"][0])] in chosen else 0.0)
            for group in groups
        ]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        rate = self.rates[len(self.losses)]
        for group, share in self._shares:
            group["lr"] = rate * share

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._loss += float(loss.detach()) if isinstance(loss, Tensor) else math.nan
        if trainer.global_step == len(self.losses) and math.isfinite(self._loss):
            return  # more batches come to this step
        self.losses.append(self._loss)
        self._loss = 0.0
        if not math.isfinite(self.losses[-1]) or not _is_finite(pl_module):
            self._end(trainer, "the loss was not finite")
            return
        count = len(self.losses)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * self.losses[-1]
        self.smoothed.append(self._mean / (1 - self.smoothing**count))
        if self.smoothed[-1] > self.stop_above * min(self.smoothed):
            self._end(trainer, "the loss rose")
        elif count == len(self.rates):
            stop_after_batch(trainer)

    def _end(self, trainer: Trainer, why: Ended) -> None:
        self.ended = why
        stop_after_batch(trainer)


def _is_finite(module: LightningModule) -> bool:
    return all(bool(torch.isfinite(p.detach()).all()) for p in module.parameters() if p.requires_grad)

"""Predicted class and loss of each val and test image, stored for every evaluation of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.predictions.split_predictions import (
    SplitPredictions,
    image_losses,
    numbers,
    predicted_answer,
    stacked_predictions,
    write_arrays,
)
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.data.data_protocols import has_contents, is_multi_label, is_regression
from headstart.modules.module_protocols import number_units
from headstart.types import Batch

KEY = "answers"  # in a checkpoint
MOST_LOGITS = 2**22  # that wait on the device to be read at once: 16 MiB
LEAST_KEPT, KEPT_SHARE = 3, 10  # of several labels: the last 3 evaluations, or one in 10 of all, where that is more


class ImagePredictions(Callback):
    """Writes `val.npz` when training ends and `test.npz` after the test: what each image contributed to the metrics.

    Arrays of val.npz (N images that were measured, E evaluations, C classes):

    - `image` uint64 (N,): the first 8 bytes, big endian, of the image's digest, in the split's order.
    - `label`: (N,) int64, or of several labels (N, C) uint8, or of T columns of numbers (N, T) float32.
    - `step` int64 (E,): optimizer steps done at each evaluation.
    - of one label an image: `predicted` (E, N), uint8, or uint16 of more than 256 classes.
    - of several labels: `logits` (E, N, C) float16, clipped to its range, of the evaluation before the first step and
      the last ones (3, or one in 10 of all where that is more), and `step` lists these.
    - of numbers: `predicted` (E, N, T) float32, in the units of the table.
    - `loss` (E, N) float16: the cross-entropy of each image, of several labels the mean over classes, of numbers the
      squared error; as `<split>/loss` measures it, clipped to the range of float16.
    - where it was measured, `closed_form`: predicted (N,), or logits (N, C), of the model before the first step with
      its head in closed form.
    - where trials have used val images, `seen_by_trials` bool (N,).

    test.npz has the first four, E = 1. With callbacks=ema the answers are those of the averaged weights, which are what
    is validated. In runs that adapt to a target, val is the source's and test is the target's, as for all metrics.

    Nothing is written where the data do not say what their images contain (`contents`), batches have no positions,
    labels are hidden, or evaluations are of different images. Tensors stay on their device until a validation
    ends, then rank 0 gathers those of all ranks. Checkpoints to go on from hold what was gathered.

    Args:
        folder: Where the two files are written; it is made with the first.
    """

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder
        self.tested_step = 0  # of the checkpoint that is tested; who tests it sets it
        self._logits: list[Tensor] = []  # of this rank's last batches
        self._labels: list[Tensor] = []
        self._positions: list[Tensor] = []  # of all its batches
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []  # labels, answers and losses of those before the last
        self._is_fit = True  # whether the data and what the module gives allow answers
        self._has_contents = self._several = self._numbers = False
        self._std: Tensor | None = None  # of numbers
        self._classes = 0
        self._of_trials: NDArray[np.uint64] | None = None
        self._forget()

    def _forget(self) -> None:
        self._count = 0  # evaluations so far
        self._steps: list[int] = []  # of those that are kept
        self._said: list[SplitPredictions] = []
        self._closed_form: NDArray[Any] | None = None  # of the whole split

    # ------------------------------------------------------------------ what others tell

    def set_closed_form(self, logits: Tensor) -> None:
        """Take the logits (N, C) of all val images, in the split's order, with the head in closed form.

        To be called before training, on every rank.
        """
        self._closed_form = self._narrow(self._answer(logits.detach()).cpu().numpy())

    def set_seen_by_trials(self, images: NDArray[np.uint64]) -> None:
        """Take the numbers, as `image` has them, of the images that trials have been validated on; before fit."""
        self._of_trials = np.asarray(images, np.uint64)

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = datamodule_of(trainer)
        self._has_contents = has_contents(data)
        self._several, self._numbers = is_multi_label(data), is_regression(data)
        self._std = number_units(pl_module)
        self._classes = getattr(data, "num_classes", 0)
        self._is_fit = self._has_contents
        self._begin()
        if stage == "fit":
            self._forget()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == "fit":
            self._see(outputs.get("logits") if isinstance(outputs, Mapping) else outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._has_contents:
            return
        predictions = self._gathered(trainer)
        self._count += 1
        if predictions is not None and self._said and not np.array_equal(predictions.position, self._said[0].position):
            self._is_fit, self._said, predictions = False, [], None
        if predictions is not None:
            self._steps.append(trainer.global_step)
            self._said.append(predictions)
        if self._several:
            self._thin_out()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._said and self._is_fit:
            self._write(trainer, "val", self._steps, self._said)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_fit = self._has_contents
        self._begin()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._see(outputs, batch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        predictions = self._gathered(trainer) if self._has_contents else None
        if predictions is not None:
            self._write(trainer, "test", [self.tested_step], [predictions])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if not trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            return
        state: dict[str, Any] = {"count": self._count, "steps": list(self._steps), "is_fit": self._is_fit}
        if self._said:
            first = self._said[0]
            state |= {"position": torch.from_numpy(first.position), "label": torch.from_numpy(first.label)}
            state |= {name: torch.from_numpy(array) for name, array in stacked_predictions(self._said).items()}
        if self._closed_form is not None:
            state["closed_form"] = torch.from_numpy(self._closed_form)
        checkpoint[KEY] = state

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(KEY)
        if state is None:
            return
        self._count, self._is_fit = state["count"], state["is_fit"] and self._has_contents
        if "closed_form" in state:
            self._closed_form = state["closed_form"].numpy()
        if "position" in state and trainer.is_global_zero:
            position, label = state["position"].numpy(), state["label"].numpy()
            evaluations = zip(state["answer"].numpy(), state["loss"].numpy(), strict=True)
            self._steps = list(state["steps"])
            self._said = [SplitPredictions(position, label, answer, loss) for answer, loss in evaluations]

    # ------------------------------------------------------------------ gathering

    def _see(self, logits: Any, batch: Batch) -> None:
        if not self._is_fit:
            return
        if not (isinstance(logits, Tensor) and isinstance(batch.label, Tensor) and batch.position is not None):
            self._is_fit = False
            return
        self._positions.append(batch.position)
        self._labels.append(batch.label)
        self._logits.append(logits.detach())
        if len(self._logits) * logits.numel() > MOST_LOGITS:
            self._reduce()

    def _reduce(self) -> None:
        """Make answers and losses of the logits that wait, on their device: once for many batches."""
        if self._logits:
            logits = torch.cat(self._logits)
            label = torch.cat(self._labels).to(logits.device)
            self._parts.append((label, self._answer(logits), image_losses(logits, label, self._std)))
            self._logits, self._labels = [], []

    def _answer(self, logits: Tensor) -> Tensor:
        return predicted_answer(logits, several=self._several, numbers=self._numbers)

    def _begin(self) -> None:
        self._logits, self._labels, self._positions, self._parts = [], [], [], []

    def _gathered(self, trainer: Trainer) -> SplitPredictions | None:
        """What all ranks' images gave, on rank 0; every rank must ask. None elsewhere, and where it cannot be kept."""
        of_this_rank = self._joined() if self._is_fit else None
        self._begin()
        everywhere = of_each_rank((self._is_fit, of_this_rank))
        self._is_fit = all(is_fit for is_fit, _ in everywhere)
        parts = [predictions for _, predictions in everywhere if predictions is not None]
        if not (self._is_fit and parts and trainer.is_global_zero):
            return None
        position, label, answer, loss = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = position.argsort(kind="stable")
        return SplitPredictions(position[order], label[order], answer[order], loss[order])

    def _joined(self) -> SplitPredictions | None:
        """All of this rank's batches as one, on the CPU; None of none."""
        self._reduce()
        if not self._parts:
            return None
        label, answer, loss = (torch.cat(part).cpu().numpy() for part in zip(*self._parts, strict=True))
        position = torch.cat(self._positions).cpu().numpy()
        return SplitPredictions(
            position, label.astype(np.uint8) if self._several else label, self._narrow(answer), loss
        )

    def _narrow(self, answer: NDArray[Any]) -> NDArray[Any]:
        """Predicted classes in the smallest type that has them all; logits as they are."""
        return answer if self._several or self._numbers else answer.astype(np.min_scalar_type(self._classes - 1))

    def _thin_out(self) -> None:
        """Forget what cannot be among the evaluations that are kept, however many come."""
        last = max(LEAST_KEPT, math.ceil(self._count / KEPT_SHARE))
        if len(self._said) > last + 1:
            del self._said[1:-last], self._steps[1:-last]

    # ------------------------------------------------------------------ writing

    def _write(
        self, trainer: Trainer, split: str, steps: Sequence[int], predictions: Sequence[SplitPredictions]
    ) -> None:
        """Write one file, whole or not at all."""
        position = predictions[0].position
        data = datamodule_of(trainer)
        image = numbers(data.contents(split))[position]
        stacked = stacked_predictions(predictions)
        arrays = {
            "image": image,
            "label": predictions[0].label,
            "step": np.array(steps, np.int64),
            "logits" if self._several else "predicted": stacked["answer"],
            "loss": stacked["loss"],
        }
        if split == "val" and self._closed_form is not None:
            closed_form = self._closed_form
            arrays["closed_form"] = closed_form if len(closed_form) == len(position) else closed_form[position]
        if split == "val" and self._of_trials is not None:
            arrays["seen_by_trials"] = np.isin(image, self._of_trials)
        write_arrays(self.folder / f"{split}.npz", arrays)

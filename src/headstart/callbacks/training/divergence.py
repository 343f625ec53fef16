"""Stops diverged training: at the first loss that is not finite, or after gradients that are not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import torch
import torch.distributed as dist
from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.compat.lightning.lightning_loops import stop_after_batch
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.data.data_protocols import NamedImages
from headstart.system.printing.name_listing import first_few
from headstart.types import Batch

KEY = "divergence"  # in a checkpoint
LOOK = 50  # batches after which losses are looked at that lie on a GPU, or on several devices
SCALER = 20  # steps in a row that the scaler of 16-mixed may leave out, while it looks for its scale
LISTED = 8  # images that a message names


class DivergenceSign(NamedTuple):
    """The first sign of divergence."""

    what: str  # the training loss, the gradients, the val loss or a weight
    epoch: int  # in which it was found, the first one is 1; 0: before training
    step: int = 0  # the optimizer step, the first one is 1; of a val loss, those that were done
    images: tuple[str, ...] = ()  # of the training batch, on the device that had the sign
    value: str = "nan or infinite"


class _UncheckedLoss(NamedTuple):
    """A training batch whose loss has not been looked at."""

    loss: Tensor
    epoch: int
    step: int
    number: int  # in the epoch
    position: Tensor | None  # of its images, on their device


class Divergence(Callback):
    """Ends training at the first training or val loss that is nan or infinite, on any device, and notes the batch.

    The run stops where all devices have seen it: nothing more is trained, measured or saved, and the last checkpoints
    are those of before. Gradients that are not finite make the loss of the next step so; with skipped_steps they are
    looked at, and a step that has such is left out. Weights are looked at when training ends.

    On a GPU, and on several devices, losses wait to be read together, every 50 batches and before anything is measured
    or saved, so that no step waits for the device; the batch is found all the same.

    Args:
        skipped_steps: Optimizer steps in a row whose gradients are not finite that are left out before the run ends. 0:
            the first ends it, but for 16-mixed, whose scaler leaves out up to 20 in a row.

    Attributes:
        first: The first sign, None while there is none.
    """

    def __init__(self, *, skipped_steps: Annotated[int, Ge(0)] = 0) -> None:
        self.skipped_steps = skipped_steps
        self.first: DivergenceSign | None = None
        self._seen: list[_UncheckedLoss] = []
        self._val: Tensor | None = None  # the sum of all logits of val, as a mean of large losses may overflow late
        self._every = 1
        self._step = 0  # optimizer steps at the end of the last batch
        self._stepped = True  # whether the optimizer changed the weights in its last step
        self._skipped = 0  # steps in a row that were left out
        self._hooks: list[Any] = []

    @property
    def state(self) -> str:
        """`diverged` or `finished`, of a run that has come to its end."""
        return "finished" if self.first is None else "diverged"

    def has_diverged(self, trainer: Trainer) -> bool:
        """Whether there was a sign up to now; every rank must ask."""
        self._read(trainer)
        return self.first is not None

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.first, self._val, self._seen = None, None, []
            lone = trainer.world_size == 1 and trainer.strategy.root_device.type == "cpu"
            self._every = 1 if lone else LOOK

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step, self._skipped, self._stepped = trainer.global_step, 0, not _scales(trainer)
        if _scales(trainer):
            for optimizer in trainer.optimizers:
                self._hooks.append(optimizer.register_step_post_hook(self._has_stepped))
        if self.first is not None:
            stop_after_batch(trainer)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Leave out a step whose gradients are not finite: an optimizer passes over what has no gradient."""
        if self.skipped_steps and not _are_finite(
            [p.grad for p in pl_module.parameters() if p.grad is not None], pl_module.device
        ):
            self._stepped = False
            optimizer.zero_grad()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        done = trainer.global_step > self._step
        self._step = trainer.global_step
        if done:
            self._count_skipped(trainer, batch, batch_idx)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and not self.skipped_steps:
            step, position = self._step + (not done), _position(batch)
            self._seen.append(_UncheckedLoss(loss.detach(), trainer.current_epoch + 1, step, batch_idx, position))
            if len(self._seen) >= self._every:
                self._read(trainer)

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
            self._read(trainer)
            loss = trainer.callback_metrics.get("val/loss")
            sign = None
            if not (_is_finite(self._val) and _is_finite(loss)):
                value = "nan or infinite" if _is_finite(loss) else _shown(loss)
                sign = DivergenceSign(
                    "the val loss", trainer.current_epoch + (self._step > 0), trainer.global_step, (), value
                )
            self._val = None
            self._note(trainer, sign)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = [p.to_local() if isinstance(p, DTensor) else p for p in pl_module.parameters()]
        finite = all(bool(torch.isfinite(weight.detach()).all()) for weight in weights)
        self._note(trainer, None if finite else DivergenceSign("a weight", trainer.current_epoch, trainer.global_step))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            self._read(trainer)
            checkpoint[KEY] = tuple(self.first) if self.first is not None else None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        fields = checkpoint.get(KEY)
        self.first = None if fields is None else DivergenceSign(*fields)

    # ------------------------------------------------------------------ looking

    def _has_stepped(self, *_: Any) -> None:
        self._stepped = True

    def _count_skipped(self, trainer: Trainer, batch: Batch, number: int) -> None:
        """Count the steps in a row that were left out; the same on all ranks, as gradients are."""
        if self._stepped:
            self._skipped = 0
        else:
            self._skipped += 1
            if self._skipped > max(self.skipped_steps, SCALER if _scales(trainer) else 0):
                images = _names(trainer, _position(batch), number)
                self._found(trainer, DivergenceSign("the gradients", trainer.current_epoch + 1, self._step, images))
        self._stepped = not _scales(trainer)  # the optimizer's own hook says it then

    def _read(self, trainer: Trainer) -> None:
        """Look at the losses that were gathered since the last time; every rank must."""
        batches, self._seen = self._seen, []
        if self.first is not None or not of_any_rank(bool(batches)):
            return
        sign = None
        losses = torch.stack([batch.loss.float() for batch in batches]).isfinite().tolist() if batches else []
        if False in losses:
            bad = batches[losses.index(False)]
            images = _names(trainer, bad.position, bad.number)
            sign = DivergenceSign("the training loss", bad.epoch, bad.step, images, _shown(bad.loss))
        self._note(trainer, sign)

    def _note(self, trainer: Trainer, own: DivergenceSign | None) -> None:
        """Take note of the first sign on any rank; every rank must."""
        if self.first is not None:  # on all ranks, as it is made of what all have found
            return
        signs = [sign for sign in of_each_rank(own) if sign is not None]
        if signs:
            self._found(trainer, min(signs, key=lambda sign: (sign.epoch, sign.step)))

    def _found(self, trainer: Trainer, sign: DivergenceSign) -> None:
        if self.first is None:
            self.first = sign
            stop_after_batch(trainer)


def divergence_message(first: Mapping[str, Any], learning_rate: str) -> str:
    """What happened and what to try, in plain words.

    Args:
        first: The fields of a DivergenceSign, as result.json has them; those of an older result may be missing.
        learning_rate: The setting of the run's learning rate.
    """
    quantity, epoch, step = first.get("what", "a loss"), first.get("epoch", 0), first.get("step", 0)
    images = list(first.get("images") or ())
    when = f"in epoch {epoch}" if epoch else "before training"
    if quantity == "the val loss" and epoch:
        when += f", after step {step}"
    elif step:
        when += f" at step {step}"
    on = f", on the images {first_few(images, LISTED)}" if images else ""
    verb = "were" if quantity == "the gradients" else "was"
    return (
        f"training diverged: {quantity} {verb} {first.get('value', 'nan or infinite')} for the first time {when}{on}; "
        f"the run ended there and keeps its checkpoints of before; try a smaller {learning_rate}, "
        "trainer.gradient_clip_val=1 or scheduler=warmup_cosine"
    )


def of_any_rank(own: bool) -> bool:
    """Whether it is so on any rank; every rank must ask."""
    return own if not dist.is_initialized() else any(of_each_rank(own))


def _scales(trainer: Trainer) -> bool:
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def _names(trainer: Trainer, position: Tensor | None, number: int) -> tuple[str, ...]:
    """What the data call the images at these positions, or the batch's number where nothing says where they lie."""
    data = datamodule_of(trainer)
    if position is None:
        return (f"those of batch {number + 1} of the epoch",)
    if not isinstance(data, NamedImages):
        return tuple(f"train/{place}" for place in position.tolist())
    names = data.names("train")
    return tuple(str(names[place]) for place in position.tolist())


def _position(batch: object) -> Tensor | None:
    return batch.position if isinstance(batch, Batch) else None


def _are_finite(gradients: list[Tensor], device: torch.device) -> bool:
    """Whether all gradients are, on all devices."""
    local = [gradient.to_local() if isinstance(gradient, DTensor) else gradient for gradient in gradients]
    bad = torch.stack([gradient.isfinite().logical_not_().any() for gradient in local]).any() if local else None
    flag = torch.zeros((), dtype=torch.int32, device=device) if bad is None else bad.to(torch.int32)
    if dist.is_initialized():
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return not bool(flag)


def _is_finite(value: Tensor | None) -> bool:
    return value is None or bool(torch.isfinite(value))


def _shown(value: Tensor | None) -> str:
    return "nan" if value is None or math.isnan(float(value)) else "infinite"

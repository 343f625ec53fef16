"""An adaptation in training: its term for each batch, its look at the training images, its change of the best model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from headstart.adaptation.adaptation import Adaptation, DevicePredictions, Side
from headstart.backbones.stages import Backbone
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.modules.heads.classification_head import ClassificationHead
from headstart.types import Batch, UserError


class AdaptationTerm(NamedTuple):
    """What an adaptation adds to the loss of a batch."""

    term: Tensor  # scalar
    metrics: dict[str, Tensor | float]  # what is logged of it, by the names in `metric_names`


class AdaptedTraining:
    """Calls an adaptation with what the model makes of both domains, over all devices.

    Args:
        adaptation: The method.
        module: The LightningModule that is trained.
        backbone: Of the module.
        head: Of the module.

    Attributes:
        steps: The optimizer steps of the run; math.inf where it has no end.
        looked_epoch: The last epoch before which the adaptation has looked at the training images.
    """

    def __init__(
        self, adaptation: Adaptation, module: LightningModule, backbone: Backbone, head: ClassificationHead
    ) -> None:
        self.adaptation, self.module, self.backbone, self.head = adaptation, module, backbone, head
        self.steps = math.inf
        self.looked_epoch = -1

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics of the adaptation's term, without their split."""
        adaptation = self.adaptation
        return ("adaptation", "adaptation_strength", *adaptation.measures) if adaptation.has_term else ()

    def set_length(self, trainer: Trainer) -> None:
        """Take the run's length, with which the ramp grows. Raises UserError if it needs one and there is none."""
        self.steps = max(1, trainer.estimated_stepping_batches)
        ramp = self.adaptation.ramp
        if ramp != "constant" and math.isinf(self.steps):
            raise UserError(
                f"adaptation.ramp={ramp} grows with the share of the run that is done, and this one has no "
                "end; set trainer.max_epochs or trainer.max_steps, or take adaptation.ramp=constant"
            )

    def term(self, batch: Batch, main: Side) -> AdaptationTerm:
        """The term of a batch and its paired batch.

        Args:
            batch: The batch of this device.
            main: What the model makes of it.
        """
        adaptation = self.adaptation
        paired = self._paired_side(batch.paired if adaptation.reads_paired else None, main)
        main, paired = self._of_all_devices(main), self._of_all_devices(paired)
        source, target = (main, paired) if adaptation.main == "source" else (paired, main)
        strength = adaptation.strength(min(1.0, self.module.trainer.global_step / self.steps))
        term: Tensor = adaptation(source=source, target=target, head=self.head, strength=strength)
        metrics: dict[str, Tensor | float] = {"adaptation": term.detach(), "adaptation_strength": strength}
        return AdaptationTerm(term, {**metrics, **adaptation.metrics})

    @torch.no_grad()
    def look_if_due(self) -> None:
        """Let the adaptation look at the target's training images, once an epoch, where it asks for it.

        Each device goes through its share of them, all with the running statistics of rank 0. Not in a hook of
        Lightning's: those of an epoch's beginning do not come in every resumed run.
        """
        module, trainer = self.module, self.module.trainer
        if not self.adaptation.looks or self.looked_epoch == module.current_epoch:
            return
        data: Any = datamodule_of(trainer)
        data = data.hidden if self.adaptation.main == "source" else data  # the target's
        images, devices = data.sizes["train"], trainer.world_size
        learning = [child for child in module.modules() if child.training]
        _take_rank_zeros(self.backbone)
        module.eval()
        features, logits, positions = [], [], []
        share = np.arange(trainer.global_rank, images, devices)
        for batch in data.plain_dataloader("train", share, stored=True):
            features.append(self.backbone(batch.image.to(module.device), start=batch.start))
            logits.append(self.head(features[-1]))
            positions.append(batch.position.to(module.device))
        for child in learning:
            child.training = True
        total = _total if devices > 1 else _itself
        self.adaptation.look(
            DevicePredictions(torch.cat(features), torch.cat(logits), torch.cat(positions), images, total)
        )
        self.looked_epoch = module.current_epoch

    @torch.no_grad()
    def finalize(self, data: Any, stages: dict[str, nn.Module]) -> bool:
        """Let the adaptation change the model that is to be tested -> whether it does; the model is in eval() then.

        All devices get what rank 0 got.

        Args:
            data: Has the target's images as `hidden`, as data/datasets/paired_domains.py's Domains does.
            stages: The parts of the model.
        """
        if not self.adaptation.finalizes:
            return False

        def run() -> None:
            for batch in data.hidden.plain_dataloader("train"):
                self.backbone(batch.image.to(self.module.device), start=batch.start)

        self.module.eval()
        self.adaptation.finalize(stages, run)
        _take_rank_zeros(self.module)
        return True

    @contextmanager
    def as_tested(self, data: Any, stages: dict[str, nn.Module]) -> Iterator[None]:
        """Inside, the model is what a test of it now would test; afterwards it is as before.

        Args:
            data: As of finalize.
            stages: The parts of the model.
        """
        buffers_before = (
            [(buffer, buffer.clone()) for buffer in self.module.buffers()] if self.adaptation.finalizes else []
        )
        learning = [child for child in self.module.modules() if child.training]
        try:
            self.finalize(data, stages)
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers_before:
                    buffer.copy_(before)
            for child in learning:
                child.training = True

    def _paired_side(self, paired: Batch | None, main: Side) -> Side:
        """What the model makes of the paired batch; of none, a side without images."""
        if paired is None:
            return Side(main.features[:0], main.logits[:0], None)
        features = self.adaptation.paired_features(self.backbone, paired)
        label = None if self.adaptation.main == "source" else paired.label
        view = None if paired.view is None else self.head(self.backbone(paired.view))
        return Side(features, self.head(features), label, paired.position, view)

    def _of_all_devices(self, side: Side) -> Side:
        """The images of the global batch in its order: a term is no mean over images. Gradients go to all devices."""
        if self.module.trainer.world_size == 1:
            return side
        label, position, view = (
            None if part is None else self._gathered(part) for part in (side.label, side.position, side.view)
        )
        return Side(self._gathered(side.features), self._gathered(side.logits), label, position, view)

    def _gathered(self, part: Tensor) -> Tensor:
        of_each = self.module.all_gather(part, sync_grads=part.is_floating_point())  # (devices, B, ...)
        assert isinstance(of_each, Tensor)
        return of_each.transpose(0, 1).flatten(0, 1)  # device r has every devices-th image from its r-th on


def _take_rank_zeros(module: nn.Module) -> None:
    """All devices take rank 0's buffers: running statistics are each rank's own while it trains."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def _total(part: Tensor) -> Tensor:
    """The sum of a tensor over all devices."""
    whole = part.clone()
    dist.all_reduce(whole)
    return whole


def _itself(part: Tensor) -> Tensor:
    return part

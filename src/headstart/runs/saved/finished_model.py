"""A finished run's model, without the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from headstart.backbones.stages import Backbone
from headstart.data.decoding.image_decoding import Decoder, decoder_like
from headstart.data.decoding.pixel_conversion import channels_first
from headstart.evaluation.views.view import Views, enlarged, views_of
from headstart.features.cache.cached_activations import Engine
from headstart.runs.model_parts.assembly import built
from headstart.runs.model_parts.number_heads import with_units
from headstart.runs.model_parts.run_head import head_of
from headstart.runs.saved.finished_run import CheckpointName, saved_run
from headstart.runs.saved.run_temperature import Temperature, chosen_temperature
from headstart.runs.training.run_trainer import lone_trainer
from headstart.types import Batch

NUMBERS = "numbers"  # what the outputs of a model are called whose targets are numbers


@dataclass(frozen=True)
class Finished:
    """A run's backbone and head in eval(), on the device where they compute.

    decoder: makes of a file what the run's own images were made into, as large as views want it. views: of each
    image, whose probabilities are averaged; None: the image as it is. separator: where an image may have several
    labels, what stands between them; None = it is of one class. temperature: what logits are divided by. numbers:
    whether class_names are columns of numbers, which are given in the place of probabilities.
    """

    backbone: Backbone
    head: Any
    class_names: tuple[str, ...]
    decoder: Decoder
    engine: Engine
    views: Views | None = None
    separator: str | None = None
    temperature: float = 1.0
    numbers: bool = False

    @property
    def output(self) -> str:
        """What the head gives: logits, or numbers in the units of the table."""
        return NUMBERS if self.numbers else "logits"

    @torch.inference_mode()
    def probabilities(self, image: NDArray[np.uint8]) -> Tensor:
        """Images (B, size, size) grey or (B, size, size, 3) RGB -> the classes' probabilities (B, classes), float32.

        Of numbers these. Probabilities sum to 1, where an image may not have several labels.
        """
        planes = channels_first(torch.from_numpy(image))
        views = [planes] if self.views is None else views_of(self.views, planes, self.backbone.pixels.size)
        return torch.stack([self._of_view(view) for view in views]).mean(dim=0)

    def _of_view(self, planes: Tensor) -> Tensor:
        label = torch.zeros(len(planes), dtype=torch.long)
        batch = self.engine.convert(Batch(planes.contiguous(memory_format=torch.channels_last), label))
        with self.engine.context():
            logits: Tensor = self.head(self.backbone(batch.image.to(self.engine.device)))
        if self.numbers:
            return logits.float().cpu()
        scaled = logits.float() / self.temperature
        return (scaled.softmax(dim=1) if self.separator is None else scaled.sigmoid()).cpu()


def finished_model(
    cfg: DictConfig,
    run_dir: str | Path,
    checkpoint: CheckpointName,
    views: Views | None = None,
    temperature: Temperature = None,
) -> Finished:
    """The model of a finished run, its data untouched but for temperature=val; it computes on one device.

    Args:
        cfg: Of which the trainer's accelerator and precision count.
        run_dir: The folder of the run.
        checkpoint: Its weights.
        views: Of each image, whose probabilities are averaged.
        temperature: What logits are divided by: a number, `val` for what suits the run's val images, None for 1.

    Raises UserError where the run is not finished, or has no such checkpoint, or reads no image files.
    """
    run = saved_run(run_dir, checkpoint)
    own, state = run.cfg, run.state()
    backbone = built(own).backbone
    head = with_units(head_of(own, backbone, run.result["num_classes"]), run.result["num_classes"], run.regression)
    for name, part in (("backbone.", backbone), ("head.", head)):
        part.load_state_dict({key.removeprefix(name): t for key, t in state.items() if key.startswith(name)})
    trainer = lone_trainer(cfg.trainer, "precision")
    device = trainer.strategy.root_device
    wanted = enlarged(backbone.pixels, 1.0 if views is None else views.larger, resize=own.target.get("resize"))
    decoder = replace(decoder_like(own.target, wanted, resize=None), of_run=True)
    separator = (own.target.get("label_separator") or "|") if run.several else None
    return Finished(
        backbone=backbone.eval().to(device),
        head=head.eval().to(device),
        class_names=run.class_names,
        decoder=decoder,
        engine=Engine.of(trainer),
        views=views,
        separator=separator,
        temperature=chosen_temperature(temperature, run, cfg.trainer),
        numbers=run.regression,
    )

"""Metrics of any weights for a finished run's network, on its own images or on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from headstart.callbacks.training.first_validation import features_of
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.evaluation.class_indices import class_indices
from headstart.features.cache.cached_activations import Engine
from headstart.runs.model_parts.assembly import assembled, drawn, images_seed
from headstart.runs.saved.finished_run import SavedRun
from headstart.runs.training.missing_validation import has_no_val
from headstart.runs.training.run_trainer import lone_trainer
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError


class MeasuredWeights:
    """A run's network, which takes one set of weights after the other and is measured with each.

    Args:
        run: A finished run.
        trainer: The node that says where to compute; the precision is the run's own.

    Attributes:
        monitor: Name of the run's monitored metric, without its split.
    """

    def __init__(self, run: SavedRun, trainer: DictConfig) -> None:
        self._engine = Engine.of(lone_trainer(trainer, precision=run.cfg.trainer.precision))
        self.parts = assembled(run.cfg, run.known)
        self._module = self.parts.module.to(self._engine.device).eval()
        self.monitor: str = self._module.labels.monitor

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights, named as in the run's checkpoints."""
        self._module.load_state_dict(dict(state))

    def features(self, split: str, images: Any) -> tuple[Tensor, Tensor]:
        """Features (N, width), float32, and labels of all images of a split, in its order."""
        engine = self._engine
        return features_of(self._module, images.plain_dataloader(split), engine.convert, engine.context)

    def images_of(self, run: SavedRun) -> Any:
        """A run's own target data at this network's pixels, set up.

        Raises UserError where they have no val images, no labels that may choose, or other classes than the run had.
        """
        method = run.result.get("adaptation")
        if method and method.get("main") != "target":
            raise UserError(
                f"weights are chosen by val, and {run.folder.name} adapts to a target whose labels nothing may read; "
                "take runs without adaptation"
            )
        pixels = self.parts.backbone.pixels
        images = drawn(run.cfg, instantiate(run.cfg.target, pixels=pixels, seed=images_seed(run.cfg)))
        other = UserError(
            f"the images of {run.folder.name} have other classes now than when it was trained: "
            f"{first_few(images.class_names)} in the place of {first_few(run.class_names)}"
        )
        places = class_indices(images.class_names, run.class_names, lambda _: other)
        if places.tolist() != list(range(len(run.class_names))):
            raise other
        for stage in ("fit", "test"):
            images.setup(stage)
        if has_no_val(images):
            raise UserError(f"weights are chosen by val, and {run.folder.name} has no val images; run it with some")
        return images

    @torch.no_grad()
    def metrics(
        self, tag: str, images: Any, split: str | None = None, relabel: Callable[[Tensor], Tensor] | None = None
    ) -> dict[str, float]:
        """<tag>/<monitored metric> and <tag>/loss of a split.

        Args:
            tag: What the metrics begin with.
            images: Data that are set up.
            split: Of these data; None: the split is called as the tag.
            relabel: Makes the data's labels those of the run; None: they are.
        """
        features, label = self.features(split or tag, images)
        logits = self.parts.head(features)
        label = label if relabel is None else relabel(label.cpu()).to(label.device)
        kind = self._module.labels
        return {
            f"{tag}/{self.monitor}": float(kind.score(logits, label)),
            f"{tag}/loss": float(kind.loss(logits, label)),
        }


def write_weights(path: Path, state: Mapping[str, Tensor], **facts: Any) -> None:
    """Write weights as a checkpoint that tasks on a finished run can load; the file is whole or not there.

    Args:
        path: Of the file, in the run's folder for checkpoints.
        state: Name -> tensor, as the run's checkpoints have them.
        facts: What the file says besides of the weights.
    """
    unfinished = path.with_name(f"{path.name}.partial")
    torch.save({"state_dict": {name: tensor.cpu() for name, tensor in state.items()}, **facts}, unfinished)
    unfinished.replace(path)

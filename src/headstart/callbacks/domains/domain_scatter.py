"""Scatter plots of source and target in the features of the model, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.loggers.logger_display import show_figures
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.explain.pictures.feature_space import NAMED, class_colour
from headstart.features.pca import directions
from headstart.features.tsne import tsne
from headstart.selection.score_inputs import Sides

IMAGES = 300  # of each domain: more of them cannot be told apart
AXES = 50  # principal ones that are kept, as t-SNE's authors do: the rest is noise to it, and a checkpoint holds them
MARKERS = {"source": "o", "target": "x"}
PLANES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "pca": lambda coordinates: coordinates[:, :2],
    "tsne": lambda coordinates: tsne(coordinates, seed=0),
}


class Cloud(NamedTuple):
    """The features of both domains at one time."""

    coordinates: Tensor  # (N, r), along the r principal directions of both together; the source's images first
    shown: Tensor  # (N,) the class: of the source its label, of the target the model's answer
    sources: int  # how many are the source's

    @classmethod
    def of(cls, sides: Sides) -> Cloud | None:
        """None where there is nothing to draw: features that are not finite, do not vary, or are single numbers."""
        source, target = sides.few(IMAGES)
        features = torch.cat([source.features, target.features])
        axes = min(AXES, len(features) - 1, features.shape[1])
        if axes < 2 or not bool(features.isfinite().all()):
            return None
        principal = directions(features, axes)
        if not principal.variance[0] > 0:
            return None
        assert source.label is not None
        shown = torch.cat([source.label, target.logits.argmax(dim=1)])
        return cls(principal.of(features), shown, len(source.features))


class DomainFigures(Callback):
    """Draws both domains' val before the first step and at the last validation, side by side.

    DomainPredictions calls it.

    domains/pca and domains/tsne as images of the loggers at the end of fit, domains-pca.png and domains-tsne.png in the
    folder. The same images each time, at most IMAGES of each domain. Colours are the classes that the source's images
    have and that the model predicts for the target's, whose labels are hidden. No random number of the run is drawn.

    Args:
        folder: The run's folder.
    """

    def __init__(self, *, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._clouds: dict[str, Cloud] = {}

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None:
        cloud = Cloud.of(sides) if trainer.is_global_zero else None
        if cloud is not None:
            self._clouds["after" if trainer.global_step else "before"] = cloud

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._clouds:
            return
        names: tuple[str, ...] = datamodule_of(trainer).class_names
        for name, plane in PLANES.items():
            figure = domains_figure(self._clouds, plane, names)
            partial = self.folder / f"domains-{name}.png.partial"
            figure.savefig(partial, format="png", dpi=80)
            partial.replace(partial.with_suffix(""))
            show_figures(trainer.loggers, {f"domains/{name}": figure}, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {when: cloud._asdict() for when, cloud in self._clouds.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._clouds = {when: Cloud(**cloud) for when, cloud in state_dict.items()}


def domains_figure(
    clouds: Mapping[str, Cloud], plane: Callable[[NDArray[Any]], NDArray[Any]], names: tuple[str, ...]
) -> Figure:
    """Each cloud on a plane of its own: one marker a domain, one colour a class; their names up to NAMED classes."""
    colours = [class_colour(index, len(names)) for index in range(len(names))]
    figure = Figure(figsize=(5 * len(clouds) + 1.6, 5), layout="constrained")
    for place, (when, cloud) in enumerate(sorted(clouds.items(), key=lambda item: item[0] == "after"), start=1):
        axes = figure.add_subplot(1, len(clouds), place)
        places = plane(cloud.coordinates.numpy())
        shown = np.array(colours)[cloud.shown.numpy()]
        parts = {"source": slice(cloud.sources), "target": slice(cloud.sources, None)}
        for domain, part in parts.items():
            x, y = places[part].T
            axes.scatter(x, y, c=shown[part], marker=MARKERS[domain], s=16, linewidths=0.9, alpha=0.8)
        axes.set(title=when, xticks=[], yticks=[])
    keys = [Line2D([], [], color="0.3", marker=mark, linestyle="", label=name) for name, mark in MARKERS.items()]
    if len(names) <= NAMED:
        keys += [
            Line2D([], [], color=colour, marker="s", linestyle="", label=name)
            for name, colour in zip(names, colours, strict=True)
        ]
    figure.legend(handles=keys, loc="outside right center", fontsize=8, frameon=False)
    return figure

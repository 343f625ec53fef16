"""Scatter plots of images in the features of a stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import matplotlib
import numpy as np
import torch
from annotated_types import Ge
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering import map_rendering
from headstart.explain.searched_features import passed, searched
from headstart.features.pca import directions
from headstart.features.tsne import tsne

AXES = 50  # principal ones that t-SNE sees, as its authors do: the rest is noise to it
NAMED = 20  # more classes than colours and lines of a legend


class FeatureSpace:
    """Images of the searched split on a plane, by PCA and by t-SNE of a stage's features, with the explained ones
    marked.

    Args:
        stages: Names of stages; None means the last one.
        images: Searched images at most.
        seed: Of t-SNE.
    """

    title = "Feature space"
    about = (
        "Each point is an image of the searched split, where the features of a stage have it: on the left on the two "
        "directions in which they vary most, on the right as t-SNE keeps neighbours together (distances between groups "
        "mean nothing there). Colours are classes; numbers are the images that are explained."
    )

    def __init__(self, *, stages: list[str] | None, images: Annotated[int, Ge(3)], seed: Annotated[int, Ge(0)]) -> None:
        self.stages, self.images, self.seed = stages, images, seed

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One figure a stage. Raises UnfitError where the features do not vary over three images at least."""
        network, images = subject.network, subject.images
        stages = network.stages[-1:] if self.stages is None else network.chosen(self.stages)
        searched_features = searched(subject, (network,), stages, most=self.images, title="feature space")
        explained_features: dict[str, list[Tensor]] = {stage: [] for stage in stages}
        for batch in torch.split(images.pixels, subject.batch_size):
            for stage, rows in passed(network, batch, stages):
                explained_features[stage].append(rows)
        place_of = {name: number for number, name in enumerate(subject.searched_names()[: len(searched_features)])}
        extra = [n for n, name in enumerate(images.names) if name not in place_of]  # they come behind the searched ones
        marked = {n: place_of[name] for n, name in enumerate(images.names) if name in place_of}
        marked |= {n: len(searched_features) + place for place, n in enumerate(extra)}
        shown = _classes(searched_features.label, images.label, extra, len(searched_features))
        for stage in stages:
            features = torch.cat([searched_features.features[0][stage], torch.cat(explained_features[stage])[extra]])
            planes, share = planes_of(features, seed=self.seed)
            figure = _figure(planes, shown, marked, subject.class_names)
            caption = (
                f"{len(features)} images in the features of {stage}; the two directions have {100 * share:.0f} % of "
            )
            caption += f"the variance. {'; '.join(f'{n + 1}: {name}' for n, name in enumerate(images.names))}"
            alt = f"Two planes with {len(features)} points in the colours of their classes, {len(images)} numbered."
            yield Shown(stage, map_rendering.drawing(figure), caption, alt)


def planes_of(features: Tensor, *, seed: int) -> tuple[dict[str, NDArray[Any]], float]:
    """Features (N, D) -> places (N, 2) by PCA and by t-SNE, and the share of the variance that PCA's have.

    Raises UnfitError where they do not lie on a plane: fewer than 3, or less than two directions, or not finite.
    """
    count = min(AXES, len(features) - 1, features.shape[1])
    if count < 2 or not bool(features.isfinite().all()):
        raise UnfitError(f"feature_space needs three images at least and finite features, got {tuple(features.shape)}")
    components = directions(features, count)
    if not components.variance[0] > 0:
        raise UnfitError("feature_space needs features that vary, and these are the same for all images")
    places = components.of(features).numpy()
    return {"PCA": places[:, :2], "t-SNE": tsne(places, seed=seed)}, float(components.share[:2].sum())


def _classes(
    searched: Tensor | None, explained_label: Tensor | None, extra: list[int], count: int
) -> NDArray[np.int64]:
    """The class of each point, -1 where nobody knows; of several labels the first one."""

    def numbers(label: Tensor | None, size: int) -> Tensor:
        if label is None:
            return torch.full((size,), -1)
        if label.ndim == 1:
            return label
        return torch.where(label.bool().any(dim=1), label.argmax(dim=1), -1)

    numbers_of_both: NDArray[np.int64] = torch.cat(
        [numbers(searched, count), numbers(None if explained_label is None else explained_label[extra], len(extra))]
    ).numpy()
    return numbers_of_both


def _figure(
    planes: dict[str, NDArray[Any]], shown: NDArray[np.int64], marked: dict[int, int], names: tuple[str, ...]
) -> Figure:
    figure = Figure(figsize=(11.5, 5), dpi=90, layout="constrained")
    colours = np.array([(0.5, 0.5, 0.5, 1.0) if label < 0 else class_colour(int(label), len(names)) for label in shown])
    for axes, (title, places) in zip(figure.subplots(1, 2), planes.items(), strict=True):
        axes.scatter(*places.T, c=colours, s=18, linewidths=0, alpha=0.75)
        for number, at in marked.items():
            axes.scatter(*places[at], s=60, facecolors="none", edgecolors="black", linewidths=1.2)
            axes.annotate(str(number + 1), places[at], xytext=(5, 5), textcoords="offset points", fontsize=9)
        axes.set(title=title, xticks=[], yticks=[])
    if len(names) <= NAMED:
        keys = [
            Line2D([], [], color=class_colour(number, len(names)), marker="o", linestyle="", label=name)
            for number, name in enumerate(names)
        ]
        figure.legend(handles=keys, loc="outside right center", fontsize=8, frameon=False)
    return figure


def class_colour(number: int, classes: int) -> tuple[float, float, float, float]:
    """One of ten or twenty that are easy to tell apart, of more classes one of a circle of hues."""
    if classes <= NAMED:
        return matplotlib.colormaps["tab10" if classes <= 10 else "tab20"](number)
    return matplotlib.colormaps["hsv"](number / classes)

"""Change of each stage by training, in weights and in features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Interval
from matplotlib.figure import Figure
from torch import Tensor, nn

from headstart.explain.cka import linear_cka
from headstart.explain.initial_network import initial_network
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering.map_rendering import drawing
from headstart.explain.searched_features import searched

SAME, DRIFTED = "#3b6fb6", "#d1603d"


class Moved(NamedTuple):
    """How far weights went, all taken as one vector."""

    way: float  # |w - w0|
    length: float  # |w0|

    @property
    def share(self) -> float:
        """|w - w0| / |w0|: 0 where nothing moved, infinite where all were 0 and some no longer are."""
        return 0.0 if self.way == 0 else self.way / self.length if self.length > 0 else math.inf


class Change(NamedTuple):
    """What training did to one stage."""

    cka: float  # of its features before and now; NaN where they do not vary
    layers: Mapping[str, Moved]  # how far each layer in it that has weights went

    @property
    def moved(self) -> float | None:
        """The share of all of them together; None where there are none."""
        return together(self.layers.values()).share if self.layers else None


class Changes:
    """Similarity of each stage's features before and after training (linear CKA), and the change of its weights.

    Args:
        images: Searched images at most.
        drifted: A stage with a CKA below this value has drifted.
    """

    title = "What training changed"
    about = (
        "On the left, how alike each stage's features of the searched images are before and after training: 1 is the "
        "same but for a rotation and a scale, as linear CKA sees it. On the right, how far the stage's weights "
        "moved, |w - w0| / |w0|; each dot is a layer. A frozen stage has 1 and 0. With fewer images than a stage has "
        "features, CKA is too near 1."
    )

    def __init__(self, *, images: Annotated[int, Ge(2)], drifted: Annotated[float, Interval(gt=0, le=1)]) -> None:
        self.images, self.drifted = images, drifted

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One chart, with its numbers in the caption; UnfitError where nobody knows how training began."""
        before = initial_network(subject, kind="changes")
        stages = subject.network.stages
        searched_features = searched(subject, (before, subject.network), stages, most=self.images, title="changes")
        if len(searched_features) < 2:
            raise UnfitError(f"changes need two images at least to be searched, got {len(searched_features)}")
        changes = {}
        for stage in stages:
            layers = layers_moved(before.backbone.stages[stage], subject.network.backbone.stages[stage])
            changes[stage] = Change(linear_cka(*(features[stage] for features in searched_features.features)), layers)
        yield Shown(
            "changes",
            drawing(_chart(changes, self.drifted)),
            _table(changes, len(searched_features), self.drifted),
            _seen(changes),
        )


def moved(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> Moved:
    """How far weights of the same names went. Raises ValueError where the names differ."""
    if before.keys() != now.keys():
        raise ValueError(f"weights must have the same names, only one has {sorted(before.keys() ^ now.keys())}")
    pairs = [(before[name].detach(), now[name].detach()) for name in before]
    return together(Moved(_norm(new.to(old.device) - old), _norm(old)) for old, new in pairs)


def together(parts: Iterable[Moved]) -> Moved:
    """The same of several lots of weights taken as one."""
    listed = list(parts)
    return Moved(
        math.hypot(*(distance.way for distance in listed)), math.hypot(*(distance.length for distance in listed))
    )


def layers_moved(before: nn.Module, now: nn.Module) -> dict[str, Moved]:
    """The same of each layer of a stage that has weights of its own, by the layer's name; the stage itself is ''."""
    distances = {}
    for (name, old), (_, new) in zip(before.named_modules(), now.named_modules(), strict=True):
        was, is_ = (dict(layer.named_parameters(recurse=False)) for layer in (old, new))
        if was or is_:
            distances[name] = moved(was, is_)
    return distances


def _norm(weight: Tensor) -> float:
    return float(torch.linalg.vector_norm(weight, dtype=torch.float64))


def _chart(changes: Mapping[str, Change], drifted: float) -> Figure:
    names = list(changes)
    figure = Figure(figsize=(8, 1.1 + 0.28 * len(names)), layout="constrained")
    alike, far = figure.subplots(1, 2, sharey=True)
    colours = [DRIFTED if change.cka < drifted else SAME for change in changes.values()]
    bars = alike.barh(
        names, [0 if math.isnan(change.cka) else change.cka for change in changes.values()], color=colours
    )
    labels = ["unknown" if math.isnan(change.cka) else f"{change.cka:.3f}" for change in changes.values()]
    alike.bar_label(bars, labels, padding=3, fontsize=8)
    alike.set(xlim=(0, 1.15), ylim=(len(names) - 0.5, -0.5))  # the input is above
    alike.set_xlabel(f"linear CKA, before and now (red: below {drifted:g})")
    alike.set_xticks([0, 0.25, 0.5, 0.75, 1])
    alike.axvline(drifted, color="0.4", linewidth=0.8, linestyle=":")
    lengths = [
        change.moved if change.moved is not None and math.isfinite(change.moved) else 0 for change in changes.values()
    ]
    far.barh(names, lengths, color=colours)
    far.margins(x=0.1)
    for place, change in enumerate(changes.values()):
        dots = [layer.share for layer in change.layers.values() if math.isfinite(layer.share)]
        far.scatter(dots, [place] * len(dots), s=10, color="0.15", linewidths=0, zorder=3)
    far.set(xlabel="weights moved, |w - w0| / |w0|")
    far.set_xlim(left=0)
    for axes in (alike, far):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure


def _table(changes: Mapping[str, Change], images: int, drifted: float) -> str:
    lines = [f"{stage}: CKA {_number(change.cka)}, {_moved(change)}" for stage, change in changes.items()]
    gone = [stage for stage, change in changes.items() if change.cka < drifted]
    summary = f"drifted (CKA below {drifted:g}): {', '.join(gone)}" if gone else f"no stage has a CKA below {drifted:g}"
    if not any(change.moved for change in changes.values()):
        summary += "; nothing moved: these are the weights that training began with, see explain.checkpoint=last"
    return f"{images} images; {summary}. " + "; ".join(lines)


def _moved(change: Change) -> str:
    if change.moved is None:
        return "no weights"
    farthest = max(change.layers, key=lambda name: change.layers[name].share)
    share = change.layers[farthest].share
    layer = f", its layer {farthest} {_share(share)}" if farthest and share > 0 else ""
    return f"moved {_share(change.moved)}{layer}"


def _share(value: float) -> str:
    if math.isinf(value):
        return "away from 0"
    return f"{100 * value:.3g} %" if value < 1 else f"{100 * value:.0f} %"


def _number(value: float) -> str:
    return "unknown, as its features do not vary" if math.isnan(value) else f"{value:.3f}"


def _seen(changes: Mapping[str, Change]) -> str:
    known = {stage: change.cka for stage, change in changes.items() if not math.isnan(change.cka)}
    least = min(known, key=lambda stage: known[stage], default=None)
    sentence = "" if least is None else f" {least} is the least like what it was, with a CKA of {known[least]:.3f}."
    return (
        f"Two bar charts of {len(changes)} stages: how alike their features are, how far their weights moved.{sentence}"
    )

"""Occlusion: the drop of a class's probability where parts of the image are covered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import matplotlib
import torch
from annotated_types import Ge
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from headstart.explain.chosen_class import ExplainedClass, Of, explained
from headstart.explain.explained_network import Network, maps
from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.rendering import map_rendering

SIDE = 3.0  # inches of a map in the figure
NAMED = 10  # classes that have a colour of their own, the most frequent ones


class Occluded(NamedTuple):
    """What a network makes of an image of which a square is hidden, by where the square is.

    Each map (h, w) has one cell for each stride x stride pixels of the image, in whose middle the square lay.
    """

    probability: Tensor  # of the class that is asked for
    activity: Tensor | None  # the sum of the strongest map of a stage; None where no stage has maps
    best: Tensor  # int64, the most probable class
    channel: int | None  # of the strongest map
    whole: tuple[float, float | None, int]  # the three of the image without a square


class Occlusion:
    """The three maps of Zeiler & Fergus 2013 (arXiv:1311.2901), figure 6, for each image.

    Args:
        patch: Pixels of the grey square's side; None means a seventh of the image's.
        stride: Pixels from one place of the square to the next; None means a quarter of the square.
        stage: Whose strongest map is measured; None means the last one that has maps.
        of: The class: `label` takes the true one where it is known, else the predicted one; `prediction` always takes
            the predicted one.
    """

    title = "Occlusion sensitivity"
    about = (
        "A grey square hides a part of the image, one place after another. Where the probability of the class falls, "
        "there is what the model needs; where the strongest map's activity falls, there is what that map answers to; "
        "the last map says what the model takes the image for while the square is there. Colours of a probability go "
        "from 0 to 1 in each picture, those of a map's activity are the same in all pictures of that map."
    )

    def __init__(
        self,
        *,
        patch: Annotated[int, Ge(1)] | None,
        stride: Annotated[int, Ge(1)] | None,
        stage: str | None,
        of: Of,
    ) -> None:
        self.patch, self.stride, self.stage = patch, stride, stage
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One figure an image. Raises UserError where there is no such stage."""
        network = subject.network
        size = network.backbone.pixels.size
        patch = self.patch or max(1, round(size / 7))
        stride = self.stride or max(1, patch // 4)
        stage = self._stage(network, network.entering(subject.images.pixels[:1]))
        occlusions = [
            (
                shown_class._replace(x=shown_class.x[:0]),
                occlusion(subject, shown_class.x, number=shown_class.number, stage=stage, patch=patch, stride=stride),
            )
            for shown_class in explained(subject, of=self.of, title="occlusion")
        ]
        scales = _activity_scales(covered for _, covered in occlusions)
        for explained_class, covered in occlusions:
            image = _drawing(subject, explained_class, covered, scales.get(covered.channel), patch, stride)
            yield Shown(explained_class.name, image, _said(subject, explained_class, covered, patch, stride), ALT)

    def _stage(self, network: Network, x: Tensor) -> str | None:
        if self.stage is not None:
            network.check(self.stage)
            return self.stage
        with torch.no_grad():
            with_maps = [
                name for name, activations in network.passing(x, network.stages) if maps(activations) is not None
            ]
        return with_maps[-1] if with_maps else None


ALT = (
    "The image with a frame as large as the square, then three maps of the same size: how probable the class is, how "
    "active the strongest map, and which class is the most probable, by where the square lies."
)


def occlusion(subject: Subject, x: Tensor, *, number: int, stage: str | None, patch: int, stride: int) -> Occluded:
    """Hide a square of a normalised image x (1, C, H, W) at each place, and ask for the class of that number.

    The square is `patch` pixels wide and 0 after normalisation: the grey of the data's mean. Its middle goes through
    the middles of the cells of stride x stride pixels, ceil(H / stride) x ceil(W / stride) of them; what reaches
    beyond the edge is cut off, so that each pixel is hidden at some place where patch >= stride. The strongest map is
    the one with the greatest sum without a square. Passes are of subject.batch_size images at most.
    """
    network = subject.network
    with torch.inference_mode():
        chance, channels = _answers(network, x, stage)
        channel = None if channels is None else int(channels[0].argmax())
        at_first = None if channel is None or channels is None else float(channels[0, channel])
        whole = (float(chance[0, number]), at_first, int(chance.argmax()))
        high, wide = (math.ceil(side / stride) for side in x.shape[2:])
        probability, activity, best = [], [], []
        starts = range(0, high * wide, subject.batch_size)
        for start in subject.progress(starts, title="squares", total=len(starts)):
            cells = range(start, min(start + subject.batch_size, high * wide))
            hidden = x.repeat(len(cells), 1, 1, 1).contiguous(memory_format=torch.channels_last)
            for row, cell in enumerate(cells):
                rows, columns = (_square(at, patch, stride) for at in divmod(cell, wide))
                hidden[row, :, rows, columns] = 0
            chance, channels = _answers(network, hidden, stage)
            probability.append(chance[:, number].cpu())
            best.append(chance.argmax(dim=1).cpu())
            if channels is not None and channel is not None:
                activity.append(channels[:, channel].cpu())
    shape = (high, wide)
    return Occluded(
        torch.cat(probability).reshape(shape),
        torch.cat(activity).reshape(shape) if activity else None,
        torch.cat(best).reshape(shape),
        channel,
        whole,
    )


def _answers(network: Network, x: Tensor, stage: str | None) -> tuple[Tensor, Tensor | None]:
    """Probabilities (B, classes), and the sum of each map of a stage (B, D), in one pass."""
    channels, last = None, network.stages[-1]
    for name, out in network.passing(x, [last] if stage is None else [stage, last]):
        if name == stage:  # read before the next stage, which may work in place
            stage_maps = maps(out)
            channels = None if stage_maps is None else stage_maps.float().sum(dim=(2, 3))
        if name == last:
            chances = network.chances(network.head(network.backbone.to_head(out)))
    return chances, channels


def _square(cell: int, patch: int, stride: int) -> slice:
    """The pixels of a row or column that a square in the middle of a cell hides."""
    low = (2 * cell * stride + stride - patch) // 2
    return slice(max(0, low), max(0, low + patch))


def _said(subject: Subject, explained_class: ExplainedClass, covered: Occluded, patch: int, stride: int) -> str:
    probability, activity, best = covered.whole
    name = subject.called(explained_class.number)
    caption = (
        f"{explained_class.said.replace(', the logit of ', ', ')}; a square of {patch} pixels, every "
        f"{stride}. Without it {name} "
        f"has {probability:.3f}, with it {float(covered.probability.min()):.3f} at the worst place"
    )
    if covered.activity is not None and activity is not None:
        least = float(covered.activity.min())
        caption += f"; map {covered.channel} has {activity:.4g}, and {least:.4g} at its lowest"
    changed = float((covered.best != best).float().mean())
    return (
        f"{caption}; at {100 * changed:.0f} % of the places the model says something else than {subject.called(best)}"
    )


def _activity_scales(occlusions: Iterable[Occluded]) -> dict[int | None, tuple[float, float]]:
    """Of each channel that is watched in some image, the least and the greatest activity over all of them."""
    scales: dict[int | None, tuple[float, float]] = {}
    for covered in occlusions:
        if covered.activity is not None:
            low, high = scales.get(covered.channel, (0.0, 0.0))
            least, most = float(covered.activity.min()), float(covered.activity.max())
            scales[covered.channel] = (min(low, least), max(high, most))
    return scales


def _drawing(
    subject: Subject,
    explained_class: ExplainedClass,
    covered: Occluded,
    activity_scale: tuple[float, float] | None,
    patch: int,
    stride: int,
) -> map_rendering.RgbImage:
    photo = map_rendering.photo(subject.images.pixels[explained_class.position])
    height, width = photo.shape[:2]
    panels = 3 if covered.activity is None else 4
    figure = Figure(figsize=(SIDE * panels, SIDE + 0.9), dpi=80, layout="constrained")
    axes = figure.subplots(1, panels)
    axes[0].imshow(photo)
    corner = ((width - patch) / 2 - 0.5, (height - patch) / 2 - 0.5)
    axes[0].add_patch(Rectangle(corner, patch, patch, fill=False, edgecolor="yellow", linewidth=1.5))
    axes[0].set_title("the image; a square's size", fontsize=9)
    extent = (-0.5, covered.best.shape[1] * stride - 0.5, covered.best.shape[0] * stride - 0.5, -0.5)
    shown = [(f"probability of {subject.called(explained_class.number)}", covered.probability, (0.0, 1.0))]
    if covered.activity is not None and activity_scale is not None:
        shown.append((f"activity of map {covered.channel}", covered.activity, activity_scale))
    for place, (title, values, (low, high)) in zip(axes[1:], shown, strict=False):
        painted = place.imshow(values.numpy(), extent=extent, cmap="viridis", vmin=low, vmax=high)
        place.set_title(title, fontsize=9)
        figure.colorbar(painted, ax=place, location="bottom", shrink=0.9)
    _classes(axes[-1], covered.best, subject.class_names, extent)
    for place in axes:
        place.set_anchor("N")
        place.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return map_rendering.drawing(figure)


def _classes(axes: object, best: Tensor, names: Sequence[str], extent: tuple[float, float, float, float]) -> None:
    """The classes in colours with their names, the most frequent first; those beyond NAMED share grey."""
    classes, counts = torch.unique(best, return_counts=True)
    order = classes[counts.argsort(descending=True, stable=True)].tolist()
    shown = torch.full_like(best, min(len(order), NAMED))
    for place, number in enumerate(order[:NAMED]):
        shown[best == number] = place
    colours = [matplotlib.colormaps["tab10"](place) for place in range(min(len(order), NAMED))]
    words = [names[number] for number in order[:NAMED]]
    if len(order) > NAMED:
        words.append(f"{len(order) - NAMED} others")
    colours.append((0.6, 0.6, 0.6, 1.0))
    axes.imshow(shown.numpy(), extent=extent, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5)  # type: ignore[attr-defined]
    axes.set_title("most probable class", fontsize=9)  # type: ignore[attr-defined]
    keys = [Patch(color=colour, label=word) for colour, word in zip(colours, words, strict=False)]
    axes.legend(handles=keys, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, frameon=False)  # type: ignore[attr-defined]

"""Deconvnet: projections of strong units back to pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from headstart.explain.explained_network import Network
from headstart.explain.gradients.relu_backward_rules import ActivationsMet, relu_rule
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.pictures.input_gradient import magnitude, peak
from headstart.explain.rendering import map_rendering
from headstart.types import UserError

SIDE = 112  # pixels of a tile
APART = 8  # pixels between the image and the pairs
FRAME = (255, 214, 0)
SHARE = 0.05  # of its largest magnitude, below which a pixel of a projection counts as nothing


class StrongUnit(NamedTuple):
    """An activation: its map's number, its row and column, and how strong it is."""

    channel: int
    place: tuple[int, int]
    activation: float


class Deconvnet:
    """The strongest units of each stage for each image, projected back to pixels.

    Args:
        stages: Names of stages; None means all with only ReLUs between them and the image.
        units: Maps of each stage.
    """

    title = "Deconvnet projections"
    about = (
        "The image with frames; then pairs: what is in a frame, and what in it made one unit of a stage as active as "
        "it is (Zeiler & Fergus 2013). Middle grey is nothing. It is max pooling that remembers where in this image "
        "things were: early stages show edges and blots, late ones parts of objects where enough of it lies on the "
        "way, and hardly more than the filters where there is little (ResNet has one such layer, MobileNet none; see "
        "guided_backpropagation). Stages behind another activation than ReLU are left out."
    )

    def __init__(self, *, stages: list[str] | None, units: Annotated[int, Ge(1)]) -> None:
        self.stages, self.units = stages, units

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image and stage. Raises UnfitError where a deconvnet does not apply to the stages."""
        network, images = subject.network, subject.images
        ways = _ways(network, network.entering(images.pixels[:1]), self.stages)
        steps = [(n, stage) for n in range(len(images)) for stage in ways]
        for n, stage in subject.progress(steps, title="deconvnet"):
            x = network.entering(images.pixels[n : n + 1])
            units = strongest(network, x, stage=stage, count=self.units)
            pairs = []
            for at in range(0, len(units), subject.batch_size):
                part = units[at : at + subject.batch_size]
                rows = x.expand(len(part), -1, -1, -1)
                channels, places = [unit.channel for unit in part], [unit.place for unit in part]
                pairs.append(projections(network, rows, stage=stage, channels=channels, places=places).cpu())
            caption = f"{images.names[n]}, {stage} ({_pooling(ways[stage])}), row by row: "
            caption += "; ".join(
                f"channel {unit.channel} at row {unit.place[0]}, column {unit.place[1]}: {unit.activation:.3g}"
                for unit in units
            )
            alt = f"The image, and {len(units)} pairs of a piece of it and its projection."
            yield Shown(f"{n + 1:03d}-{stage}", _sheet(images.pixels[n], torch.cat(pairs)), caption, alt)


def projection(network: Network, x: Tensor, *, stage: str, channel: int, place: tuple[int, int] | None) -> Tensor:
    """What in a normalised image x (1, C, H, W) made one unit of a stage active -> (C, H, W), around 0.

    place: row and column in the unit's map; None: where that is the strongest. Otherwise as `projections`.
    """
    return projections(network, x, stage=stage, channels=[channel], places=None if place is None else [place])[0]


def projections(
    network: Network, x: Tensor, *, stage: str, channels: list[int], places: list[tuple[int, int]] | None
) -> Tensor:
    """What in each normalised image of x (B, C, H, W) made one unit of a stage active -> (B, C, H, W), around 0.

    channels: of each image the map that is kept, places: and its row and column in it, None: where each is the
    strongest. To be called within network.at_rest(). All but that activation of a stage's output is set to 0; its own
    value then goes back through unpooling by switches, ReLU and transposed filters without bias (Zeiler & Fergus 2013,
    arXiv:1311.2901, section 2.1), which is the gradient with another rule for the ReLUs: see relu_rules.py. Where
    pooling windows overlap, a place that is the strongest of several gets the sum. Features (B, D) count as maps of
    one place. Raises UserError where there is no such stage, channel or place, UnfitError where the network has no
    ReLU, or something else than ReLUs bends the signal on the way.
    """
    if not len(x) == len(channels) or (places is not None and len(places) != len(x)):
        raise ValueError(f"there must be a channel and a place for each of {len(x)} images, got {channels}, {places}")
    leaf = x.detach().clone().requires_grad_()
    output, _ = _followed(network, leaf, stage)
    shape = _shape(output, stage)
    flat = output.flatten(2) if output.ndim == 4 else output[..., None]  # (B, D, places)
    if bad := [channel for channel in channels if not 0 <= channel < shape[0]]:
        raise UserError(f"the channels of {stage} are 0 to {shape[0] - 1}, got {bad[0]}")
    if places is None:
        at = [int(flat[row, channel].argmax()) for row, channel in enumerate(channels)]
    else:
        if out := [place for place in places if not (0 <= place[0] < shape[1] and 0 <= place[1] < shape[2])]:
            raise UserError(
                f"the places of {stage} are rows 0 to {shape[1] - 1} and columns 0 to {shape[2] - 1}, got {out[0]}"
            )
        at = [row * shape[2] + column for row, column in places]
    units = (
        torch.arange(len(x), device=flat.device),
        torch.tensor(channels, device=flat.device),
        torch.tensor(at, device=flat.device),
    )
    signal = torch.zeros_like(flat)
    signal[units] = flat.detach()[units]
    (pixels,) = torch.autograd.grad(flat, leaf, signal)
    return pixels


def strongest(network: Network, x: Tensor, *, stage: str, count: int) -> list[StrongUnit]:
    """The units of a stage that a normalised image x (1, C, H, W) makes the most active, one a map, falling.

    Raises UnfitError where the stage gives tokens.
    """
    with torch.no_grad():
        output = network.activations(x, stage)
    channels, _, columns = _shape(output, stage)
    value, at = output.reshape(channels, -1).float().max(dim=1)
    order = value.argsort(descending=True, stable=True)[:count].tolist()
    return [StrongUnit(position, divmod(int(at[position]), columns), float(value[position])) for position in order]


def _shape(output: Tensor, stage: str) -> tuple[int, int, int]:
    """Channels, rows and columns of a stage's output; of features one row and column."""
    if output.ndim == 3:
        raise UnfitError(f"deconvnet needs maps, and {stage} gives tokens {tuple(output.shape[1:])}")
    return (output.shape[1], output.shape[2], output.shape[3]) if output.ndim == 4 else (output.shape[1], 1, 1)


def _followed(network: Network, leaf: Tensor, stage: str) -> tuple[Tensor, ActivationsMet]:
    """What a stage makes of images, with a deconvnet's way back, and what lies on it. Raises UnfitError."""
    with relu_rule("deconvnet") as way:
        output = network.activations(leaf.clone(), stage)  # a copy: what works in place must not meet a leaf
        met = way.check(output, kind="deconvnet", to=stage)
        if not met.relus:
            logits = network.logits(leaf.clone())  # a stage that lies before the first ReLU will do
            if not way.met(logits).relus:
                way.check(logits, kind="deconvnet", to="the classes")
                raise UnfitError("deconvnet goes back through ReLUs, and this network has none")
    _shape(output, stage)
    return output, met


def _ways(network: Network, x: Tensor, stages: list[str] | None) -> dict[str, int]:
    """The layers of max pooling on the way to each of these stages; None: to all, up to where the way ends.

    Raises UnfitError where a deconvnet does not apply to one of the stages, of all to the first.
    """
    switches: dict[str, int] = {}
    for stage in network.chosen(stages):
        try:
            switches[stage] = _followed(network, x.detach().clone().requires_grad_(), stage)[1].switches
        except UnfitError:
            if stages is not None or not switches:
                raise
            break
    return switches


def _pooling(switches: int) -> str:
    if switches == 0:
        return "no max pooling on the way, so of the filters rather than of this image"
    return f"{switches} layer{'s' if switches > 1 else ''} of max pooling on the way"


def box(projected: Tensor) -> tuple[slice, slice]:
    """The smallest rows and columns outside of which a projection (C, H, W) is nothing, about square; all, if it is."""
    size = projected.abs().amax(dim=0)
    visible = size > SHARE * size.max()
    if not visible.any():
        return slice(0, size.shape[0]), slice(0, size.shape[1])
    spans = [(int(line.nonzero()[0]), int(line.nonzero()[-1]) + 1) for line in (visible.any(dim=1), visible.any(dim=0))]
    side = max(high - low for low, high in spans)
    rows, columns = (_widened(span, side, whole) for span, whole in zip(spans, size.shape, strict=True))
    return rows, columns


def _widened(span: tuple[int, int], side: int, whole: int) -> slice:
    side = min(side, whole)
    low = min(max(0, (span[0] + span[1] - side) // 2), whole - side)
    return slice(low, low + side)


def _sheet(image: Tensor, projected: Tensor) -> map_rendering.RgbImage:
    photo, boxes = map_rendering.photo(image), [box(pixels) for pixels in projected]
    tiles = []
    for pixels, (rows, columns) in zip(projected, boxes, strict=True):
        cut = pixels[:, rows, columns]
        parts = photo[rows, columns], map_rendering.projection(cut, scale=peak(magnitude(cut)))
        tiles.append(np.concatenate([map_rendering.enlarged(part, SIDE) for part in parts], axis=1))
    pairs = map_rendering.sheet(tiles)
    framed = _framed(photo, boxes)
    paper = np.full((max(len(framed), len(pairs)), framed.shape[1] + APART, 3), map_rendering.PAPER, np.uint8)
    paper[: len(framed), : framed.shape[1]] = framed
    below = np.full((len(paper) - len(pairs), pairs.shape[1], 3), map_rendering.PAPER, np.uint8)
    return np.concatenate([paper, np.concatenate([pairs, below])], axis=1)


def _framed(photo: map_rendering.RgbImage, boxes: list[tuple[slice, slice]]) -> map_rendering.RgbImage:
    """The image, 2 SIDE pixels large, with a frame around each box."""
    large = map_rendering.enlarged(photo, 2 * SIDE).copy()
    scale = len(large) / len(photo)
    for rows, columns in boxes:
        top, left = round(rows.start * scale), round(columns.start * scale)
        bottom, right = round(rows.stop * scale) - 1, round(columns.stop * scale) - 1
        large[[top, bottom], left : right + 1] = FRAME
        large[top : bottom + 1, [left, right]] = FRAME
    return large

"""What in the image made a unit active?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from headstart.explain import render
from headstart.explain.network import Network
from headstart.explain.picture import Shown, Subject, UnfitError
from headstart.explain.relu_rules import relu_rule
from headstart.types import UserError

SIDE = 112  # pixels of a tile
SHARE = 0.02  # of its largest magnitude, below which a pixel of a projection counts as nothing


class Unit(NamedTuple):
    """An activation: its map's number, its row and column, and how strong it is."""

    channel: int
    place: tuple[int, int]
    activation: float


class Deconvnet:
    """The strongest units of each stage for each image, projected back to pixels.

    stages: None = all to which the way back leads through ReLUs alone. units: so many maps of a stage.
    """

    title = "Deconvnet projections"
    about = (
        "Pairs: a piece of the image, and beside it what in that piece made one unit of a stage as active as it is "
        "(Zeiler & Fergus 2013). Middle grey is nothing. Projections of early stages are edges and blots, those of "
        "late ones parts of objects; what a unit did not answer to is missing from its projection."
    )

    def __init__(self, *, stages: list[str] | None, units: Annotated[int, Ge(1)]) -> None:
        self.stages, self.units = stages, units

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image and stage. UnfitError where not even the first of the stages can be gone back from."""
        network, images = subject.network, subject.images
        stages = network.chosen(self.stages)
        if self.stages is None:
            stages = _fitting(network, network.entering(images.pixels[:1]))
        steps = [(n, stage) for n in range(len(images)) for stage in stages]
        for n, stage in subject.progress(steps, title="deconvnet"):
            x = network.entering(images.pixels[n : n + 1])
            units = strongest(network, x, stage=stage, count=self.units)
            found = []
            for at in range(0, len(units), subject.batch_size):
                part = units[at : at + subject.batch_size]
                rows = x.expand(len(part), -1, -1, -1)
                channels, places = [unit.channel for unit in part], [unit.place for unit in part]
                found.append(projections(network, rows, stage=stage, channels=channels, places=places).cpu())
            yield _sheet(f"{n + 1:03d}-{stage}", images.pixels[n], torch.cat(found), units, images.names[n], stage)


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
    with relu_rule("deconvnet") as way:
        output = network.activations(leaf.clone(), stage)  # a copy: what works in place must not meet a leaf
        if not way.check(output, kind="deconvnet", to=stage).relus:
            logits = network.logits(leaf.clone())  # a stage that lies before the first ReLU will do
            if not way.met(logits).relus:
                way.check(logits, kind="deconvnet", to="the classes")
                raise UnfitError("deconvnet goes back through ReLUs, and this network has none")
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
    kept = (
        torch.arange(len(x), device=flat.device),
        torch.tensor(channels, device=flat.device),
        torch.tensor(at, device=flat.device),
    )
    signal = torch.zeros_like(flat)
    signal[kept] = flat.detach()[kept]
    (found,) = torch.autograd.grad(flat, leaf, signal)
    return found


def strongest(network: Network, x: Tensor, *, stage: str, count: int) -> list[Unit]:
    """The units of a stage that a normalised image x (1, C, H, W) makes the most active, one a map, falling.

    Raises UnfitError where the stage gives tokens.
    """
    with torch.no_grad():
        output = network.activations(x, stage)
    channels, _, columns = _shape(output, stage)
    value, at = output.reshape(channels, -1).float().max(dim=1)
    order = value.argsort(descending=True, stable=True)[:count].tolist()
    return [Unit(one, divmod(int(at[one]), columns), float(value[one])) for one in order]


def _shape(output: Tensor, stage: str) -> tuple[int, int, int]:
    """Channels, rows and columns of a stage's output; of features one row and column."""
    if output.ndim == 3:
        raise UnfitError(f"deconvnet needs maps, and {stage} gives tokens {tuple(output.shape[1:])}")
    return (output.shape[1], output.shape[2], output.shape[3]) if output.ndim == 4 else (output.shape[1], 1, 1)


def _fitting(network: Network, x: Tensor) -> tuple[str, ...]:
    """The stages to which a deconvnet applies, from the first on. Raises UnfitError where it does not to that."""
    fit: list[str] = []
    for stage in network.stages:
        try:
            projection(network, x, stage=stage, channel=0, place=(0, 0))
        except UnfitError:
            if not fit:
                raise
            break
        fit.append(stage)
    return tuple(fit)


def box(found: Tensor) -> tuple[slice, slice]:
    """The smallest rows and columns outside of which a projection (C, H, W) is nothing, about square; all, if it is."""
    size = found.abs().amax(dim=0)
    seen = size > SHARE * size.max()
    if not seen.any():
        return slice(0, size.shape[0]), slice(0, size.shape[1])
    spans = [(int(line.nonzero()[0]), int(line.nonzero()[-1]) + 1) for line in (seen.any(dim=1), seen.any(dim=0))]
    side = max(high - low for low, high in spans)
    rows, columns = (_widened(span, side, whole) for span, whole in zip(spans, size.shape, strict=True))
    return rows, columns


def _widened(span: tuple[int, int], side: int, whole: int) -> slice:
    side = min(side, whole)
    low = min(max(0, (span[0] + span[1] - side) // 2), whole - side)
    return slice(low, low + side)


def _sheet(name: str, image: Tensor, found: Tensor, units: list[Unit], of: str, stage: str) -> Shown:
    tiles = []
    for one in found:
        rows, columns = box(one)
        parts = render.photo(image[:, rows, columns]), render.projection(one[:, rows, columns])
        tiles.append(np.concatenate([render.enlarged(part, SIDE) for part in parts], axis=1))
    listed = "; ".join(
        f"channel {unit.channel} at row {unit.place[0]}, column {unit.place[1]}: {unit.activation:.3g}"
        for unit in units
    )
    caption = f"{of}, {stage}, row by row: {listed}"
    return Shown(name, render.sheet(tiles), caption, f"{len(tiles)} pairs of a piece of the image and its projection.")

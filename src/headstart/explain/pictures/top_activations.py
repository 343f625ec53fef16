"""What have the images in common that make a unit strongest?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor

from headstart.explain.explained_network import Network, maps
from headstart.explain.map_rendering import Seen, enlarged, photo, projection, sheet
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.pictures.deconvnet import projections
from headstart.explain.pictures.receptive_field import Box, Fields, Place
from headstart.explain.relu_backward_rules import relu_rule
from headstart.types import UserError

APART = 8  # pixels between the projections and the patches
BEYOND = 225  # how bright the tile is where a field reaches beyond the image
BRIGHTEST = 0.98  # quantile of a projection's magnitudes that is as bright as can be: few pixels are far above it

Rule = Literal["deconvnet", "guided"]


class Strongest:
    """Of each channel of a stage the strongest places of all images seen so far, at most one of an image.

    Only `top` of them are kept. Of equal ones the earlier image counts, and in an image the first place, by rows; so
    what is kept does not depend on how the images come in batches.
    After `see`: value, image and at, each (k, D), the strongest first, k = the smaller of top and the images; at is
    the place's number, by rows. mean (D,): of the strongest values of all images. shape: rows and columns of the maps,
    None where the stage has no places.
    """

    def __init__(self, top: int) -> None:
        self.top, self.seen = top, 0
        self.shape: Place | None = None
        self.value = self.image = self.at = torch.empty(0)
        self._sum = torch.empty(0)

    def see(self, activations: Tensor) -> None:
        """Take a batch in: maps (B, D, h, w), tokens (B, N, D) or features (B, D)."""
        flat, self.shape = _by_channel(activations)
        value, at = (one.cpu() for one in flat.float().max(dim=2))
        image = torch.arange(self.seen, self.seen + len(value))[:, None].expand_as(value)
        if self.seen == 0:
            self._sum = torch.zeros(value.shape[1], dtype=torch.float64)
            self.value, self.image, self.at = value[:0], image[:0], at[:0]
        for row in value.double():  # one after another, for sums that batches do not change
            self._sum += row
        self.seen += len(value)
        value, image, at = (
            torch.cat(pair) for pair in ((self.value, value), (self.image, image), (self.at, at))
        )  # in the order of the images where values are equal, and sorting keeps that
        order = value.argsort(dim=0, descending=True, stable=True)[: self.top]
        self.value, self.image, self.at = (one.gather(0, order) for one in (value, image, at))

    @property
    def mean(self) -> Tensor:
        return self._sum / self.seen

    def place(self, rank: int, channel: int) -> Place | None:
        """Row and column of a channel's strongest place in the image of a rank."""
        return None if self.shape is None else divmod(int(self.at[rank, channel]), self.shape[1])


def _by_channel(activations: Tensor) -> tuple[Tensor, Place | None]:
    """A stage's activations as (B, D, places), and rows and columns of these, None where they lie in none."""
    placed = maps(activations)
    if placed is not None:
        return placed.flatten(2), (placed.shape[2], placed.shape[3])
    return (activations.transpose(1, 2) if activations.ndim == 3 else activations[..., None]), None


def standing_out(found: Strongest, count: int) -> list[int]:
    """The channels whose strongest images stand out most from the others, falling; of equals the first.

    By the mean of the kept values less the mean of the strongest values of all images: large for a unit that is strong
    for some images and silent for most, 0 for one that answers to all alike, or to none. In the activations' own
    units, as the next stage gets them: what is small there matters little. No labels are asked, as units of early
    stages serve all classes. With no more images than are kept all units are equal.
    """
    margin = found.value.double().mean(dim=0) - found.mean
    if found.seen <= found.top:
        margin = torch.zeros_like(margin)
    return [int(one) for one in margin.argsort(descending=True, stable=True)[:count]]


def searched(subject: Subject, stages: Sequence[str], *, top: int) -> dict[str, Strongest]:
    """The strongest places of each channel of each stage, in one pass over the searched images."""
    network = subject.network
    found = {stage: Strongest(top) for stage in stages}
    with torch.no_grad():
        for batch in subject.searching(title="search"):
            for stage, activations in network.passing(network.entering(batch.image), stages):
                found[stage].see(activations)
    return found


WORDS = {"deconvnet": "deconvnet", "guided": "guided backpropagation"}
WHY = " (no max pooling lies on the way, and without its switches a deconvnet shows the same for each image)"


class _Slot(NamedTuple):
    """A tile to be made: of a unit's rank the image and the place."""

    stage: str
    channel: int
    rank: int
    image: int
    place: Place | None


class TopActivations:
    """The images that make chosen units strongest: what of them the units answer to, and the pieces of the images.

    stages: null = all. units: so many channels of a stage, or which. top: images of a unit. side: pixels of a tile.
    rule: of the projections, null = deconvnet where max pooling lies on the way. Without its switches, a deconvnet's
    projection is the same whatever the image, and guided backpropagation is what remains (Springenberg et al. 2014,
    arXiv:1412.6806).
    """

    title = "Strongest images of units"
    about = (
        "Each pair of squares is one unit, a channel of a stage, and the images of the searched split that make it "
        "strongest. Right: the piece of each image that the unit can see. Left, in the same order: what in that piece "
        "made it so strong, projected back through the network (Zeiler & Fergus 2013, figure 2); middle grey is "
        "nothing. What the pieces have in common is what the unit looks for."
    )

    def __init__(
        self,
        *,
        stages: Sequence[str] | None,
        units: Annotated[int, Ge(1)] | list[Annotated[int, Ge(0)]],
        top: Annotated[int, Ge(1)],
        side: Annotated[int, Ge(8), Le(1024)],
        rule: Rule | None,
    ) -> None:
        self.stages, self.units, self.top, self.side, self.rule = stages, units, top, side, rule

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """An image for each unit, by stages. Raises UserError where a stage has no such unit."""
        network = subject.network
        stages = network.chosen(self.stages)
        found = searched(subject, stages, top=self.top)
        units = {stage: self._units(stage, found[stage]) for stage in stages}
        slots = [
            _Slot(stage, channel, rank, int(found[stage].image[rank, channel]), found[stage].place(rank, channel))
            for stage in stages
            for channel in units[stage]
            for rank in range(len(found[stage].value))
        ]
        tiles = _Tiles(network, self.side, self.rule)
        tiles.make(subject, slots)
        names = subject.searched_names()
        for stage in stages:
            for channel in units[stage]:
                yield self._shown(stage, channel, found[stage], tiles, names)

    def _units(self, stage: str, found: Strongest) -> list[int]:
        if isinstance(self.units, int):
            return standing_out(found, self.units)
        channels = found.value.shape[1]
        for unit in self.units:
            if not 0 <= unit < channels:
                raise UserError(
                    f"units must be channels of each stage, and {stage} has 0 to {channels - 1}, got {unit}; "
                    f"try stages=[..] with those that have it"
                )
        return list(dict.fromkeys(self.units))

    def _shown(self, stage: str, channel: int, found: Strongest, tiles: _Tiles, names: Sequence[str]) -> Shown:
        ranks = range(len(found.value))
        columns = math.ceil(math.sqrt(len(ranks)))
        patches = sheet([tiles.patches[stage, channel, rank] for rank in ranks], columns=columns)
        strongest = ", ".join(
            f"{names[int(found.image[rank, channel])]} ({float(found.value[rank, channel]):.3g})" for rank in ranks
        )
        mean = float(found.mean[channel])
        caption = f"Unit {channel} of {stage}, strongest in {strongest}; the mean over all images is {mean:.3g}."
        if stage in tiles.unfit:
            caption += f" Without projections: {tiles.unfit[stage]}."
            return Shown(f"{stage}-{channel:04d}", patches, caption, f"{len(ranks)} pieces of images.")
        left = sheet([tiles.projections[stage, channel, rank] for rank in ranks], columns=columns)
        rule = tiles.rules[stage]
        caption += f" Projections: {WORDS[rule]}{WHY if self.rule is None and rule == 'guided' else ''}."
        alt = f"{len(ranks)} projections, and {len(ranks)} pieces of images beside them."
        return Shown(f"{stage}-{channel:04d}", sheet([left, patches], columns=2, gap=APART), caption, alt)


class _Tiles:
    """What stands in the pictures, made as the images come by once more, so that no image is kept.

    patches, projections: by stage, channel and rank. unfit: stage -> why it has no projections.
    rules: stage -> how they were made.
    """

    def __init__(self, network: Network, side: int, rule: Rule | None) -> None:
        self.patches: dict[tuple[str, int, int], Seen] = {}
        self.projections: dict[tuple[str, int, int], Seen] = {}
        self.unfit: dict[str, str] = {}
        self.rules: dict[str, Rule] = {}
        self._rule = rule
        self._network, self._side, self._fields = network, side, Fields(network)

    def make(self, subject: Subject, slots: Sequence[_Slot]) -> None:
        """Make all tiles in a second pass over the searched images."""
        wanted: dict[int, list[_Slot]] = defaultdict(list)
        for slot in slots:
            wanted[slot.image].append(slot)
        first = 0
        for images, *_ in subject.searching(title="projections"):
            here = defaultdict(list)
            for nth in range(first, first + len(images)):
                for slot in wanted.pop(nth, ()):
                    here[slot.stage].append(slot)
            for stage, own in here.items():
                rest = iter(own)
                while part := list(islice(rest, subject.batch_size)):
                    self._part(stage, part, images[[slot.image - first for slot in part]])
            first += len(images)
            if not wanted:
                break

    def _part(self, stage: str, slots: Sequence[_Slot], images: Tensor) -> None:
        boxes = [self._box(slot) for slot in slots]
        for slot, box, image in zip(slots, boxes, images, strict=True):
            self.patches[slot.stage, slot.channel, slot.rank] = self._tile(photo(box.of(image)), box)
        for slot, box, one in zip(slots, boxes, self._projected(stage, slots, images), strict=False):
            own = box.of(one)
            scale = float(own.abs().flatten().quantile(BRIGHTEST)) or None
            self.projections[slot.stage, slot.channel, slot.rank] = self._tile(projection(own, scale=scale), box)

    def _projected(self, stage: str, slots: Sequence[_Slot], images: Tensor) -> Sequence[Tensor]:
        if stage in self.unfit:
            return ()
        x = self._network.entering(images)
        if stage not in self.rules:
            self.rules[stage] = self._rule or ("deconvnet" if pools(self._network, x[:1], stage=stage) else "guided")
        way = projections if self.rules[stage] == "deconvnet" else guided_projections
        places = [slot.place for slot in slots if slot.place is not None]
        try:
            found = way(self._network, x, stage=stage, channels=[slot.channel for slot in slots], places=places or None)
        except UnfitError as error:
            self.unfit[stage] = str(error).partition(";")[0]
            return ()
        return list(found.float().cpu())

    def _box(self, slot: _Slot) -> Box:
        size = self._network.backbone.pixels.size
        try:
            box = self._fields.box(slot.stage, slot.place, channel=slot.channel)
        except UnfitError:  # it takes no float64: then the whole image, which holds what the unit sees
            return Box(0, 0, size, size)
        return box if box.height else Box(0, 0, size, size)

    def _tile(self, image: Seen, box: Box) -> Seen:
        """A square; what the border has cut off leaves its room free on that side."""
        size = self._network.backbone.pixels.size
        small = enlarged(image, self._side, smooth=True)
        tile = np.full((self._side, self._side, 3), BEYOND, np.uint8)
        top, left = (
            _shift(self._side - small.shape[axis], begin == 0, end == size)
            for axis, (begin, end) in enumerate([(box.top, box.bottom), (box.left, box.right)])
        )
        tile[top : top + small.shape[0], left : left + small.shape[1]] = small
        return tile


def _shift(spare: int, cut_before: bool, cut_behind: bool) -> int:
    """How much of the spare room stands before."""
    return spare // 2 if cut_before == cut_behind else spare if cut_before else 0


def pools(network: Network, x: Tensor, *, stage: str) -> bool:
    """Whether max pooling lies between normalised images (B, C, H, W) and what a stage makes of them."""
    leaf = x.detach().clone().requires_grad_()
    with relu_rule("deconvnet") as way:
        output = network.activations(leaf.clone(), stage)
    return way.met(output).switches > 0


def guided_projections(
    network: Network, x: Tensor, *, stage: str, channels: list[int], places: list[Place] | None
) -> Tensor:
    """What in each normalised image of x (B, C, H, W) made one unit of a stage active -> (B, C, H, W), around 0.

    As deconvnet.projections, with the rule of guided backpropagation and of a signal of 1; tokens (B, N, D) may be
    maps, too. places None: the strongest place of each. Raises UnfitError where something else than ReLUs bends the
    signal.
    """
    leaf = x.detach().clone().requires_grad_()
    with relu_rule("guided") as way:
        output = network.activations(leaf.clone(), stage)
        way.check(output, kind="guided backpropagation", to=stage)
    flat, shape = _by_channel(output)
    rows = torch.arange(len(x), device=flat.device)
    own = flat[rows, torch.tensor(channels, device=flat.device)]  # (B, places)
    if places is None:
        at = own.argmax(dim=1)
    else:
        columns = 1 if shape is None else shape[1]
        at = torch.tensor([row * columns + column for row, column in places], device=flat.device)
    (found,) = torch.autograd.grad(own[rows, at].sum(), leaf)
    return found

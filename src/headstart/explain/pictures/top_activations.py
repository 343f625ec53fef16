"""Images that make a unit strongest, with projections to pixels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Le
from torch import Tensor

from headstart.explain.explained_network import Network
from headstart.explain.gradients.guided_projections import guided_projections, pools
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.pictures.deconvnet import projections
from headstart.explain.receptive_fields.pixel_box import PixelBox
from headstart.explain.receptive_fields.receptive_search import FieldFinder, Place
from headstart.explain.rendering.map_rendering import RgbImage, enlarged, photo, projection, sheet
from headstart.explain.strongest_places import StrongestPlaces, standing_out, strongest_places
from headstart.types import UserError

APART = 8  # pixels between the projections and the patches
BEYOND = 225  # how bright the tile is where a field reaches beyond the image
BRIGHTEST = 0.98  # quantile of a projection's magnitudes that is as bright as can be: few pixels are far above it

Rule = Literal["deconvnet", "guided"]


WORDS = {"deconvnet": "deconvnet", "guided": "guided backpropagation"}
WHY = " (no max pooling lies on the way, and without its switches a deconvnet shows the same for each image)"


class _Slot(NamedTuple):
    """A tile of the picture: the image and the place of a unit's rank."""

    stage: str
    channel: int
    rank: int
    image: int
    place: Place | None


class TopActivations:
    """The images that make chosen units strongest: projections of the units, and the pieces that they see.

    Args:
        stages: Names of stages; None means all.
        units: How many channels of each stage, or their numbers.
        top: Images of each unit.
        side: Pixels of a tile.
        rule: Of the projections; None means deconvnet where max pooling lies between image and unit, else guided
            backpropagation: without the switches of max pooling a deconvnet's projection is the same for each image
            (Springenberg et al. 2014, arXiv:1412.6806).
    """

    title = "StrongestPlaces images of units"
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
        strongest = strongest_places(subject, stages, top=self.top)
        units = {stage: self._units(stage, strongest[stage]) for stage in stages}
        slots = [
            _Slot(
                stage, channel, rank, int(strongest[stage].image[rank, channel]), strongest[stage].place(rank, channel)
            )
            for stage in stages
            for channel in units[stage]
            for rank in range(len(strongest[stage].value))
        ]
        tiles = _Tiles(network, self.side, self.rule)
        tiles.make(subject, slots)
        names = subject.searched_names()
        for stage in stages:
            for channel in units[stage]:
                yield self._shown(stage, channel, strongest[stage], tiles, names)

    def _units(self, stage: str, strongest: StrongestPlaces) -> list[int]:
        if isinstance(self.units, int):
            return standing_out(strongest, self.units)
        channels = strongest.value.shape[1]
        for unit in self.units:
            if not 0 <= unit < channels:
                raise UserError(
                    f"units must be channels of each stage, and {stage} has 0 to {channels - 1}, got {unit}; "
                    f"try stages=[..] with those that have it"
                )
        return list(dict.fromkeys(self.units))

    def _shown(self, stage: str, channel: int, places: StrongestPlaces, tiles: _Tiles, names: Sequence[str]) -> Shown:
        ranks = range(len(places.value))
        columns = math.ceil(math.sqrt(len(ranks)))
        patches = sheet([tiles.patches[stage, channel, rank] for rank in ranks], columns=columns)
        strongest = ", ".join(
            f"{names[int(places.image[rank, channel])]} ({float(places.value[rank, channel]):.3g})" for rank in ranks
        )
        mean = float(places.mean[channel])
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
    """The tiles of the pictures, made in a second pass over the images, so that no image stays in memory.

    patches, projections: by stage, channel and rank. unfit: stage -> why it has no projections. rules: stage -> the
    rule of its projections.
    """

    def __init__(self, network: Network, side: int, rule: Rule | None) -> None:
        self.patches: dict[tuple[str, int, int], RgbImage] = {}
        self.projections: dict[tuple[str, int, int], RgbImage] = {}
        self.unfit: dict[str, str] = {}
        self.rules: dict[str, Rule] = {}
        self._rule = rule
        self._network, self._side, self._fields = network, side, FieldFinder(network)

    def make(self, subject: Subject, slots: Sequence[_Slot]) -> None:
        """Make all tiles in a second pass over the searched images."""
        wanted: dict[int, list[_Slot]] = defaultdict(list)
        for slot in slots:
            wanted[slot.image].append(slot)
        first = 0
        for images, *_ in subject.searching(title="projections"):
            slots_of_stage = defaultdict(list)
            for nth in range(first, first + len(images)):
                for slot in wanted.pop(nth, ()):
                    slots_of_stage[slot.stage].append(slot)
            for stage, of_stage in slots_of_stage.items():
                rest = iter(of_stage)
                while part := list(islice(rest, subject.batch_size)):
                    self._part(stage, part, images[[slot.image - first for slot in part]])
            first += len(images)
            if not wanted:
                break

    def _part(self, stage: str, slots: Sequence[_Slot], images: Tensor) -> None:
        boxes = [self._box(slot) for slot in slots]
        for slot, box, image in zip(slots, boxes, images, strict=True):
            self.patches[slot.stage, slot.channel, slot.rank] = self._tile(photo(box.of(image)), box)
        for slot, box, projected in zip(slots, boxes, self._projected(stage, slots, images), strict=False):
            patch = box.of(projected)
            scale = float(patch.abs().flatten().quantile(BRIGHTEST)) or None
            self.projections[slot.stage, slot.channel, slot.rank] = self._tile(projection(patch, scale=scale), box)

    def _projected(self, stage: str, slots: Sequence[_Slot], images: Tensor) -> Sequence[Tensor]:
        if stage in self.unfit:
            return ()
        x = self._network.entering(images)
        if stage not in self.rules:
            self.rules[stage] = self._rule or ("deconvnet" if pools(self._network, x[:1], stage=stage) else "guided")
        way = projections if self.rules[stage] == "deconvnet" else guided_projections
        places = [slot.place for slot in slots if slot.place is not None]
        try:
            projected = way(
                self._network, x, stage=stage, channels=[slot.channel for slot in slots], places=places or None
            )
        except UnfitError as error:
            self.unfit[stage] = str(error).partition(";")[0]
            return ()
        return list(projected.float().cpu())

    def _box(self, slot: _Slot) -> PixelBox:
        size = self._network.backbone.pixels.size
        try:
            box = self._fields.box(slot.stage, slot.place, channel=slot.channel)
        except UnfitError:  # it takes no float64: then the whole image, which holds what the unit sees
            return PixelBox(0, 0, size, size)
        return box if box.height else PixelBox(0, 0, size, size)

    def _tile(self, image: RgbImage, box: PixelBox) -> RgbImage:
        """A square tile; where the border cuts the field, the room on that side stays free."""
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
    """How much of the spare room lies before the image."""
    return spare // 2 if cut_before == cut_behind else spare if cut_before else 0

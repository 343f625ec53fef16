"""Size and stride of receptive fields, measured on images that are large enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.receptive_fields.receptive_search import FieldFinder, box_around

GROWN = (1, 2, 4, 8, 16, 32)  # times the network's own size: images that are tried until a field lies inside
LONGEST = 1024  # pixels of their longer side, or 4 times the network's own


class FieldExtent(NamedTuple):
    """The receptive field of the unit in the middle of a stage."""

    height: int  # pixels; not cut by the border, where the network takes larger images
    width: int
    stride: int | None  # pixels from one unit's field to the next; None: the stage has no places
    share: float  # of the pixels of an image of the network's own size
    whole: bool  # the whole image, however large, as far as was tried
    cut: bool  # the border cuts the field on all images that the network takes


def extents(network: Network, stages: Iterable[str]) -> dict[str, FieldExtent]:
    """Stage -> the receptive field of the unit in its middle.

    A field that meets the border of the image is measured again on wider and higher images, where the network takes
    them. Raises UserError and UnfitError as FieldFinder.mask does.
    """
    size = network.backbone.pixels.size
    of_network = FieldFinder(network)
    lengths = [size * times for times in GROWN if times <= 4 or size * times <= LONGEST]
    grown: dict[tuple[int, int], FieldFinder | None] = {(size, size): of_network}

    def measured(stage: str, axis: int) -> tuple[int, int] | None:
        """Pixels and stride along rows (0) or columns (1), None where no image is large enough."""
        for length in lengths:
            shape = (length, size) if axis == 0 else (size, length)
            if shape not in grown:
                grown[shape] = of_network.larger(shape)
            fields = grown[shape]
            if fields is None:
                return None
            try:
                inside = _inside(fields, stage, axis)
            except UnfitError:  # it takes no images of this size
                grown[shape] = None
                return None
            if inside is not None:
                return inside
        return None

    of_stages = {}
    for stage in stages:
        mask, places = of_network.mask(stage, None), of_network.places(stage)
        along = [measured(stage, axis) for axis in (0, 1)]
        box = box_around(mask)
        stride = max((measures[1] for measures in along if measures is not None), default=0) or (
            places and round(size / places[0])
        )
        of_stages[stage] = FieldExtent(
            height=along[0][0] if along[0] else box.height,
            width=along[1][0] if along[1] else box.width,
            stride=stride if places and max(places) > 1 else None,
            share=float(mask.double().mean()),
            whole=along == [None, None] and bool(mask.all()),
            cut=places is not None and None in along,
        )
    return of_stages


def _inside(fields: FieldFinder, stage: str, axis: int) -> tuple[int, int] | None:
    """Size and stride along an axis of the middle unit's field, None where it meets the border."""
    places = fields.places(stage)
    box = fields.box(stage, None)
    begin, end = (box.top, box.bottom) if axis == 0 else (box.left, box.right)
    if places is None or begin == 0 or end == fields.shape[axis]:
        return None
    row, column = places[0] // 2, places[1] // 2
    beside = (row - 1, column) if axis == 0 else (row, column - 1)
    shift = 0
    if min(beside) >= 0:
        other = fields.box(stage, beside)
        shift = end - (other.bottom if axis == 0 else other.right)  # its end is not cut by the border
    return end - begin, shift or round(fields.shape[axis] / places[axis])  # in a window of attention all see the same

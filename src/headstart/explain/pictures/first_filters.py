"""Filters of the first convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering.map_rendering import enlarged, projection, sheet

SIDE = 48  # pixels of a filter in the picture


class Filters:
    """The filters of the first convolution, one for each channel of the image, and those before training.

    Args:
        most: Filters, the largest first.
    """

    title = "Filters of the first convolution"
    about = (
        "Each tile is one filter in the image's own colours: middle grey is 0, and each filter is as bright as it can "
        "be. Edges, bars and opponent colours are what trained networks show; noise says that little was learned."
    )

    def __init__(self, *, most: Annotated[int, Ge(1)]) -> None:
        self.most = most

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet of the network's, and where they are known one of those that training began with."""
        weight = first_filters(subject.network)
        order = weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[: self.most]
        size = " x ".join(map(str, weight.shape[2:]))
        yield _sheet("filters", weight[order], f"{len(order)} of {len(weight)} filters, {size} pixels, now")
        before = subject.before()
        if before is not None:
            yield _sheet("filters-before", first_filters(before)[order], "the same filters before training")


def first_filters(network: Network) -> Tensor:
    """The weights (D, C, h, w) of the first convolution that sees the image; UnfitError where there is none."""
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels == network.backbone.pixels.channels:
                return module.weight.detach()
            break
    raise UnfitError("filters need a convolution that sees the image itself, and this backbone begins with none")


def _sheet(name: str, weight: Tensor, caption: str) -> Shown:
    tiles = [enlarged(projection(kernel), SIDE) for kernel in weight]
    return Shown(name, sheet(tiles), caption, f"A sheet of {len(tiles)} small squares, one a filter.")

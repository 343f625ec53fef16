"""The places of all images where each channel of a stage is strongest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from headstart.explain.explained_network import maps
from headstart.explain.picture_protocol import Subject
from headstart.explain.receptive_fields.receptive_search import Place


class StrongestPlaces:
    """The strongest places of each channel of a stage, at most one in an image.

    Of equal ones the earlier image comes first, and in an image the first place, by rows: the result does not depend on
    the division into batches. After `see`, `value`, `image` and `at` (the place's number, by rows) are (k, D) each,
    the strongest first, k = the smaller of `top` and the number of images; `mean` (D,) is that of the strongest values
    of all images; `shape` has the rows and columns of the maps, None where the stage has no places.

    Args:
        top: Places of each channel.
    """

    def __init__(self, top: int) -> None:
        self.top, self.seen = top, 0
        self.shape: Place | None = None
        self.value = self.image = self.at = torch.empty(0)
        self._sum = torch.empty(0)

    def see(self, activations: Tensor) -> None:
        """Add a batch: maps (B, D, h, w), tokens (B, N, D) or features (B, D)."""
        flat, self.shape = by_channel(activations)
        value, at = (tensor.cpu() for tensor in flat.float().max(dim=2))
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
        self.value, self.image, self.at = (tensor.gather(0, order) for tensor in (value, image, at))

    @property
    def mean(self) -> Tensor:
        return self._sum / self.seen

    def place(self, rank: int, channel: int) -> Place | None:
        """Row and column of a channel's strongest place, by rank."""
        return None if self.shape is None else divmod(int(self.at[rank, channel]), self.shape[1])


def by_channel(activations: Tensor) -> tuple[Tensor, Place | None]:
    """A stage's activations as (B, D, places), and rows and columns of the places, None where it has none."""
    of_places = maps(activations)
    if of_places is not None:
        return of_places.flatten(2), (of_places.shape[2], of_places.shape[3])
    return (activations.transpose(1, 2) if activations.ndim == 3 else activations[..., None]), None


def standing_out(places: StrongestPlaces, count: int) -> list[int]:
    """The `count` channels whose strongest images stand out most, in falling order; of equals the first.

    The measure is the mean of the strongest values minus the mean over all images: large for a unit that is strong
    for few images, 0 for one with the same value for all. It is in the units of the activations, as the next stage
    reads them. Labels play no part, as units of early stages serve all classes. With no more images than `top` all
    units are equal.
    """
    margin = places.value.double().mean(dim=0) - places.mean
    if places.seen <= places.top:
        margin = torch.zeros_like(margin)
    return [int(channel) for channel in margin.argsort(descending=True, stable=True)[:count]]


def strongest_places(subject: Subject, stages: Sequence[str], *, top: int) -> dict[str, StrongestPlaces]:
    """The strongest places of each channel of each stage, in one pass over the searched images."""
    network = subject.network
    of_stages = {stage: StrongestPlaces(top) for stage in stages}
    with torch.no_grad():
        for batch in subject.searching(title="search"):
            for stage, activations in network.passing(network.entering(batch.image), stages):
                of_stages[stage].see(activations)
    return of_stages

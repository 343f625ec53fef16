"""Feature maps of the channel that training changed most, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from headstart.explain.explained_network import Network, maps
from headstart.explain.initial_network import initial_network
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering.map_rendering import RgbImage, drawing, heat, photo


class ChangedChannel(NamedTuple):
    """A channel of a stage, and how far its maps changed over all explained images, relative to what they were."""

    channel: int
    change: float  # |a - b| / |b|; infinite where it gave 0 before


class BeforeAfter:
    """The feature map of the channel that changed most in each stage, before and after training, for each image.

    Args:
        stages: Names of stages; None means all that have maps.
        columns: Stages beside each other.
    """

    title = "The same unit before and after training"
    about = (
        "For each stage the channel whose feature maps of these images changed most, above as they were before "
        "training, below as they are now, in the same colours: so dark and bright mean the same in both. The channel "
        "is the same for all images."
    )

    def __init__(self, *, stages: Sequence[str] | None, columns: Annotated[int, Ge(1)]) -> None:
        self.stages, self.columns = stages, columns

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """A sheet for each image; UnfitError where no chosen stage has maps, or nobody knows how training began."""
        before = initial_network(subject, kind="before_after")
        chosen = subject.network.chosen(self.stages)
        pixels, names = subject.images.pixels, subject.images.names
        parts = torch.split(pixels, subject.batch_size)
        units = _most_changed(subject, before, chosen, parts)
        if not units:
            raise UnfitError(f"before_after needs stages with maps, and {', '.join(chosen)} have none")
        listed = ", ".join(f"{stage} channel {unit.channel} ({_share(unit.change)})" for stage, unit in units.items())
        place = 0
        for part in parts:
            was, now = (
                {
                    stage: of_stage[:, units[stage].channel].cpu()
                    for stage, of_stage in _maps(network, part, tuple(units))
                }
                for network in (before, subject.network)
            )
            for at, image in enumerate(part):
                pairs = {stage: (was[stage][at], now[stage][at]) for stage in units}
                yield Shown(
                    f"{place:03d}",
                    drawing(_sheet(photo(image), pairs, units, self.columns)),
                    f"{names[place]}: in each stage the channel that changed most, and |now - before| / |before| over "
                    f"all {len(pixels)} images: {listed}",
                    f"{names[place]} and, for {len(units)} stages, one feature map before training above the same now.",
                )
                place += 1


def most_changed(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Of maps (B, D, h, w) before and now: the sums of squares of each channel's change, and of it before, (D,)."""
    was, is_ = before.double(), now.double()
    return (is_ - was).square().sum(dim=(0, 2, 3)), was.square().sum(dim=(0, 2, 3))


def _most_changed(
    subject: Subject, before: Network, chosen: Sequence[str], parts: Sequence[Tensor]
) -> dict[str, ChangedChannel]:
    """Of each chosen stage with maps the channel with the largest |now - before| over all images, of equals the first.

    In the units of the stage, and not relative: a channel that hardly ever answers would else come first.
    """
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for part in subject.progress(parts, title="before and after", total=len(parts)):
        pairs = zip(_maps(before, part, chosen), _maps(subject.network, part, chosen), strict=True)
        for (stage, was), (_, now) in pairs:
            squares = most_changed(was.cpu(), now.cpu())
            old = sums.get(stage)
            sums[stage] = squares if old is None else (old[0] + squares[0], old[1] + squares[1])
    units = {}
    for stage, (change, was) in sums.items():
        channel = int(change.argmax())
        way, length = float(change[channel].sqrt()), float(was[channel].sqrt())
        units[stage] = ChangedChannel(channel, 0.0 if way == 0 else way / length if length > 0 else float("inf"))
    return units


@torch.no_grad()
def _maps(network: Network, images: Tensor, stages: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Each of these stages that has maps, and those of images (B, D, h, w)."""
    for stage, x in network.passing(network.entering(images), stages):
        of_stage = maps(x)
        if of_stage is not None:
            yield stage, of_stage.float()


def _sheet(
    image: RgbImage, pairs: dict[str, tuple[Tensor, Tensor]], units: dict[str, ChangedChannel], columns: int
) -> Figure:
    """The image in the corner, the stages' pairs in bands of `columns` beside it."""
    bands = -(-len(pairs) // columns)
    wide = min(columns, len(pairs)) + 1
    figure = Figure(figsize=(1.35 * wide, 3.0 * bands), layout="constrained")
    grid = figure.subplots(2 * bands, wide, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    grid[0, 0].imshow(image)
    for place, (stage, (was, now)) in enumerate(pairs.items()):
        band, column = divmod(place, columns)
        most = float(torch.stack([was.abs().max(), now.abs().max()]).max()) or 1.0
        signed = min(float(was.min()), float(now.min())) < 0
        for row, channel_map in enumerate((was, now)):
            axes = grid[2 * band + row, column + 1]
            tile = heat(channel_map, low=-most if signed else 0.0, high=most, colours="RdBu_r" if signed else "viridis")
            axes.imshow(tile, interpolation="nearest")
        grid[2 * band, column + 1].set_title(f"{stage}\nchannel {units[stage].channel}", fontsize=7)
        if column == 0:
            for row, word in enumerate(("before", "now")):
                _say(grid[2 * band + row, 1], word)
    return figure


def _say(axes: Axes, word: str) -> None:
    axes.text(-0.06, 0.5, word, transform=axes.transAxes, rotation=90, va="center", ha="right", fontsize=8)


def _share(value: float) -> str:
    return "was 0" if value == float("inf") else f"{100 * value:.3g} %"

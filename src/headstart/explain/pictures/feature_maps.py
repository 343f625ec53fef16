"""Feature maps of each stage's channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from headstart.explain.explained_network import maps
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering.map_rendering import RgbImage, enlarged, heat, photo, sheet, signed


class FeatureMaps:
    """Each explained image and its feature maps after each stage, the strongest channels first.

    Args:
        stages: Names of stages; None means all that have maps.
        most: Channels of each stage.
        side: Pixels of a map in the picture.
    """

    title = "Feature maps"
    about = (
        "The image, and where the strongest channels of a stage answer to it; each map is as bright as it can be. "
        "Where a stage gives no negative values, dark is 0; else white is 0, red above and blue below."
    )

    def __init__(
        self, *, stages: Sequence[str] | None, most: Annotated[int, Ge(1)], side: Annotated[int, Ge(8), Le(1024)]
    ) -> None:
        self.stages, self.most, self.side = stages, most, side

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """A sheet for each image and each stage with maps; UnfitError where no chosen one has any."""
        network, images = subject.network, subject.images
        chosen = network.chosen(self.stages)
        starts = range(0, len(images), subject.batch_size)
        for start in subject.progress(starts, title="feature maps", total=len(starts)):
            batch = images.pixels[start : start + subject.batch_size]
            drawn = 0
            with torch.no_grad():
                for stage, activations in network.passing(network.entering(batch), chosen):
                    of_stage = maps(activations)
                    if of_stage is None:
                        continue
                    for nth, of_image in enumerate(of_stage):
                        drawn += 1
                        yield self._sheet(stage, start + nth, of_image.float().cpu(), subject)
            if not drawn:
                raise UnfitError(f"feature maps need stages with maps, and {', '.join(chosen)} have none")

    def _sheet(self, stage: str, index: int, of_stages: Tensor, subject: Subject) -> Shown:
        channels = strongest(of_stages)[: self.most].tolist()
        tiles = [enlarged(photo(subject.images.pixels[index]), self.side, smooth=True)]
        negative = float(of_stages.min()) < 0  # of the stage: one colour map a sheet
        tiles += [enlarged(_painted(of_stages[channel], negative), self.side) for channel in channels]
        name = subject.images.names[index]
        rows, columns = of_stages.shape[1:]
        listed = ", ".join(map(str, channels))
        return Shown(
            f"{index:03d}-{stage}",
            sheet(tiles),
            f"{name} after {stage}: {len(channels)} of {len(of_stages)} channels, {rows} x {columns} places. "
            "From the left "
            f"above, after the image: channels {listed}.",
            f"{name} and {len(channels)} maps of where channels of {stage} answer to it.",
        )


def strongest(channels: Tensor) -> Tensor:
    """The channels of maps (D, h, w), by the root of the sum of their squares, the largest first; of equals the first.

    Negative values count: many stages end without an activation function.
    """
    return channels.double().flatten(1).square().sum(dim=1).argsort(descending=True, stable=True)


def _painted(values: Tensor, negative: bool) -> RgbImage:
    return signed(values) if negative else heat(values, low=0.0)

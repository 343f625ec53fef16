"""Receptive fields: the pixels that can change a unit of a stage."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from headstart.explain.explained_network import Network, maps
from headstart.explain.gradients.straight_through_gradients import UnblockedGradients
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.receptive_fields.pixel_box import PixelBox
from headstart.types import UserError

Place = tuple[int, int]  # row, column of a stage's map


class FieldFinder:
    """Finds the receptive fields of a network's units on images of one size.

    NaN flows back from a unit to the image, on a copy of the backbone in float64 on the CPU, where torch multiplies
    matrices and no transform (Winograd's) mixes neighbours: NaN times any weight is NaN, and 0 elsewhere stays 0, so
    that exactly the pixels with a path to the unit become NaN. One forward pass is enough for all units, each takes a
    backward pass. Values that attention masks by adding a large negative number belong to the field, as at the border
    of a shifted Swin stage.

    Args:
        network: Whose backbone is copied.
        shape: Height and width of the images; None means the network's own.
    """

    def __init__(self, network: Network, *, shape: tuple[int, int] | None = None) -> None:
        pixels = network.backbone.pixels
        self.shape = (pixels.size, pixels.size) if shape is None else shape
        self._network = network
        self._copies: dict[str, nn.Module] = {}  # made when they are needed: a stage `fc` can be large
        rng = torch.Generator().manual_seed(0)  # no constant image: norms divide by its deviation
        self._image = torch.randn(1, pixels.channels, *self.shape, dtype=torch.float64, generator=rng)
        self._last = self._image.requires_grad_()
        self._outputs: dict[str, Tensor] = {}
        self._boxes: dict[tuple[str, Place | None, int | None], PixelBox] = {}

    def larger(self, shape: tuple[int, int]) -> FieldFinder:
        """A finder on images of another height and width, with the same copy of the network."""
        larger = FieldFinder(self._network, shape=shape)
        larger._copies = self._copies
        return larger

    def places(self, stage: str) -> tuple[int, int] | None:
        """Rows and columns of a stage's maps, None where it has no maps. Errors as for mask."""
        output = self._output(stage)
        return (output.shape[2], output.shape[3]) if output.ndim == 4 else None

    def mask(self, stage: str, place: Place | None, *, channel: int | None = None) -> Tensor:
        """The pixels that can change a unit, bool (H, W).

        Args:
            stage: Of the network.
            place: Row and column in the stage's maps; None means the middle. A stage without places has one unit a
                channel.
            channel: None means all channels of the place together. One channel may see less, where channels have
                different paths.

        Raises:
            UserError: There is no such stage or place.
            UnfitError: No gradient leads from the stage to the image, or the network cannot take images of this size.
        """
        output = self._output(stage)
        seed = torch.zeros_like(output)
        channels: slice | int = slice(None) if channel is None else channel
        if output.ndim == 4:
            rows, columns = output.shape[2:]
            row, column = (rows // 2, columns // 2) if place is None else place
            if not (0 <= row < rows and 0 <= column < columns):
                raise UserError(
                    f"the places of {stage} are rows 0 to {rows - 1} and columns 0 to {columns - 1}, got {place}"
                )
            seed[0, channels, row, column] = torch.nan
        elif output.ndim == 2:
            seed[0, channels] = torch.nan
        else:
            seed[0, ..., channels] = torch.nan
        (grad,) = torch.autograd.grad(output, self._image, seed, retain_graph=True, allow_unused=True)
        if grad is None:
            raise UnfitError(f"receptive fields need gradients, and none leads from {stage} to the image")
        return grad[0].isnan().any(dim=0)

    def box(self, stage: str, place: Place | None, *, channel: int | None = None) -> PixelBox:
        """The smallest box around the mask; of no height and width where a unit sees padding only."""
        key = (stage, place, channel)
        if key not in self._boxes:
            self._boxes[key] = box_around(self.mask(stage, place, channel=channel))
        return self._boxes[key]

    def _output(self, stage: str) -> Tensor:
        self._network.check(stage)
        with torch.inference_mode(False), torch.enable_grad():
            while stage not in self._outputs:
                name = self._network.stages[len(self._outputs)]
                if name not in self._copies:
                    self._copies[name] = _copied(self._network.backbone.stages[name])
                try:
                    with UnblockedGradients():
                        self._last = self._copies[name](self._last)
                except (RuntimeError, AssertionError, ValueError, IndexError) as error:
                    reason = " ".join(str(error).splitlines()[:1])
                    raise UnfitError(
                        f"receptive fields need a network that takes float64 images of {self.shape[0]} x "
                        f"{self.shape[1]} pixels, and {name} does not ({type(error).__name__}: {reason})"
                    ) from error
                if not self._last.requires_grad:
                    raise UnfitError(f"receptive fields need gradients, and none leads from {name} to the image")
                of_places = maps(self._last)
                self._outputs[name] = self._last if of_places is None else of_places
        return self._outputs[stage]


def _copied(stage: nn.Module) -> nn.Module:
    """A frozen copy in float64 on the CPU, in the memory layout of torch's own convolutions."""
    copied = copy.deepcopy(stage).cpu().double().eval().requires_grad_(False)
    return copied.to(memory_format=torch.contiguous_format)


def box_around(mask: Tensor) -> PixelBox:
    """The smallest box around the pixels that are true in a mask (H, W)."""
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    if len(rows) == 0:
        return PixelBox(0, 0, 0, 0)
    return PixelBox(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def field(network: Network, stage: str, place: Place | None, *, channel: int | None = None) -> PixelBox:
    """The smallest box around the receptive field of one unit; for several units `FieldFinder` is faster.

    Arguments and errors are those of `FieldFinder.mask`.
    """
    return FieldFinder(network).box(stage, place, channel=channel)

"""What is a backbone: which stages lead from an image to its features?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headstart.types import Pixels, UserError


class Backbone(nn.Module):
    """An ordered chain of named stages.

    stages: name -> module, from input to head. keep: the first n of them, None for all.
    After construction `width` is the number of features D that one image gives.
    Raises UserError where keep is not one of 1..number of stages.
    """

    def __init__(self, stages: Mapping[str, nn.Module], *, pixels: Pixels, keep: int | None) -> None:
        super().__init__()
        names = list(stages)
        if keep is not None and not 1 <= keep <= len(names):
            raise UserError(f"backbone.keep must be 1 to {len(names)}, got {keep}; the stages are {', '.join(names)}")
        self.stages = nn.ModuleDict({name: stages[name] for name in names[:keep]})
        self.pixels = pixels
        # convolutions on a CPU take half the time, on a GPU with tensor cores less too; the numbers differ by 1e-7
        self.to(memory_format=torch.channels_last)
        self.width = self._measured_width()

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Images (B, channels, H, W), or what stage start-1 gave -> features (B, width), pooled over space."""
        for stage in list(self.stages.values())[start:]:
            x = stage(x)
        return pooled(x)

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, from input to head."""
        return tuple(self.stages)

    def _measured_width(self) -> int:
        """The width of the features, seen on one black image: no architecture has to be asked."""
        training = self.training
        with torch.no_grad():
            width = self.eval()(torch.zeros(1, self.pixels.channels, self.pixels.size, self.pixels.size))
        self.train(training)
        return int(width.shape[1])


def pooled(x: Tensor) -> Tensor:
    """Maps (B, D, H, W) -> their means over space (B, D); features (B, D) as they are."""
    return x.mean(dim=(2, 3)) if x.ndim == 4 else x

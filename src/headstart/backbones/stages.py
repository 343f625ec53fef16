"""What is a backbone: which stages lead from an image to its features, and which of them are open?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from headstart.types import Pixels, UserError


class Backbone(nn.Module):
    """An ordered chain of named stages; a stage is open (learns) or frozen (does not change at all).

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
        self._frozen: frozenset[str] = frozenset()
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

    @property
    def open_names(self) -> tuple[str, ...]:
        """The names of the stages that learn, from input to head."""
        return tuple(name for name in self.names if name not in self._frozen)

    def open_only(self, names: Iterable[str]) -> None:
        """Let exactly these stages learn; the others neither get gradients nor change a buffer.

        Raises UserError on a name that is none of the stages.
        """
        wanted = set(names)
        if unknown := wanted - set(self.names):
            raise UserError(f"no stage {', '.join(sorted(unknown))}; the stages are {', '.join(self.names)}")
        self._frozen = frozenset(self.names) - wanted
        for name, stage in self.stages.items():
            stage.requires_grad_(name in wanted)
            if name in self._frozen:
                for parameter in stage.parameters():
                    parameter.grad = None  # a gradient that is kept still moves the weight at the next step
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """As nn.Module's, but a frozen stage stays in eval(): its BatchNorm must not drift."""
        super().train(mode)
        for name in self._frozen:
            self.stages[name].eval()
        return self

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

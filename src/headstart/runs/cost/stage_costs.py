"""FLOPs of each stage's forward pass, and the size of what it gives."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.stages import Backbone, pooled
from headstart.features.cache.activation_key import Place
from headstart.features.cache.cached_activations import in_eval


class StageCosts:
    """Of the stages of a backbone, measured on one image; the backbone is as before afterwards.

    Args:
        backbone: On the CPU.
    """

    @torch.inference_mode()
    def __init__(self, backbone: Backbone) -> None:
        pixels = backbone.pixels
        self._flops, self._numbers, self._pooled = [0], [0], [0]
        with in_eval(backbone, len(backbone.names)), FlopCounterMode(display=False) as counter:
            x = backbone.entering(torch.zeros(1, pixels.channels, pixels.size, pixels.size, dtype=torch.uint8))
            for stage in backbone.stages.values():
                x = stage(x)
                self._flops.append(counter.get_total_flops())
                self._numbers.append(x[0].numel())
                self._pooled.append(pooled(x)[0].numel())

    def flops(self, after: int) -> int:
        """Of the forward pass of one image through the first `after` stages."""
        return self._flops[after]

    def numbers(self, place: Place) -> int:
        """How many numbers one image's output at a place has."""
        return (self._pooled if place.pooled else self._numbers)[place.after]

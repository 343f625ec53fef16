"""Adapters: small trainable bottlenecks behind the layers of a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

from headstart.backbones.injected.chosen_layers import InjectedLayers, adaptable
from headstart.backbones.stages import Backbone


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """A bottleneck with a skip connection behind convolutions, linear layers and attention.

    Houlsby et al. 2019 (arXiv:1902.00751), figure 2, there in transformers behind attention and the second layer of the
    MLP; behind a convolution its layers are 1 x 1, as the residual adapters of Rebuffi et al. 2017 (arXiv:1705.08045),
    which have a BatchNorm in place of the bottleneck.

    Args:
        width: Of the bottleneck.
        layers: Stages, layers or regular expressions (`adaptable`); None means all layers.
    """

    width: Annotated[int, Ge(1)]
    layers: list[str] | str | None

    def inject(self, backbone: Backbone) -> InjectedLayers:
        """Put them into the backbone -> where. Raises UserError where there is no layer to put one behind."""
        layers, left_out = adaptable(backbone, self.layers, refused=lambda _: "", key="adapters.layers")
        for layer in layers.values():
            layer.register_module("adapter", Bottleneck.behind(layer, width=self.width))
            layer.register_forward_hook(_through)
        backbone.to(memory_format=torch.channels_last)
        return InjectedLayers(f"adapters of width {self.width}", tuple(layers), left_out)


class Bottleneck(nn.Module):
    """x + up(relu(down(x))), of which up begins with 0: the model begins as it was."""

    is_adapter = True  # what unfreeze/parameter_kinds.py knows it by

    def __init__(self, down: nn.Conv2d | nn.Linear, up: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.down, self.up = down, up
        assert up.bias is not None
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)

    @classmethod
    def behind(cls, layer: nn.Module, *, width: int) -> Bottleneck:
        """One for what a layer gives."""
        if isinstance(layer, nn.Conv2d):
            out = layer.out_channels
            return cls(nn.Conv2d(out, width, kernel_size=1), nn.Conv2d(width, out, kernel_size=1))
        out = layer.embed_dim if isinstance(layer, nn.MultiheadAttention) else layer.out_features  # type: ignore[assignment]
        return cls(nn.Linear(out, width), nn.Linear(width, out))

    def forward(self, x: Tensor) -> Tensor:
        adapted: Tensor = x + self.up(self.down(x).relu())
        return adapted


def _through(layer: nn.Module, _: Any, output: Any) -> Any:
    """What a layer gives, through its adapter; attention gives its weights too.

    A hook, so that the layer's own numbers keep their names, and no closure, so that a copy has its own adapter.
    """
    if isinstance(output, tuple):
        return (layer.adapter(output[0]), *output[1:])  # type: ignore[operator]
    return layer.adapter(output)  # type: ignore[operator]

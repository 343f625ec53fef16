"""Output of a backbone as tokens or maps, of the last blocks of a transformer side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from headstart.backbones.stages import Backbone
from headstart.types import UserError


class TokenStage(nn.Module):
    """The last stage of a backbone without its pooling; its layers keep their names.

    Args:
        layers: Of the stage, in their order.
        blocks: The names of the layers whose tokens are given, side by side; empty means what comes out at the end.
        norms: The names of the layers behind the last block; each block's tokens go through them.
    """

    def __init__(self, layers: Mapping[str, nn.Module], *, blocks: Sequence[str], norms: Sequence[str]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.blocks, self.norms = tuple(blocks), tuple(norms)

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for name, layer in self.named_children():
            if name not in self.norms:
                x = layer(x)
            if name in self.blocks:
                outputs.append(x)
        outputs = [self._normed(tokens) for tokens in outputs or [x]]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)

    def _normed(self, tokens: Tensor) -> Tensor:
        for name in self.norms:
            tokens = self.get_submodule(name)(tokens)
        return tokens

    def extra_repr(self) -> str:
        return f"blocks={self.blocks}, norms={self.norms}"


@torch.no_grad()
def give_tokens(backbone: Backbone, blocks: int) -> None:
    """Let a backbone give tokens (B, N, D) or maps (B, D, H, W) instead of pooled features.

    Of a transformer, tokens are those of the last `blocks` blocks, each through the final norm, side by side:
    D = blocks * width (the n last layers of Oquab et al. 2024, DINOv2, arXiv:2304.07193, section B.3). Layers behind
    the tokens are left out, such as the choice of the class token or a pooling; a norm is kept. Names of tensors stay.
    To be called once the backbone has its weights.

    Args:
        backbone: Is changed.
        blocks: How many last blocks.

    Raises:
        UserError: The last stage gives no tokens and no maps, or has fewer blocks.
    """
    training = backbone.training
    backbone.eval()
    name, stage = list(backbone.stages.items())[-1]
    outputs = _layer_outputs(backbone)
    end = _last_spread(backbone, outputs)
    alike = _equal_blocks(stage, outputs) if outputs[end].ndim == 3 else []
    most = max(1, len(alike))
    if not 1 <= blocks <= most:
        raise UserError(
            f"head.blocks must be 1 to {most}, as the last stage, {name}, has {most} equal "
            f"{'block' if most == 1 else 'blocks'} of tokens, got {blocks}"
        )
    if outputs[next(reversed(outputs))].ndim == 2 or blocks > 1:
        names = list(outputs)
        before, behind = names[: names.index(end) + 1], names[names.index(end) + 1 :]
        first_norm = names.index(alike[-1]) + 1 if alike else len(before)
        norms = [*before[first_norm:], *(layer for layer in behind if _norms(stage.get_submodule(layer), outputs[end]))]
        layers = {layer: stage.get_submodule(layer) for layer in [*before[:first_norm], *norms]}
        backbone.stages[name] = TokenStage(layers, blocks=alike[-blocks:], norms=norms)
    backbone.gives_tokens = True
    output = backbone(_black_image(backbone))
    is_map = output.ndim == 4
    backbone.width = output.shape[1 if is_map else 2]
    # images are square, and so are their patches; what is left over stands before them
    backbone.class_tokens = 0 if is_map else output.shape[1] - math.isqrt(output.shape[1]) ** 2
    backbone.train(training)


def _black_image(backbone: Backbone) -> Tensor:
    pixels = backbone.pixels
    return torch.zeros(1, pixels.channels, pixels.size, pixels.size)


def _layer_outputs(backbone: Backbone) -> dict[str, Tensor]:
    """What each layer of the last stage makes of a black image; of a stage that is no chain, the stage as "" alone."""
    x = _black_image(backbone)
    *before, last = backbone.stages.values()
    for stage in before:
        x = stage(x)
    if not isinstance(last, nn.Sequential):
        return {"": last(x)}
    outputs = {}
    for name, layer in last.named_children():
        outputs[name] = x = layer(x)
    return outputs


def _last_spread(backbone: Backbone, outputs: Mapping[str, Tensor]) -> str:
    """The last layer that gives tokens or maps. Raises UserError where there is none."""
    *_, (last, final) = outputs.items()
    if final.ndim > 2:
        return last
    spread = [name for name, x in outputs.items() if x.ndim > 2 and x.numel() > x.shape[1 if x.ndim == 4 else 2]]
    if not spread:
        count = len(backbone.names) - 1
        raise UserError(
            f"head=attentive reads tokens or maps, and the last stage, {backbone.names[-1]}, gives features without "
            f"places; try {f'backbone.keep={count}, or ' if count else ''}head=linear"
        )
    return spread[-1]


def _equal_blocks(stage: nn.Module, outputs: Mapping[str, Tensor]) -> list[str]:
    """The layers of a transformer's last stage that have as many weights as its first one."""
    sizes = {name: sum(p.numel() for p in stage.get_submodule(name).parameters()) for name in outputs}
    first = next(iter(sizes.values()))
    return [name for name, size in sizes.items() if size == first and outputs[name].ndim == 3] if first else []


def _norms(layer: nn.Module, tokens: Tensor) -> bool:
    """Whether a layer has the weights of a norm alone, and can be applied to tokens or maps."""
    parameters = list(layer.parameters())
    if not parameters or any(parameter.ndim > 1 for parameter in parameters):
        return False
    try:
        return bool(layer(tokens).shape == tokens.shape)
    except (RuntimeError, ValueError):
        return False

"""Attention rollout: the patches whose values attention carried to the class token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering import map_rendering

Heads = Literal["mean", "max", "min"]

MOST_EXTRA = 8  # tokens that are no patches: of the class, of a teacher, registers
SOFTMAX = (functional.softmax, torch.softmax, Tensor.softmax)


class AttentionRollout:
    """How much of each patch attention has carried to the class token through all blocks, for each image.

    Args:
        heads: How the attention heads of a block are combined.
    """

    title = "Attention rollout"
    about = (
        "Bright patches are those from which attention carried most to the token that the class is read from, through "
        "all blocks (Abnar & Zuidema 2020). It says where the model looked, not for which class."
    )

    def __init__(self, *, heads: Heads) -> None:
        self.heads: Heads = heads

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image. Raises UnfitError where the network has no attention over the whole image."""
        images, network = subject.images, subject.network
        for n in subject.progress(range(len(images)), title="attention rollout"):
            attention = over_patches(
                rollout(attentions(network, network.entering(images.pixels[n : n + 1])), self.heads)
            )
            photo = map_rendering.larger(map_rendering.photo(images.pixels[n]))
            large = functional.interpolate(attention[None], size=photo.shape[:2], mode="bilinear", align_corners=False)
            painted = map_rendering.heat(large[0, 0], colours="inferno")
            sheet = map_rendering.sheet([photo, map_rendering.over(photo, painted, opacity=0.65)], columns=2)
            side = " x ".join(map(str, attention.shape[1:]))
            most = float(attention.max()) / float(attention.mean())
            caption = (
                f"{images.names[n]}: {side} patches, the brightest counts {most:.1f} times as much as one on average"
            )
            yield Shown(f"{n + 1:03d}", sheet, caption, ALT)


ALT = "The image, and the image under colours from black, where hardly anything came from, to yellow, where most did."


class _Recorded(TorchFunctionMode):
    """Keeps the weights (B, heads, N, N) of each attention that is computed within its `with`."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            result = func(*args, **kwargs | {"need_weights": True, "average_attn_weights": False})
            self._keep(result[1])
            return result
        result = func(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            self._keep(_weights(*args, **kwargs))
        elif func in SOFTMAX:
            self._keep(result)
        return result

    def _keep(self, weights: Tensor) -> None:
        if weights.ndim >= 4 and weights.shape[-2] == weights.shape[-1] > 1:
            self.weights.append(weights.detach().float().flatten(0, weights.ndim - 4))  # windows beside images


def _weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,  # noqa: ARG001 - as torch's function is called
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Tensor:
    """What torch's fused attention multiplies the values with."""
    logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        logits = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -math.inf)
    if attn_mask is not None:
        logits = logits.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
    return logits.softmax(dim=-1)


def attentions(network: Network, x: Tensor) -> list[Tensor]:
    """The attention weights (B, heads, N, N) of each block for normalised images (B, C, H, W), from the input on.

    Nothing about the network is touched: torch's own functions are asked for what they compute. Raises UnfitError where
    there is no attention, or it is not between all of an image's tokens.
    """
    with torch.no_grad(), _Recorded() as recorded:
        network.logits(x)
    weights: list[Tensor] = recorded.weights
    if not weights:
        raise UnfitError("attention_rollout multiplies the attention of all blocks, and this network has none")
    shapes = {(len(of_block), of_block.shape[2]) for of_block in weights}
    tokens = weights[0].shape[2]
    if len(shapes) > 1 or len(weights[0]) != len(x) or tokens - math.isqrt(tokens) ** 2 > MOST_EXTRA:
        raise UnfitError(
            "attention_rollout needs attention between all patches of an image in each block, and this network's is "
            "within windows, or between numbers of tokens that change"
        )
    return weights


def rollout(weights: Sequence[Tensor], heads: Heads) -> Tensor:
    """Attention (B, heads, N, N) of each block -> (B, N, N): what each token has of each token of the input.

    Of each block A its heads' mean (or max, or min), half of it and half of itself, as the residual connection has
    it, rows divided by their sums; multiplied, the last block to the left. Abnar & Zuidema 2020 (arXiv:2005.00928),
    section 3.
    """
    product: Tensor | None = None
    for of_block in weights:
        joined = (
            of_block.mean(dim=1)
            if heads == "mean"
            else of_block.amax(dim=1)
            if heads == "max"
            else of_block.amin(dim=1)
        )
        joined = joined + torch.eye(joined.shape[-1], device=joined.device)
        joined = joined / joined.sum(dim=-1, keepdim=True)
        product = joined if product is None else joined @ product
    assert product is not None
    return product


def over_patches(attention: Tensor) -> Tensor:
    """(B, N, N) -> (B, side, side): the row of the first token where some are no patches, else the rows' mean."""
    side = math.isqrt(attention.shape[-1])
    extra = attention.shape[-1] - side**2
    row = attention[:, 0, extra:] if extra else attention.mean(dim=1)
    return row.reshape(-1, side, side)

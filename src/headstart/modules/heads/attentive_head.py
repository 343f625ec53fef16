"""Attentive head: learned queries attend to the tokens or positions of the last maps, a linear layer follows."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from headstart.modules.heads.classification_head import ClassificationHead, Init
from headstart.modules.heads.linear_head import set_closed_form, set_zeros
from headstart.types import UserError


class AttentiveHead(ClassificationHead):
    """Multi-head cross-attention from one learned query to tokens, beside the class token, then a linear layer.

    Tokens x_i (of patches, or of the positions of maps) have keys K norm(x_i) and values V x_i; what is pooled is the
    mean of V x_i with the weights softmax_i(q . k_i / sqrt(d)), in each of the attention heads: the attentive probe of
    Bardes et al. 2024, V-JEPA (arXiv:2404.08471), section 4, without its MLP. The class token of a transformer stands
    beside it, as in the linear evaluation of Oquab et al. 2024, DINOv2 (arXiv:2304.07193), section B.3. q begins with
    0 and V with the identity: before the first step the pooling is the mean, for which init=class_means is closed.

    Args:
        width: Of a token, those of all blocks beside each other.
        num_classes: The classes.
        init: What the last layer's weights are before the first step.
        standardise: Whether the last layer reads standardised numbers, by those of the training images at the start.
        class_tokens: How many tokens before those of the patches the backbone gives; the first one is the class token.
        blocks: How many last blocks of a transformer the tokens are of.
        attention_heads: Parts of a token's width, each with attention of its own.

    Raises:
        UserError: The width is no multiple of attention_heads.
    """

    last_layer = ("linear.weight", "linear.bias")

    def __init__(
        self,
        *,
        width: int,
        num_classes: int,
        init: Init,
        standardise: bool = False,
        class_tokens: int,
        blocks: Annotated[int, Ge(1)],
        attention_heads: Annotated[int, Ge(1)],
    ) -> None:
        super().__init__(init=init, standardise=standardise, summary_width=width * (2 if class_tokens else 1))
        if width % attention_heads:
            possible = [str(n) for n in range(1, 2 * attention_heads) if width % n == 0]
            raise UserError(
                f"head.attention_heads must divide the width of the tokens, {width}, got {attention_heads}; "
                f"try one of {', '.join(possible)}"
            )
        self.class_tokens, self.blocks, self.attention_heads = class_tokens, blocks, attention_heads
        self.query = nn.Parameter(torch.zeros(1, attention_heads, 1, width // attention_heads))
        self.norm = nn.LayerNorm(width)
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        nn.init.eye_(self.value.weight)
        self.linear = nn.Linear(width * (2 if class_tokens else 1), num_classes)
        if init == "zeros":
            set_zeros(self.linear)

    def summary(self, features: Tensor) -> Tensor:
        """Tokens (B, N, width) or maps (B, width, H, W) -> the class token, where there is one, and what is pooled."""
        tokens = features.flatten(2).transpose(1, 2) if features.ndim == 4 else features
        pooled = self._pooled(tokens[:, self.class_tokens :])
        return torch.cat([tokens[:, 0], pooled], dim=1) if self.class_tokens else pooled

    def _pooled(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, width) -> their attentive mean (B, width)."""
        batch, _, width = tokens.shape

        def by_head(x: Tensor) -> Tensor:
            return x.reshape(batch, -1, self.attention_heads, width // self.attention_heads).transpose(1, 2)

        query = self.query.to(tokens.dtype).expand(batch, -1, -1, -1)
        keys, values = by_head(self.key(self.norm(tokens))), by_head(self.value(tokens))
        pooled: Tensor = scaled_dot_product_attention(query, keys, values)  # (B, heads, 1, width / heads)
        return pooled.reshape(batch, width)

    def last(self, read: Tensor) -> Tensor:
        """The class token and what is pooled (B, d) -> logits (B, num_classes)."""
        logits: Tensor = self.linear(read)
        return logits

    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
        """Set the last layer in closed form on what it reads (N, d)."""
        set_closed_form(self.linear, read, labels, all_labels)

"""Bottleneck: a linear layer from pooled features to fewer of them, the last stage of a backbone."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import batch_norm

from headstart.backbones.stages import Backbone, pooled

NAME = "bottleneck"  # of the stage
BottleneckNorm = Literal["batch", "none"]


class FeatureBottleneck(nn.Module):
    """Pooled features (B, D) -> (B, width): a linear layer, then BatchNorm or nothing.

    Args:
        features: Of what comes in, D.
        width: Of what goes out.
        norm: What comes behind the linear layer.
    """

    def __init__(self, features: int, width: int, norm: BottleneckNorm) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width)
        self.norm: nn.Module = LoneImageNorm(width) if norm == "batch" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, D, H, W), tokens (B, N, D) or features (B, D) -> (B, width)."""
        narrowed: Tensor = self.norm(self.linear(pooled(x)))
        return narrowed


class LoneImageNorm(nn.BatchNorm1d):
    """BatchNorm of features; in training it normalises a batch of one image by its running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def with_bottleneck(backbone: Backbone, width: int | None, norm: BottleneckNorm) -> Backbone:
    """The backbone with a bottleneck as its last stage; as it is where width is None.

    Args:
        backbone: Is changed.
        width: Features that the bottleneck gives.
        norm: What comes behind its linear layer.
    """
    if width is not None:
        backbone.stages[NAME] = FeatureBottleneck(backbone.width, width, norm)
        backbone.width = width
    return backbone

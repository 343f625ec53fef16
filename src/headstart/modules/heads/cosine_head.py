"""Cosine head: cosine similarity of features and class weights, at a learned temperature."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from headstart.modules.heads.classification_head import ClassificationHead
from headstart.modules.heads.linear_head import best_scale


class CosineHead(ClassificationHead):
    """The cosine of the angle between the features and the weights of each class, times a learned scale.

    logits_c = scale * x . w_c / (|x| |w_c|): Chen et al. 2019, A closer look at few-shot classification
    (arXiv:1904.04232), Baseline++; the scale is learned as in Gidaris & Komodakis 2018 (arXiv:1804.09458), eq. 2.
    With init=class_means, w_c is the sum of the normalised features of the class.

    Args:
        width: Of the features.
        num_classes: The classes.
        init: What its weights are before the first step.
        standardise: Whether it reads standardised features, by those of the training images at the start.
        scale: Of the cosines at the start, the inverse of a temperature; `class_means` fits its own.
    """

    last_layer = ("weight",)
    several_labels = False

    def __init__(
        self,
        *,
        width: int,
        num_classes: int,
        init: Literal["random", "class_means", "source"],
        standardise: bool = False,
        scale: Annotated[float, Gt(0)],
    ) -> None:
        super().__init__(init=init, standardise=standardise, summary_width=width)
        self.weight = nn.Parameter(torch.empty(num_classes, width))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear's
        self.log_scale = nn.Parameter(torch.tensor([math.log(scale)]))

    def summary(self, features: Tensor) -> Tensor:
        """Features (B, width), as they are."""
        return features

    def last(self, read: Tensor) -> Tensor:
        """Features (B, width) -> logits (B, num_classes)."""
        return self.log_scale.exp() * normalize(read, dim=1) @ normalize(self.weight, dim=1).T

    @torch.no_grad()
    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:  # noqa: ARG002
        """Set each class's weights to the direction of its mean on the unit sphere, and the scale that fits.

        read: features (N, width); labels (N,). The scale is best_scale of the cosines, each image judged by the sum of
        its class without it, as class_means does; where no class has two images it stays. Raises ValueError on an
        empty class.
        """
        of_class = one_hot(labels, len(self.weight)).to(read.dtype)
        counts = of_class.sum(dim=0)
        if (counts == 0).any():
            raise ValueError(f"each class needs an image, class {int(counts.argmin())} has none of {len(labels)}")
        unit = normalize(read, dim=1)
        sums = of_class.T @ unit
        without = (unit * normalize(sums[labels] - unit, dim=1)).sum(dim=1)
        judged = torch.where(of_class > 0, without[:, None], unit @ normalize(sums, dim=1).T)
        known = counts[labels] > 1
        self.weight.copy_(normalize(sums, dim=1))
        if known.any():
            self.log_scale.copy_(best_scale(judged[known], labels[known]).log())

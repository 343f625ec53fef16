"""How do features become logits, and with which numbers does that begin?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from headstart.types import UserError

Init = Literal["random", "class_means", "source", "zeros"]


class LinearHead(nn.Module):
    """One linear layer. init says what its numbers are before the first step; whoever trains it sees to that."""

    def __init__(self, *, width: int, num_classes: int, init: Init) -> None:
        super().__init__()
        self.init = init
        self.linear = nn.Linear(width, num_classes)
        if init == "zeros":  # each class is as likely as any other
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width) -> logits (B, num_classes)."""
        logits: Tensor = self.linear(features)
        return logits

    @torch.no_grad()
    def set_class_means(self, features: Tensor, labels: Tensor) -> None:
        """Take the closed form of class_means on features (N, width), labels (N,), or label_means on (N, classes)."""
        several = labels.ndim > 1
        weight, bias = (
            label_means(features, labels) if several else class_means(features, labels, self.linear.out_features)
        )
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)

    @torch.no_grad()
    def set_source(self, state: Mapping[str, Tensor], names: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        """Take the rows of a source's head, whose classes are `names`, in the order of the classes `wanted`.

        Raises UserError where there is no such head, or its classes or its width are others.
        """
        if not state or not names:
            raise UserError(
                "head.init=source needs source weights with a head whose classes are known; try weights=source"
            )
        if sorted(names) != sorted(wanted):
            raise UserError(
                f"head.init=source needs the same classes; the source has {', '.join(names)}; "
                f"the target has {', '.join(wanted)}; try head.init=class_means"
            )
        if state["linear.weight"].shape != self.linear.weight.shape:
            raise UserError(
                f"the source's head reads {state['linear.weight'].shape[1]} features, this one "
                f"{self.linear.in_features}; head.init=source needs the whole backbone (backbone.keep=null)"
            )
        rows = [names.index(name) for name in wanted]
        self.linear.weight.copy_(state["linear.weight"][rows])
        self.linear.bias.copy_(state["linear.bias"][rows])


class Linear(NamedTuple):
    """The numbers of a linear layer."""

    weight: Tensor  # (classes, d)
    bias: Tensor  # (classes,)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Linear:
    """The linear layer whose argmax is the nearest class mean.

    features (N, d), labels (N,) -> logits s * (|x - m|^2 - |x - m_c|^2), linear in x, m the mean of the class
    means m_c: the softmax of -s |x - m_c|^2 (prototypes of Snell et al. 2017, arXiv:1703.05175, section 2.4)
    with weights as small as they can be. argmax does not depend on s > 0; it is the smallest of a grid at
    which the mean cross-entropy of these images is half that of a guess, so that there is something left to
    learn from them (a likelier s left their loss at nothing, and fine-tuning ended lower). Raises ValueError
    on an empty class.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if (counts == 0).any():
        raise ValueError(f"each class needs an image, class {int(counts.argmin())} has none of {len(labels)}")
    means = nn.functional.one_hot(labels, num_classes).to(features.dtype).T @ features / counts[:, None]
    centre = means.mean(dim=0)
    weight, bias = 2 * (means - centre), centre.square().sum() - means.square().sum(dim=1)
    logits = features @ weight.T + bias
    scales = torch.logspace(-4, 4, 161).to(logits) / logits.std().clamp(min=1e-12)
    fits = torch.stack([cross_entropy(scale * logits, labels) for scale in scales])
    enough = fits <= math.log(num_classes) / 2
    scale = scales[enough.int().argmax()] if enough.any() else scales[fits.argmin()]
    return Linear(scale * weight, scale * bias)


def label_means(features: Tensor, labels: Tensor) -> Linear:
    """The linear layer whose logit of a class says whether the mean with it or the mean without it is nearer.

    features (N, d), labels (N, classes), 0 or 1 -> logits s * (|x - m_without|^2 - |x - m_with|^2) + ln of the odds
    with the class to without it: what two clouds of one spread and these means have by Bayes. s > 0 is the smallest of
    a grid at which the mean binary cross-entropy of these images is half that of the odds alone, as in class_means. A
    class that all images have, or none, has the odds alone, of half an image more on each side.
    """
    label = (labels > 0.5).to(features.dtype)
    having = label.sum(dim=0)
    lacking = len(label) - having
    odds = ((having + 0.5) / (lacking + 0.5)).log()
    whole = features.sum(dim=0)
    summed = label.T @ features  # (classes, d)
    means_with = summed / having.clamp(min=1)[:, None]
    means_without = (whole - summed) / lacking.clamp(min=1)[:, None]
    both = ((having > 0) & (lacking > 0)).to(features.dtype)[:, None]
    weight = both * 2 * (means_with - means_without)
    bias = both[:, 0] * (means_without.square().sum(dim=1) - means_with.square().sum(dim=1))
    logits = features @ weight.T + bias
    scales = torch.logspace(-4, 4, 161).to(logits) / logits.std().clamp(min=1e-12)
    fits = torch.stack([binary_cross_entropy_with_logits(scale * logits + odds, label) for scale in scales])
    enough = fits <= binary_cross_entropy_with_logits(odds.expand_as(label), label) / 2
    scale = scales[enough.int().argmax()] if enough.any() else scales[fits.argmin()]
    return Linear(scale * weight, scale * bias + odds)

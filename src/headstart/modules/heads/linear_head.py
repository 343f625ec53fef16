"""Linear head: features to logits, and its weights before the first step."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.modules.heads.classification_head import ClassificationHead, Init


class LinearHead(ClassificationHead):
    """One linear layer.

    Args:
        width: Of the features.
        num_classes: The classes.
        init: What its weights are before the first step; `zeros` is set here, the others by whoever trains it.
        standardise: Whether it reads standardised features, by those of the training images at the start.
    """

    last_layer = ("linear.weight", "linear.bias")

    def __init__(self, *, width: int, num_classes: int, init: Init, standardise: bool = False) -> None:
        super().__init__(init=init, standardise=standardise, summary_width=width)
        self.linear = nn.Linear(width, num_classes)
        if init == "zeros":
            set_zeros(self.linear)

    def summary(self, features: Tensor) -> Tensor:
        """Features (B, width), as they are."""
        return features

    def last(self, read: Tensor) -> Tensor:
        """Features (B, width) -> logits (B, num_classes)."""
        logits: Tensor = self.linear(read)
        return logits

    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
        """Take the closed form of class_means on features (N, width), labels (N,), or label_means on (N, classes)."""
        set_closed_form(self.linear, read, labels, all_labels)


@torch.no_grad()
def set_zeros(layer: nn.Linear) -> None:
    """Make each class as likely as any other."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


@torch.no_grad()
def set_closed_form(layer: nn.Linear, features: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
    """Give a last layer the weights of class_means, labels (N,), or of label_means, labels (N, classes)."""
    if labels.ndim > 1:
        weight, bias = label_means(features, labels, all_labels)
    else:
        weight, bias = class_means(features, labels, layer.out_features)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


class Linear(NamedTuple):
    """The numbers of a linear layer."""

    weight: Tensor  # (classes, d)
    bias: Tensor  # (classes,)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Linear:
    """The linear layer whose argmax is the nearest class mean, at the temperature that fits images it has not seen.

    features (N, d), labels (N,) -> logits s * (|x - m|^2 - |x - m_c|^2), linear in x, m the mean of the class
    means m_c: the softmax of -s |x - m_c|^2 (prototypes of Snell et al. 2017, arXiv:1703.05175, section 2.4)
    with weights as small as they can be. argmax does not depend on s > 0, the inverse of the temperature: it is
    fitted (best_scale) on these images, each judged by a mean of its class without it, (n m_c - x) / (n - 1), as its
    own mean lies too near to it. An image that is the only one of its class does not count; where all are, s is the
    smallest at which their mean cross-entropy is half that of a guess. Raises ValueError on an empty class.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if (counts == 0).any():
        raise ValueError(f"each class needs an image, class {int(counts.argmin())} has none of {len(labels)}")
    of_class = nn.functional.one_hot(labels, num_classes).to(features.dtype)
    means = of_class.T @ features / counts[:, None]
    centre = means.mean(dim=0)
    weight, bias = 2 * (means - centre), centre.square().sum() - means.square().sum(dim=1)
    logits = features @ weight.T + bias
    number = counts[labels]
    known = number > 1
    if known.any():
        squared_distance = (features - means[labels]).square().sum(dim=1)
        unseen = logits - of_class * (squared_distance * _farther(number))[:, None]
        scale = best_scale(unseen[known], labels[known])
    else:
        scale = _half_of_a_guess(logits, labels)
    return Linear(scale * weight, scale * bias)


def label_means(features: Tensor, labels: Tensor, all_labels: Tensor | None = None) -> Linear:
    """The linear layer whose logit of a class says whether the mean with it or the mean without it is nearer.

    features (N, d), labels (N, classes), 0 or 1 -> logits s * (|x - m_without|^2 - |x - m_with|^2) + ln of the odds
    with the class to without it: what two clouds of one spread and these means have by Bayes. s > 0 is fitted
    (best_scale) on these images, each judged by means without it, as in class_means; an image that is the only one
    with a class, or without it, does not count there. Where none counts, or a class has all images or none, the
    odds alone are left, of half an image more on each side. all_labels (M, classes): what the odds are taken from,
    where they are known of more images than these.
    """
    label = (labels > 0.5).to(features.dtype)
    having = label.sum(dim=0)
    lacking = len(label) - having
    odds = _odds(label if all_labels is None else (all_labels > 0.5).to(features.dtype))
    whole = features.sum(dim=0)
    summed = label.T @ features  # (classes, d)
    means_with = summed / having.clamp(min=1)[:, None]
    means_without = (whole - summed) / lacking.clamp(min=1)[:, None]
    both = ((having > 0) & (lacking > 0)).to(features.dtype)[:, None]
    weight = both * 2 * (means_with - means_without)
    bias = both[:, 0] * (means_without.square().sum(dim=1) - means_with.square().sum(dim=1))
    logits = features @ weight.T + bias
    number = torch.where(label > 0, having, lacking)  # (N, classes): images on the same side
    known = (number > 1) & (both[:, 0] > 0)
    squared = features.square().sum(dim=1)[:, None]
    to_with = squared - 2 * features @ means_with.T + means_with.square().sum(dim=1)
    to_without = squared - 2 * features @ means_without.T + means_without.square().sum(dim=1)
    farther = _farther(number.clamp(min=2))
    unseen = logits + torch.where(label > 0, -to_with * farther, to_without * farther)
    scale = best_scale(unseen[known], label[known], odds.expand_as(label)[known]) if known.any() else 0.0
    return Linear(scale * weight, scale * bias + odds)


def _odds(label: Tensor) -> Tensor:
    """ln of the odds of each class (classes,), of half an image more on each side; label (M, classes), 0 or 1."""
    having = label.sum(dim=0)
    return ((having + 0.5) / (len(label) - having + 0.5)).log()


def _farther(number: Tensor) -> Tensor:
    """How much farther, in squared distances, an image lies from the mean of the others than from that of all n.

    |x - (n m - x) / (n - 1)|^2 = (n / (n - 1))^2 |x - m|^2, of which 1 is taken off.
    """
    others = (number - 1).clamp(min=1)
    return (number / others).square() - 1


@torch.no_grad()
def best_scale(logits: Tensor, labels: Tensor, offset: Tensor | None = None) -> Tensor:
    """The s > 0 at which the mean cross-entropy of softmax(s * logits) is smallest, the inverse of a temperature.

    logits (N, C), labels (N,): Guo et al. 2017 (arXiv:1706.04599), section 4.2. logits (N,), labels (N,), 0 or 1, with
    an offset (N,) that is not scaled: of sigmoid(s * logits + offset). The labels are believed as far as so many images
    allow: as if each of the C classes (or both answers) had half an image more beside the N of the label (the estimate
    of Krichevsky & Trofimov 1981 of a share; Platt 1999, Probabilistic outputs for support vector machines, has a whole
    one), so that s is finite where all N are right. The cross-entropy is convex in s: its slope is halved out between
    1e-4 and 1e4 over the spread of the logits.
    """
    several = logits.ndim == 1
    images = len(logits)
    outcomes = 2 if several else logits.shape[1]
    target = labels.to(logits.dtype) if several else nn.functional.one_hot(labels, outcomes).to(logits.dtype)
    target = (images * target + 0.5) / (images + outcomes / 2)
    offset = torch.zeros_like(logits) if offset is None else offset
    lowest = 1e-4 / logits.std(correction=0).clamp(min=1e-12)
    low, high = lowest.log(), (1e8 * lowest).log()
    for _ in range(40):
        middle = (low + high) / 2
        scaled = middle.exp() * logits + offset
        probability = scaled.sigmoid() if several else scaled.softmax(dim=1)
        rises = ((probability - target) * logits).sum() > 0
        low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
    return ((low + high) / 2).exp()


def _half_of_a_guess(logits: Tensor, labels: Tensor) -> Tensor:
    """The smallest scale of a grid at which the mean cross-entropy is half that of a guess, else the likeliest."""
    scales = torch.logspace(-4, 4, 161).to(logits) / logits.std(correction=0).clamp(min=1e-12)
    fits = torch.stack([cross_entropy(scale * logits, labels) for scale in scales])
    enough = fits <= math.log(logits.shape[1]) / 2
    return scales[enough.int().argmax()] if enough.any() else scales[fits.argmin()]

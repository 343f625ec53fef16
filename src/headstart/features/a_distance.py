"""Proxy A-distance: how well a linear classifier separates the features of two domains."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.features.principal_axes import principal_axes
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.standardisation import standardisation


def a_distance(source: Tensor, target: Tensor, *, strength: float) -> float:
    """The proxy A-distance 2 (1 - 2 error): 2 for domains that a line tells apart, around 0 for equal ones.

    source (n, D), target (m, D), n and m from 2 up, in random order: a logistic regression of standardised features
    learns from the first images of each, as many of both as half of the smaller one has, as with more of one it would
    say that one of all; its error is the mean of those on the images that are left of each. 0.5 is chance, and below it
    by chance the distance is below 0. strength: scikit-learn's C.
    Ben-David et al. 2007, Analysis of Representations for Domain Adaptation (NIPS 19).
    """
    learning = min(len(source), len(target)) // 2
    halves = [(features[:learning].double(), features[learning:].double()) for features in (source, target)]
    (of_source, held_source), (of_target, held_target) = halves
    learnt = torch.cat([of_source, of_target])
    domain = torch.cat([torch.zeros(len(of_source)), torch.ones(len(of_target))]).long()
    scale = standardisation(learnt)
    # with two classes it fits both of two opposite weights, and so has half of what scikit-learn calls C
    heads = logistic(principal_axes(scale.of(learnt)), domain, 2, [strength / 2])
    wrong = [
        (heads.predictions(scale.of(held))[0] != label).double().mean()
        for label, held in enumerate((held_source, held_target))
    ]
    return float(2 * (1 - wrong[0] - wrong[1]))

"""Ridge regression in closed form, its strength chosen by leaving out one image at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EXPONENTS = tuple(half / 2 for half in range(-8, 9))  # of ten, of the strengths over the mean square of an axis


class RidgeLayer(NamedTuple):
    """A linear layer and the strength that it was fitted with."""

    weight: Tensor  # (T, D)
    bias: Tensor  # (T,)
    strength: float


def ridge_layer(features: Tensor, targets: Tensor) -> RidgeLayer:
    """The linear layer with the least |Y - X W^T - b|^2 + strength |W|^2, of the largest strength that predicts well.

    features (N, D), targets (N, T), all columns of one scale; b is not penalised. Each image's squared error is that of
    a fit without it: the residual over 1 - h, h the image's leverage (Allen 1974, Technometrics 16; scikit-learn's
    RidgeCV). Well is within one standard error of the least mean over images (Breiman et al. 1984, Classification and
    Regression Trees, section 3.4.3): weights as small as the images allow, as features change once stages learn.
    Strengths: 10^-4 to 10^4 times the mean square of the features along their axes. Hoerl & Kennard 1970, Technometrics
    12.
    """
    x, y = features.cpu().double(), targets.cpu().double()
    centre, middle = x.mean(dim=0), y.mean(dim=0)
    x, y = x - centre, y - middle
    wide = len(x) <= x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    known = values > 1e-10 * values.max().clamp(min=1e-300)
    squared, vectors = values[known], vectors[:, known]
    along = vectors if wide else x @ vectors / squared.sqrt()  # (N, r): of the images, of length 1
    axes = (x.T @ vectors / squared.sqrt()) if wide else vectors  # (D, r)
    if not len(squared):  # all images have the same features
        return _of(torch.zeros(len(centre), y.shape[1]).double(), centre, middle, 0.0, features)
    projected = along.T @ y  # (r, T)
    scale = float(squared.mean())
    errors = []
    for strength in (scale * 10**exponent for exponent in EXPONENTS):
        shrunk = (squared / (squared + strength))[:, None]
        leverage = 1 / len(x) + (along.square() @ shrunk)[:, 0]
        left_out = (y - along @ (shrunk * projected)) / (1 - leverage).clamp(min=1e-12)[:, None]
        errors.append((left_out.square().mean(dim=1), strength))
    least = min((error for error, _ in errors), key=lambda error: float(error.mean()))
    enough = float(least.mean() + least.std() / len(x) ** 0.5)
    strength = max(strength for error, strength in errors if float(error.mean()) <= enough)
    weight = axes @ ((squared.sqrt() / (squared + strength))[:, None] * projected)  # (D, T)
    return _of(weight, centre, middle, strength, features)


def _of(weight: Tensor, centre: Tensor, middle: Tensor, strength: float, like: Tensor) -> RidgeLayer:
    return RidgeLayer(weight.T.to(like), (middle - centre @ weight).to(like), strength)

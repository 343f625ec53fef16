"""Ridge regression on classes, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from headstart.features.principal_axes import PrincipalAxes, class_sums
from headstart.features.probing.stacked_heads import StackedHeads


def ridge(axes: PrincipalAxes, labels: Tensor, num_classes: int, strengths: Sequence[float]) -> StackedHeads:
    """Ridge regression on the classes as 0 and 1, one head a strength, all in closed form.

    axes: of the features (N, D); labels (N,). A head has the least mean over the images of |y - W^T x - b|^2,
    plus strength |W|^2 (scikit-learn's alpha is N times the strength); b is not penalised. Along an axis with the
    sum of squares s: w = z^T y / (s + N strength). Hoerl & Kennard 1970, Technometrics 12, eq. 2.1.
    """
    share = torch.bincount(labels, minlength=num_classes).to(axes.spread) / len(labels)
    along = class_sums(axes.coordinates, labels, num_classes)  # (K, r): y^T z, with y centred or not, as z is
    penalty = len(labels) * torch.tensor(strengths, dtype=along.dtype, device=along.device)
    weight = along / (axes.spread + penalty[:, None])[:, None, :]
    return axes.heads(weight, share.expand(len(penalty), -1))

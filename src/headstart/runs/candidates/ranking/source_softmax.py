"""The softmax of a source model over its own classes, from the features of its last stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

LINEAR = {"linear.weight", "linear.bias"}
SCALE = {"mean", "std"}  # of a head that standardises what its linear layer reads


class SourceSoftmax(NamedTuple):
    """The probabilities of the source's classes (N, Z), or why there are none."""

    probabilities: NDArray[np.float64] | None
    reason: str = ""


def source_softmax(head: Mapping[str, Tensor], features: NDArray[np.float32], *, multi_label: bool) -> SourceSoftmax:
    """The source's softmax of the images whose features these are.

    Args:
        head: The tensors of the source's head by name; empty where it has none.
        features: (N, D), of the last stage.
        multi_label: Whether the source tells several labels an image.
    """
    if not head:
        return SourceSoftmax(None, "the weights have no head over classes of their own")
    if multi_label:
        return SourceSoftmax(None, "the source tells several labels an image, so that it has no softmax")
    if head.keys() not in (LINEAR, LINEAR | SCALE):
        return SourceSoftmax(None, "the source's head is no linear layer on pooled features")
    plain = {name: tensor.detach().double().cpu().numpy() for name, tensor in head.items()}
    weight = plain["linear.weight"]
    if weight.shape[1] != features.shape[1]:
        return SourceSoftmax(
            None, f"the source's head reads {weight.shape[1]} features, and the last stage gives {features.shape[1]}"
        )
    read = features.astype(np.float64)
    if "std" in plain:
        read = (read - plain["mean"]) / plain["std"]
    return SourceSoftmax(np.asarray(softmax(read @ weight.T + plain["linear.bias"], axis=1)))

"""Class weights of the training loss: from the numbers of images, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import torch
from torch import Tensor

from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

BETA = 0.999  # of Cui et al.'s four the second largest: classes from some 1,000 images on count alike


def balanced(counts: Tensor) -> Tensor:
    """N / (C n_c) of C classes with n_c of the N images: counts (C,) -> (C,), as scikit-learn's `balanced`."""
    return counts.sum() / (len(counts) * counts)


def effective(counts: Tensor, beta: float = BETA) -> Tensor:
    """1 / E_c, times what makes them sum to C; E_c the effective number: counts (C,) -> (C,).

    Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples (arXiv:1901.05555), section 3.2.
    """
    inverse = 1 / effective_number(counts, beta)
    return len(counts) * inverse / inverse.sum()


def effective_number(counts: Tensor, beta: float = BETA) -> Tensor:
    """(1 - beta^n) / (1 - beta): how many images of n add something new, the same paper's eq. 2."""
    return (1 - beta ** counts.double()) / (1 - beta)


def class_counts(label: Tensor, class_names: Sequence[str], chosen: str) -> Tensor:
    """How many training images have each class (C,), float64.

    Args:
        label: (N,), or of several labels (N, C).
        class_names: The names of the classes.
        chosen: The setting that needs the counts.

    Raises:
        UserError: If a class has no image.
    """
    counts = label.sum(dim=0) if label.ndim > 1 else torch.bincount(label, minlength=len(class_names))
    if (counts == 0).any():
        raise UserError(
            f"module.class_weights={chosen} needs a training image of each class, there is none of "
            f"{class_names[int(counts.argmin())]}; give a list or a mapping of weights"
        )
    return counts.double()


def given_weights(chosen: Sequence[float] | Mapping[str, float], class_names: Sequence[str]) -> Tensor:
    """A weight for each class (C,), of a list in their order, or of a mapping, where others have 1.

    Raises UserError where the list is not as long as the classes, a name is none of theirs, or a weight is not
    above 0.
    """
    if isinstance(chosen, Mapping):
        if unknown := [str(name) for name in chosen if str(name) not in class_names]:
            close = get_close_matches(unknown[0], class_names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(
                f"module.class_weights names classes of the target, {first_few(class_names, 10)}, got "
                f"{', '.join(unknown)}{hint}"
            )
        of_name = {str(name): float(weight) for name, weight in chosen.items()}
        weights = [of_name.get(name, 1.0) for name in class_names]
    else:
        weights = [float(weight) for weight in chosen]
    if len(weights) != len(class_names):
        raise UserError(
            f"module.class_weights must have a weight for each of the {len(class_names)} classes "
            f"({first_few(class_names, 10)}), got {len(weights)}; a mapping from names to weights may leave some out"
        )
    if not all(0 < weight < float("inf") for weight in weights):
        raise UserError(f"module.class_weights must be above 0, got {', '.join(f'{weight:g}' for weight in weights)}")
    return torch.tensor(weights)

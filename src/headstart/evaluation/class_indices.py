"""Class indices of a data set among those of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unicodedata import normalize

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def class_indices(asked: Sequence[str], known: Sequence[str], refusal: Callable[[Sequence[str]], Exception]) -> Tensor:
    """The place of each class of the data, by its name: (classes,). Raises the refusal of those that are not known.

    Names are compared in Unicode's composed form (NFC): é is the same in whichever way it was written.
    """
    place = {normalize("NFC", name): number for number, name in enumerate(known)}
    composed = [normalize("NFC", name) for name in asked]
    if unknown := [name for name, same in zip(asked, composed, strict=True) if same not in place]:
        raise refusal(unknown)
    return torch.tensor([place[same] for same in composed])


def relabelled(label: Tensor, places: Tensor, classes: int, *, several: bool) -> Tensor:
    """Labels of the data as the model numbers its classes: (B,), where it tells several of them (B, classes), 0 or 1.

    label (B,), or (B, classes of the data) of several; what the data do not tell of is 0.
    """
    if not several:
        return places[label]
    if label.ndim == 1:  # each of one class alone
        return one_hot(places[label], classes).float()
    return label.new_zeros(len(label), classes).index_copy(1, places, label)

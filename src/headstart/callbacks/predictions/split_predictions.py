"""Predictions on the images of a split: predicted classes or logits, losses, and numbers of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

LARGEST = float(np.finfo(np.float16).max)


class SplitPredictions(NamedTuple):
    """Predictions on some images, in the order of their positions: arrays on the CPU."""

    position: NDArray[np.int64]  # (N,) in the split
    label: NDArray[Any]  # (N,), or of several labels (N, C) uint8, or of numbers (N, T) float32
    answer: NDArray[Any]  # classes (N,); of several labels logits (N, C) float16; numbers (N, T) float32
    loss: NDArray[np.float16]  # (N,)


def numbers(contents: Sequence[str]) -> NDArray[np.uint64]:
    """Digests, in hex digits -> the first 8 bytes of each as a number (N,), big endian."""
    return np.array([int(digest[:16], 16) for digest in contents], np.uint64)


def predicted_answer(logits: Tensor, *, several: bool, numbers: bool = False) -> Tensor:
    """Logits (B, C) -> predicted classes (B,), of several labels the logits in float16, of numbers in float32."""
    if numbers:
        return logits.float()
    return _halved(logits) if several else logits.argmax(dim=1)


def image_losses(logits: Tensor, label: Tensor, std: Tensor | None = None) -> Tensor:
    """The cross-entropy of each image (B,), float16, of several labels the mean over classes.

    std: of the columns of numbers (T,), of which the loss is the mean squared error in their variances.
    """
    logits = logits.float()
    if std is not None:
        return _halved(((logits - label) / std.to(logits)).square().mean(dim=1))
    if label.ndim > 1:
        return _halved(binary_cross_entropy_with_logits(logits, label.float(), reduction="none").mean(dim=1))
    return _halved(cross_entropy(logits, label, reduction="none"))


def _halved(values: Tensor) -> Tensor:
    """In float16, what is beyond its range at its ends; nan stays nan."""
    return values.float().clamp(-LARGEST, LARGEST).half()


def stacked_predictions(predictions: Sequence[SplitPredictions]) -> dict[str, NDArray[Any]]:
    """The answers (E, N, ...) and losses (E, N) of several evaluations of the same images."""
    return {
        "answer": np.stack([entry.answer for entry in predictions]),
        "loss": np.stack([entry.loss for entry in predictions]),
    }


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as .npz; the file is whole or not there.

    Args:
        path: Of the file, whose folder is made.
        arrays: Name -> array.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's types take each key for a flag
    partial.replace(path)

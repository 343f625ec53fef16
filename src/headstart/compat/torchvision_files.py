"""Image files and labels of torchvision's data sets, which have no interface in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def listed_files(dataset: Any) -> tuple[Sequence[str | Path], Sequence[int]] | None:
    """The image files and the labels that a data set has listed; None where its images lie in other files.

    Relies on: `_samples` (Food101 and others) or `samples` (ImageFolder), pairs of file and label; or `_image_files` or
    `_images` beside `_labels`.
    """
    for pairs in ("_samples", "samples"):
        if hasattr(dataset, pairs):
            samples: Sequence[tuple[str, int]] = getattr(dataset, pairs)
            return [path for path, _ in samples], [label for _, label in samples]
    for files in ("_image_files", "_images"):
        if hasattr(dataset, files) and hasattr(dataset, "_labels"):
            return getattr(dataset, files), dataset._labels
    return None

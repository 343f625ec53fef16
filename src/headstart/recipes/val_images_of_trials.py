"""Val images that the trials of a run have been validated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seen_images(tuned: Mapping[str, Any] | None) -> NDArray[np.uint64] | None:
    """The val images that some trial has seen, as answers/val.npz numbers them, each once, (n,) ascending.

    None where there were no trials, or where one of them has kept no answers, so that nobody knows.
    """
    folders = {Path(trial["folder"]) for trial in (tuned or {}).get("tried", ())}
    files = [folder / "answers" / "val.npz" for folder in folders]
    if not files or not all(file.is_file() for file in files):
        return None
    images = [np.load(file, allow_pickle=False)["image"].astype(np.uint64) for file in files]
    return np.unique(np.concatenate(images))

"""Number of labelled target images that a run reads."""

from __future__ import annotations

from typing import Any

from headstart.data.data_protocols import FewLabelledImages


def labelled_images(data: Any, *, adapts: bool) -> dict[str, int]:
    """Images of the target whose labels the run reads: `train`, by training, and `val`, to choose or to follow it.

    Images of test are not counted, as nothing decides by them. Labels of another data set are not the target's: those
    of the source that a run learns from beside its target, and, with adapts, all labels but those of the few target
    images that come with each batch (target_labels): the run's training images and its val are the source's then, or
    come without labels.

    data: the run's; adapts: whether the run learns for a target without labels.
    """
    if not adapts:
        return {"train": data.sizes["train"], "val": data.sizes["val"]}
    few = data.labelled if isinstance(data, FewLabelledImages) else None
    return {"train": few.sizes["train"] if few is not None else 0, "val": 0}

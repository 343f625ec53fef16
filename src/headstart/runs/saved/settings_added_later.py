"""Settings that runs of earlier versions do not have in their config, with the values at which they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.data.decoding.file_opening import MAX_PIXELS

_DECODING = {"value_range": None, "background": 255, "max_pixels": MAX_PIXELS}
LATER: dict[str, dict[str, Any]] = {  # by the _target_ of the node that has them
    "headstart.data.datasets.digits.Digits": {"val_shots": None, "fold": None, "folds": 5},
    "headstart.data.datasets.image_folder.ImageFolder": {"val_shots": None, "group_pattern": None, **_DECODING},
    "headstart.data.datasets.hugging_face.HuggingFace": {"val_shots": None, "group_column": None, **_DECODING},
    "headstart.data.datasets.torchvision_datasets.TorchvisionDataset": {"val_shots": None, **_DECODING},
    "headstart.data.datasets.image_table.ImageTable": {
        "val_shots": None,
        "group_column": None,
        "group_pattern": None,
        **_DECODING,
    },
    "headstart.data.datasets.webdataset.WebDataset": _DECODING,
    "headstart.modules.classifier.Classifier": {"batch_norm": "learning"},
}


def without_later(node: Any) -> Any:
    """A plain config without the later settings that change nothing: the hash of an earlier run stays its hash."""
    if isinstance(node, list):
        return [without_later(one) for one in node]
    if not isinstance(node, dict):
        return node
    idle = _of(node)
    return {key: without_later(one) for key, one in node.items() if key not in idle or one != idle[key]}


def with_later(node: Any) -> Any:
    """A plain config with the later settings, where they are not there, so that an earlier run's data can be made."""
    if isinstance(node, list):
        return [with_later(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {**_of(node), **{key: with_later(one) for key, one in node.items()}}


def _of(node: Mapping[Any, Any]) -> dict[str, Any]:
    return LATER.get(str(node.get("_target_")), {})

"""Settings that runs of earlier versions do not have in their config, with the values at which they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.data.decoding.file_opening import MAX_PIXELS

_CLASSES = {"classes": None}
_BOX = {"box": None}
_CORRUPTION = {"corruption": None, "severity": 3}
_BOTTLENECK = {"bottleneck": None, "bottleneck_norm": "batch"}
_DECODING = {"value_range": None, "background": 255, "max_pixels": MAX_PIXELS, **_BOX}
_DIGITS = {"fraction": None, "val_shots": None, "fold": None, "folds": 5, **_CLASSES}
_FILES = {"val_shots": None, "conflicting_labels": "keep", **_CLASSES, **_DECODING}
LATER: dict[str, dict[str, Any]] = {  # by the _target_ of the node that has them
    "pytorch_lightning.Trainer": {"max_time": None},
    "headstart.data.datasets.digits.Digits": {
        "fraction": None,
        "val_shots": None,
        "fold": None,
        "folds": 5,
        **_CLASSES,
        **_BOX,
        **_CORRUPTION,
    },
    "headstart.data.datasets.printed_characters.Printed": {
        "fraction": None,
        **_CLASSES,
        **_BOX,
        **_CORRUPTION,
    },
    "headstart.data.datasets.image_folder.ImageFolder": {"group_pattern": None, **_FILES},
    "headstart.data.datasets.hugging_face.HuggingFace": {"group_column": None, **_FILES},
    "headstart.data.datasets.torchvision_datasets.TorchvisionDataset": {"val_shots": None, **_CLASSES, **_DECODING},
    "headstart.data.datasets.image_table.ImageTable": {
        "group_column": None,
        "group_pattern": None,
        "target_column": None,
        **_FILES,
    },
    "headstart.data.datasets.webdataset.WebDataset": _DECODING,
    "headstart.tasks.compare.compare": {"candidates": None},
    "headstart.modules.heads.linear_head.LinearHead": {"standardise": False},
    "headstart.modules.classifier.Classifier": {
        "batch_norm": "learning",
        "backbone_lr_ratio": 1.0,
        "backbone_warmup_steps": 0,
        "metric": None,
        "loss": None,
    },
    "headstart.backbones.zoo.torchvision_models.torchvision": {
        "preprocessing": None,
        "dropout": None,
        "stochastic_depth_prob": None,
        **_BOTTLENECK,
    },
    "headstart.backbones.zoo.timm_models.timm": {
        "preprocessing": None,
        "drop_rate": None,
        "drop_path_rate": None,
        **_BOTTLENECK,
    },
    "headstart.backbones.zoo.lenet.lenet": _BOTTLENECK,
    "headstart.backbones.zoo.small_cnn.small_cnn": {"depth": 4, **_BOTTLENECK},
    "headstart.backbones.zoo.user_module.module": _BOTTLENECK,
}


# a default of now, and the one of before with which every run that ended has the same images: where it would have
# other ones, that one stopped
EQUAL = {("leakage", "together"): "error"}


def without_later(node: Any) -> Any:
    """A plain config without the later settings that change nothing: the hash of an earlier run stays its hash.

    A later default that gives the same images as the earlier one is that one.
    """
    if isinstance(node, list):
        return [without_later(child) for child in node]
    if not isinstance(node, dict):
        return node
    idle = _of(node)
    counted = {key: without_later(child) for key, child in node.items() if key not in idle or child != idle[key]}
    return {
        key: EQUAL.get((key, child), child) if idle and isinstance(child, str) else child
        for key, child in counted.items()
    }


def with_later(node: Any) -> Any:
    """A plain config with the later settings, where they are not there, so that an earlier run's data can be made."""
    if isinstance(node, list):
        return [with_later(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {**_of(node), **{key: with_later(child) for key, child in node.items()}}


def _of(node: Mapping[Any, Any]) -> dict[str, Any]:
    return LATER.get(str(node.get("_target_")), {})

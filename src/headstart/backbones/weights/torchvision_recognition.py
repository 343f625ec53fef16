"""Torchvision's pretrained weights, recognised by the hash in a file's name or of its bytes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from torchvision import models

from headstart.backbones.weights.download import HASH

DIGITS = 8  # of a SHA-256, in torchvision's names of files


class TorchvisionFile(NamedTuple):
    """Pretrained weights of torchvision, and how a file was seen to hold them."""

    weights: Any  # a member of a torchvision.models.WeightsEnum
    why: str


def recognised_file(name: str, sha256: str | None) -> TorchvisionFile | None:
    """The weights of torchvision that a file holds, by the addresses in torchvision's own enumerations; None of others.

    The bytes decide; a file whose name alone has the hash was saved anew.

    Args:
        name: Of the file.
        sha256: Of its bytes, in hex digits; None where it is not known.
    """
    by_hash = _by_hash()
    if sha256 is not None and (weights := by_hash.get(sha256[:DIGITS].lower())):
        return TorchvisionFile(weights, "by the SHA-256 of its bytes")
    in_name = HASH.search(name)
    weights = by_hash.get(in_name[1][:DIGITS]) if in_name else None
    return None if weights is None else TorchvisionFile(weights, "by the hash in its name")


@cache
def _by_hash() -> dict[str, Any]:
    """The first digits of the SHA-256 -> the weights, of all classification models."""
    weights_by_hash = {}
    for model in models.list_models(module=models):
        for weights in models.get_model_weights(model):
            if in_name := HASH.search(weights.url):
                weights_by_hash[in_name[1][:DIGITS]] = weights
    return weights_by_hash

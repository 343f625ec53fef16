"""What is known of a candidate without looking at the target: its size and its accuracy on its own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from headstart.backbones.stages import Backbone
from headstart.backbones.weights.torchvision_recognition import recognised_file
from headstart.runs.folder.run_folder import finished

IMAGENET = "ImageNet"
OWN_VAL = "its own val"


class StaticFacts(NamedTuple):
    """Of a candidate.

    Attributes:
        parameters: Of the backbone.
        accuracy: On its own data, from 0 to 1; None where nobody has said it.
        accuracy_on: Which data these are.
    """

    parameters: int
    accuracy: float | None
    accuracy_on: str


def static_facts(backbone: Backbone, origin: dict[str, Any] | None, run: Path | None) -> StaticFacts:
    """The static facts of a candidate: published top-1 accuracy on ImageNet, or that of its own val images.

    Args:
        backbone: Of the candidate.
        origin: Where its weights come from, as Weights.facts has it.
        run: The finished run that it comes from; None of others.
    """
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    facts = origin or {}
    metrics = (finished(run) or {}).get("metrics") if run is not None else facts.get("metrics")
    own = (metrics or {}).get("val/accuracy")
    if own is not None:
        return StaticFacts(parameters, float(own), OWN_VAL)
    published = _published(backbone, facts)
    return StaticFacts(parameters, published, IMAGENET if published is not None else "")


def _published(backbone: Backbone, facts: dict[str, Any]) -> float | None:
    """Top-1 accuracy on ImageNet as torchvision's enumerations of weights say it; nothing is downloaded."""
    weights: Any = None
    if "sha256" in facts:
        known = recognised_file(str(facts.get("url") or facts.get("file") or ""), str(facts["sha256"]))
        weights = None if known is None else known.weights
    if weights is None and backbone.zoo is not None and backbone.zoo[0] == "torchvision" and "name" in facts:
        from torchvision.models import get_model_weights

        weights = get_model_weights(backbone.zoo[1]).__members__.get(str(facts["name"]))
    figures = {} if weights is None else weights.meta.get("_metrics", {}).get("ImageNet-1K", {})
    return None if "acc@1" not in figures else float(figures["acc@1"]) / 100

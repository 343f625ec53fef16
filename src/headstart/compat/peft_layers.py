"""Layers of peft: how they are recognised, and what they show."""

from __future__ import annotations

from functools import partial

from torch import nn


def is_low_rank(layer: nn.Module) -> bool:
    """Whether a layer is one of peft's with a low-rank update; peft need not be installed.

    Relies on: such a layer has `lora_A`, and its plain layer as `base_layer`.
    """
    return hasattr(layer, "lora_A") and hasattr(layer, "base_layer")


def describe(layer: nn.Module, text: str) -> None:
    """Let a layer of peft show a text in its `repr`; peft's own show neither rank nor scaling.

    Relies on: torch's `repr` of a module calls its `extra_repr`, and an attribute of the object comes before the
    class's method. A partial and no closure, so that the layer can be copied and pickled.
    """
    layer.extra_repr = partial(str, text)  # type: ignore[method-assign]

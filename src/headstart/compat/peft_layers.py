"""Layers of peft: what they show of themselves."""

from __future__ import annotations

from functools import partial

from torch import nn


def describe(layer: nn.Module, text: str) -> None:
    """Let a layer of peft show a text in its `repr`; peft's own show neither rank nor scaling.

    Relies on: torch's `repr` of a module calls its `extra_repr`, and an attribute of the object comes before the
    class's method. A partial and no closure, so that the layer can be copied and pickled.
    """
    layer.extra_repr = partial(str, text)  # type: ignore[method-assign]

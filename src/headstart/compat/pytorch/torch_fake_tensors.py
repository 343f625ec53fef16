"""Tensors with a shape and without values, on which a network runs without computing anything."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode


def tensors_without_values() -> AbstractContextManager[Any]:
    """Within it each new tensor has no values, and operations give the shape of their result only.

    Relies on: `torch._subclasses.fake_tensor.FakeTensorMode` with `allow_non_fake_inputs`, by which weights that were
    made outside can be read.
    """
    return FakeTensorMode(allow_non_fake_inputs=True)

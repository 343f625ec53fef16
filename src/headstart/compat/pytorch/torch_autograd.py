"""Nodes of autograd's graph."""

from __future__ import annotations

from typing import Any

from torch.autograd.graph import Node


def python_function(node: Node) -> type[Any] | None:
    """The `torch.autograd.Function` that a node of the graph belongs to; None for torch's own operations.

    Relies on: `_forward_cls` of a node whose function is written in Python.
    """
    function: type[Any] | None = getattr(node, "_forward_cls", None)
    return function

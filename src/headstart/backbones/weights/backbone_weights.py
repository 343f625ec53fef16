"""Weights that a backbone starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from headstart.backbones.stages import Backbone
from headstart.types import UserError


@dataclass(frozen=True)
class Weights:
    """The weights of a trained model, and their origin.

    Args:
        backbone: Name -> tensor; empty where there is none.
        head: Name -> tensor; empty where there is none.
        class_names: Of the head, in its order; empty where they are not known.
        reset_from: The first n stages get the weights, the others stay random; None means all stages.
        facts: About the origin, for result.json.
        control: Whether there are no weights, and the stages that would get them keep random ones.
    """

    backbone: Mapping[str, Tensor] = field(default_factory=dict)
    head: Mapping[str, Tensor] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    reset_from: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False


def load(backbone: Backbone, weights: Weights) -> tuple[str, ...]:
    """Load weights into the stages that they are for.

    Stages that the backbone does not have are left out.

    Args:
        backbone: That gets the weights.
        weights: Of a source model.

    Returns:
        The names of the stages with loaded weights; for a control, of those that would have them.

    Raises:
        UserError: reset_from is more than the number of stages, or tensors of a stage are missing, too many or of
            another shape.
    """
    if not weights.backbone and not weights.control:
        return ()
    n = len(backbone.names) if weights.reset_from is None else weights.reset_from
    if not 0 <= n <= len(backbone.names):
        raise UserError(
            f"weights.reset_from must be 0 to {len(backbone.names)}, got {n}; "
            f"the stages are {', '.join(backbone.names)}"
        )
    for name in () if weights.control else backbone.names[:n]:
        prefix = f"stages.{name}."
        numbers = {key.removeprefix(prefix): t for key, t in weights.backbone.items() if key.startswith(prefix)}
        try:
            backbone.stages[name].load_state_dict(numbers, strict=True)
        except RuntimeError as error:
            raise UserError(
                f"the source's weights do not fit stage {name}: {str(error).splitlines()[-1].strip()}; "
                "was the source trained with the same backbone settings?"
            ) from error
    return backbone.names[:n]


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (16 hex digits) of names, shapes and bytes of a state_dict, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()[:16]

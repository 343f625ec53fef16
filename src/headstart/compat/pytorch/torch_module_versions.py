"""The module versions that torch keeps with a state dict, by which modules rename tensors of older files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def with_module_versions(tensors: Mapping[str, Tensor], of: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """The tensors as a state dict with the module versions of another one, if that has any.

    Relies on: `_metadata` of a state dict, which `state_dict()` writes, torch.save keeps and `load_state_dict` reads.

    Args:
        tensors: Name -> tensor.
        of: The state dict as it was read.
    """
    state = OrderedDict(tensors)
    vars(state)["_metadata"] = getattr(of, "_metadata", None)
    return state

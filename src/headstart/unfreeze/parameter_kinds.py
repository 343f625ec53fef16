"""Parameters by kind: biases, affine parameters of norms, adapters."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from torch import nn

from headstart.compat.pytorch.torch_norms import RunningNorm

NORMS = (RunningNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
BIAS = re.compile(r"(\w+_)?bias(_[ih]h_l\d+(_reverse)?)?")  # also in_proj_bias of attention, bias_hh_l0 of an LSTM


@runtime_checkable
class AdapterModule(Protocol):
    """A module whose parameters are those of an adapter, as its mark says."""

    is_adapter: bool


def of_kind(module: nn.Module) -> dict[str, frozenset[str]]:
    """The names of a module's parameters by kind.

    `biases` are those that torch names so, of norms too. `norms` are the affine parameters of norms, which are known
    by their class, as a ResNet has one called `downsample.1`. `adapters` lie in a module that is marked
    `is_adapter = True` (backbones/injected/lora.py, adapters.py). A parameter may be of several kinds.

    Args:
        module: Any module.

    Returns:
        Kind -> names of parameters, as the module has them.
    """
    names = [name for name, _ in module.named_parameters()]
    norms = {path for path, child in module.named_modules() if isinstance(child, NORMS)}
    adapters = [f"{path}." for path, child in module.named_modules() if isinstance(child, AdapterModule)]
    return {
        "biases": frozenset(name for name in names if BIAS.fullmatch(name.rpartition(".")[2])),
        "norms": frozenset(name for name in names if name.rpartition(".")[0] in norms),
        "adapters": frozenset(name for name in names if name.startswith(tuple(adapters))),
    }

"""Which parameters of a model are of a kind, whatever its layers are called?"""

from __future__ import annotations

import re

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # _NormBase: BatchNorm, SyncBatchNorm, InstanceNorm
BIAS = re.compile(r"(\w+_)?bias(_[ih]h_l\d+(_reverse)?)?")  # also in_proj_bias of attention, bias_hh_l0 of an LSTM


def of_kind(module: nn.Module) -> dict[str, frozenset[str]]:
    """The names of a module's parameters by kind: biases, norms' included; the affine ones of norms; adapters.

    Norms are told by their class, as ResNet calls one `downsample.1`; biases by the name that torch gives them;
    adapters by a mark on the module that holds them, `is_adapter` (backbones/injected/lora.py, adapters.py). One may
    be of
    several kinds: adapters have biases.
    """
    names = [name for name, _ in module.named_parameters()]
    norms = {path for path, child in module.named_modules() if isinstance(child, NORMS)}
    adapters = [f"{path}." for path, child in module.named_modules() if getattr(child, "is_adapter", False)]
    return {
        "biases": frozenset(name for name in names if BIAS.fullmatch(name.rpartition(".")[2])),
        "norms": frozenset(name for name in names if name.rpartition(".")[0] in norms),
        "adapters": frozenset(name for name in names if name.startswith(tuple(adapters))),
    }

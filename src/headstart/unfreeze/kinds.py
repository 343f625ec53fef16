"""Which parameters of a model are of a kind, whatever its layers are called?"""

from __future__ import annotations

import re

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # _NormBase: BatchNorm, SyncBatchNorm, InstanceNorm
BIAS = re.compile(r"(\w+_)?bias(_[ih]h_l\d+(_reverse)?)?")  # also in_proj_bias of attention, bias_hh_l0 of an LSTM
KINDS = ("biases", "norms")


def of_kind(module: nn.Module) -> dict[str, frozenset[str]]:
    """The names of a module's parameters by kind: biases, those of norms included, and the affine ones of norms.

    Norms are told by their class, as ResNet calls one `downsample.1`; biases by the name that torch gives them.
    """
    names = [name for name, _ in module.named_parameters()]
    norms = {path for path, child in module.named_modules() if isinstance(child, NORMS)}
    return {
        "biases": frozenset(name for name in names if BIAS.fullmatch(name.rpartition(".")[2])),
        "norms": frozenset(name for name in names if name.rpartition(".")[0] in norms),
    }

"""LoRA: low-rank updates of the weights of a backbone's layers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Interval
from torch import nn

from headstart.backbones.injected.chosen_layers import InjectedLayers, adaptable
from headstart.backbones.injected.lora_attention import LoraAttention
from headstart.backbones.stages import Backbone
from headstart.compat.peft_layers import describe, is_low_rank
from headstart.types import UserError


@dataclass(frozen=True, kw_only=True)
class Lora:
    """W x + (alpha / rank) B A x in place of W x, in convolutions, linear layers and torch's attention.

    Hu et al. 2022, LoRA (arXiv:2106.09685), by the library peft; for a convolution A has its kernel and B is 1 x 1.
    B begins with 0, so that the model begins as it was.

    Args:
        rank: Of the update.
        alpha: Scale of the update.
        dropout: Of the input of A; attention has none.
        layers: Stages, layers or regular expressions (`adaptable`); None means all layers.
        rslora: Whether the scale is alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732).
        dora: Whether each output has a learned magnitude besides (Liu et al. 2024, arXiv:2402.09353), without
            attention.
    """

    rank: Annotated[int, Ge(1)]
    alpha: Annotated[float, Gt(0)]
    dropout: Annotated[float, Interval(ge=0, lt=1)]
    layers: list[str] | str | None
    rslora: bool
    dora: bool

    def inject(self, backbone: Backbone) -> InjectedLayers:
        """Put them into the backbone, which must have its weights already -> where.

        Raises UserError where peft is missing or there is no layer to put one into.
        """
        if find_spec("peft") is None:
            raise UserError("mode=lora needs peft, which cannot be found; try: pip install 'headstart[peft]'")
        layers, left_out = adaptable(backbone, self.layers, refused=self._refused, key="lora.layers")
        learns = {id(parameter): parameter.requires_grad for parameter in backbone.parameters()}
        attention = {path: layer for path, layer in layers.items() if isinstance(layer, nn.MultiheadAttention)}
        if plain := [path for path in layers if path not in attention]:
            self._by_peft(backbone.stages, plain)
        for path, layer in attention.items():
            above, _, name = path.rpartition(".")
            low_rank = LoraAttention(layer, rank=self.rank, scaling=self._scaling)
            setattr(backbone.stages.get_submodule(above), name, low_rank)
        for parameter in backbone.parameters():  # peft froze the layers: a schedule says what is trainable
            parameter.requires_grad_(learns.get(id(parameter), True))
        if not self.dora:  # of DoRA's convolutions peft takes a view that asks for the other layout
            backbone.to(memory_format=torch.channels_last)
        title = f"{'DoRA' if self.dora else 'LoRA'} of rank {self.rank}, scaled by {self._scaling:g},"
        return InjectedLayers(title, tuple(layers), left_out)

    def _by_peft(self, stages: nn.ModuleDict, paths: list[str]) -> None:
        from peft import LoraConfig, inject_adapter_in_model  # 4 s, as it imports transformers

        settings: dict[str, Any] = {
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "use_rslora": self.rslora,
            "use_dora": self.dora,
            "target_modules": "|".join(map(re.escape, paths)),  # a list would match ends of names
        }
        inject_adapter_in_model(LoraConfig(**settings), stages)
        del stages.peft_config  # a note to itself, which would go wherever the stages are copied to
        for path in paths:
            layer = stages.get_submodule(path)
            # peft's layer does not say it, and the feature cache tells stages by what they say
            describe(layer, f"scaling={self._scaling:g}")
            for name, child in layer.named_children():
                if name.startswith("lora_"):
                    child.is_adapter = True  # type: ignore[assignment]  # what unfreeze/parameter_kinds.py knows it by

    @property
    def _scaling(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def _refused(self, layer: nn.Module) -> str:
        if isinstance(layer, nn.MultiheadAttention):
            if not layer.kdim == layer.vdim == layer.embed_dim:
                return "keys and values of other widths than the queries"
            return "no DoRA for torch's attention" if self.dora else ""
        if not isinstance(layer, nn.Conv2d):
            return ""
        if layer.groups > 1:
            return "convolutions in groups, of which B A is no update"
        if layer.padding_mode != "zeros" or layer.dilation != (1, 1):  # peft's A has neither
            return "convolutions with dilation or a padding other than zeros"
        return ""


def merge(backbone: Backbone) -> None:
    """Put plain layers that compute the same into the place of all that have LoRA; others stay."""
    for path, layer in list(backbone.stages.named_modules()):
        if isinstance(layer, LoraAttention):
            plain: nn.Module = layer.merged()
        elif is_low_rank(layer):
            layer.merge(safe_merge=True)
            plain = layer.base_layer
        else:
            continue
        above, _, name = path.rpartition(".")
        setattr(backbone.stages.get_submodule(above), name, plain)

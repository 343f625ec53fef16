"""Rates of dropout and of stochastic depth in the stages of library models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import nn
from torchvision.ops import StochasticDepth

from headstart.backbones.stages import Backbone
from headstart.types import UserError

DropRate = Annotated[float, Interval(ge=0, lt=1)]
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
DEPTH_KEYS = ("stochastic_depth_prob", "drop_path_rate")


def given_rates(**rates: float | None) -> dict[str, float]:
    """The rates that are set, by their names."""
    return {key: rate for key, rate in rates.items() if rate is not None}


def with_rates(name: str, make: Callable[..., nn.Module], rates: Mapping[str, float]) -> nn.Module:
    """A model of torchvision with these rates.

    Builders of Swin and MaxViT set their stochastic depth themselves. It grows linearly from 0 at the first block to
    the rate at the last one, and is scaled here.

    Args:
        name: Of the model.
        make: Makes it, called with rates.
        rates: By name; DenseNet calls dropout `drop_rate`.

    Raises:
        UserError: The model has no such rate.
    """
    other_names = {"dropout": "drop_rate"} if name.startswith("densenet") else {}
    named = {other_names.get(key, key): rate for key, rate in rates.items()}
    try:
        return make(**named)
    except TypeError as error:
        if unknown := [key for key in rates if f"unexpected keyword argument '{key}'" in str(error)]:
            raise _has_none(name, unknown[0]) from error
        if "multiple values" not in str(error):
            raise
    depth = "stochastic_depth_prob"
    net = make(**{key: rate for key, rate in named.items() if key != depth})
    blocks = [module for module in net.modules() if isinstance(module, StochasticDepth)]
    last = max(block.p for block in blocks)
    for block in blocks:
        block.p = rates[depth] * block.p / last
    return net


def require_rates(name: str, takes: Collection[str], rates: Mapping[str, float]) -> None:
    """Raise UserError where a model's class takes no such rate.

    Args:
        name: Of the model.
        takes: The parameters of its class.
        rates: By name.
    """
    if unknown := [key for key in rates if key not in takes]:
        raise _has_none(name, unknown[0])


def check_rates(name: str, backbone: Backbone, rates: Mapping[str, float]) -> None:
    """Raise UserError where no image meets a rate above 0 in the stages, as that of a classifier that is cut off.

    Args:
        name: Of the model.
        backbone: Its stages, made with these rates.
        rates: By name.
    """
    modules = [module for stage in backbone.stages.values() for module in stage.modules()]
    for key, rate in rates.items():
        rate_of = _depth_rate if key in DEPTH_KEYS else _dropout_rate
        if rate and not _are_called([module for module in modules if rate_of(module)], backbone):
            raise _has_none(name, key)


def _are_called(modules: Sequence[nn.Module], backbone: Backbone) -> bool:
    """Whether an image passes through one of these modules."""
    met: list[nn.Module] = []
    hooks = [module.register_forward_pre_hook(lambda module, _: met.append(module)) for module in modules]
    training = backbone.training
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, backbone.pixels.channels, backbone.pixels.size, backbone.pixels.size))
    backbone.train(training)
    for hook in hooks:
        hook.remove()
    return bool(met)


def _dropout_rate(module: Any) -> float:
    """Of a module; DenseNet's layers call the function and keep the rate themselves."""
    return float(module.p if isinstance(module, DROPOUT) else getattr(module, "drop_rate", 0.0) or 0.0)


def _depth_rate(module: Any) -> float:
    """Of a block: torchvision's StochasticDepth, timm's DropPath."""
    return float(module.p if isinstance(module, StochasticDepth) else getattr(module, "drop_prob", 0.0) or 0.0)


def _has_none(name: str, key: str) -> UserError:
    return UserError(
        f"{name} has no {key} in its stages, so that backbone.{key} would change nothing (its classifier is cut off); "
        "leave it out, or take a model that has it, as convnext_tiny, swin_t or vit_b_16"
    )

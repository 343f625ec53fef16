"""The optimizer that a config makes for the parameter groups of a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer, SparseAdam

from headstart.types import UserError

UNSAID = {"fused": (None,), "foreach": (None,), "capturable": (None, False), "differentiable": (None, False)}
TRY = "try optimizer=adamw or optimizer=sgd"


def learning_rate(make: Callable[..., Optimizer]) -> float:
    """The `lr` that an optimizer is to be made with: the one given, else its own default. Raises UserError."""
    parameter = inspect.signature(make).parameters.get("lr")  # of a partial, the default is what it was given
    rate: Any = inspect.Parameter.empty if parameter is None else parameter.default
    if rate is None or rate is inspect.Parameter.empty:
        raise UserError(f"optimizer.lr, the head's learning rate, is needed; {_name(make)} has none of its own")
    return float(rate)


def optimizer_of(make: Callable[..., Optimizer], groups: Sequence[Mapping[str, Any]]) -> Optimizer:
    """The optimizer of these groups.

    Raises UserError where it takes no groups, no parameters of some shape, or no dense gradients.
    """
    try:
        optimizer = make(groups, **_in_one_pass(make, groups))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"optimizer must take several groups of parameters of any shape; {_name(make)} does not: "
            f"{str(error).splitlines()[0]}; {TRY}"
        ) from error
    if isinstance(optimizer, SparseAdam):
        raise UserError(f"optimizer must take dense gradients; SparseAdam takes sparse ones only; {TRY}")
    return optimizer


def _in_one_pass(make: Callable[..., Optimizer], groups: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """`fused` for parameters on the CPU, where torch has it and nothing was said of how the steps are to be computed.

    The same formula without tensors in between. On a GPU torch chooses by itself.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}
    if "fused" not in defaults or any(defaults.get(name) not in usual for name, usual in UNSAID.items()):
        return {}
    parameters = [parameter for group in groups for parameter in group["params"]]
    plain = all(type(parameter) in (Tensor, Parameter) and parameter.is_floating_point() for parameter in parameters)
    return {"fused": True} if plain and all(parameter.device.type == "cpu" for parameter in parameters) else {}


def _name(make: Callable[..., Any]) -> str:
    return str(getattr(getattr(make, "func", make), "__name__", make))

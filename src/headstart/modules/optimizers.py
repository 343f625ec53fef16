"""Which optimizer does a config make for a model's groups?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer, SparseAdam

from headstart.types import UserError

TRY = "try optimizer=adamw or optimizer=sgd"


def learning_rate(make: Callable[..., Optimizer]) -> float:
    """The `lr` that an optimizer is to be made with: the one given, else its own default. Raises UserError."""
    own = inspect.signature(make).parameters.get("lr")  # of a partial, the default is what it was given
    rate: Any = inspect.Parameter.empty if own is None else own.default
    if rate is None or rate is inspect.Parameter.empty:
        raise UserError(f"optimizer.lr, the head's learning rate, is needed; {_name(make)} has none of its own")
    return float(rate)


def optimizer_of(make: Callable[..., Optimizer], groups: Sequence[Mapping[str, Any]]) -> Optimizer:
    """The optimizer of these groups.

    Raises UserError where it takes no groups, no parameters of some shape, or no dense gradients.
    """
    try:
        optimizer = make(groups)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"optimizer must take several groups of parameters of any shape; {_name(make)} does not: "
            f"{str(error).splitlines()[0]}; {TRY}"
        ) from error
    if isinstance(optimizer, SparseAdam):
        raise UserError(f"optimizer must take dense gradients; SparseAdam takes sparse ones only; {TRY}")
    return optimizer


def _name(make: Callable[..., Any]) -> str:
    return str(getattr(getattr(make, "func", make), "__name__", make))

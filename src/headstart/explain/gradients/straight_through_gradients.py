"""Gradients that pass activation functions everywhere and reach every input of a maximum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]  # of rows, of columns

# functions whose gradient is cut somewhere: there it passes for all that. Others multiply, and NaN times 0 is NaN
CUTTING = {
    *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "threshold", "hardshrink", "softshrink"),
    *("clamp", "clamp_min", "clamp_max", "clip"),
}
POOLING = {"max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices"}


class UnblockedGradients(TorchFunctionMode):
    """Within it functions give their usual values, and their gradients are blocked nowhere.

    They pass activation functions where these are cut off, and reach all inputs of a maximum.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        x = args[0] if args else kwargs.get("input")
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            return func(*args, **kwargs)
        if name.strip("_") in CUTTING:  # functional.threshold calls itself _threshold
            inplace = name.endswith("_") or kwargs.get("inplace", False) or _positional_inplace(name, args)
            rest = args[1:] if args else ()
            if not args:
                kwargs.pop("input")
            change = func(x.detach().clone(), *rest, **kwargs) - x.detach()
            return x.add_(change) if inplace else x + change
        if name in POOLING:
            return _spread(func, args, kwargs)
        if name in ("maximum", "minimum") and isinstance(other := (args[1:] or [kwargs.get("other")])[0], Tensor):
            both = x + other
            return func(x.detach(), other.detach()) + (both - both.detach())
        return func(*args, **kwargs)


def _positional_inplace(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call such as functional.relu(x, True) changes x; other functions have another argument there."""
    at = {"relu": 1, "relu6": 1, "hardswish": 1, "hardsigmoid": 1, "hardtanh": 3, "threshold": 3}.get(name)
    return at is not None and len(args) > at and args[at] is True


def _spread(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Max pooling with the gradient of a sum over each window."""
    adaptive = "adaptive" in func.__name__
    names = ("input", "output_size") if adaptive else ("input", "kernel_size", "stride", "padding", "dilation")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    x: Tensor = arguments["input"]
    pooled = func(*(value.detach() if value is x else value for value in args), **{**kwargs, **_detached(kwargs)})
    value: Tensor = pooled[0] if isinstance(pooled, tuple) else pooled
    if adaptive:
        total = F.adaptive_avg_pool2d(x, (value.shape[-2], value.shape[-1]))
    else:
        total = _sums(
            x,
            kernel=_pair(arguments["kernel_size"]),
            stride=_pair(arguments.get("stride") or arguments["kernel_size"]),
            padding=_pair(arguments.get("padding", 0)),
            dilation=_pair(arguments.get("dilation", 1)),
            size=(value.shape[-2], value.shape[-1]),
        )
    unblocked = value + (total - total.detach())
    return (unblocked, *pooled[1:]) if isinstance(pooled, tuple) else unblocked


def _detached(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"input": kwargs["input"].detach()} if "input" in kwargs else {}


def _sums(x: Tensor, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, size: Pair) -> Tensor:
    """Sums over the windows of a pooling, (..., H, W) -> (..., *size); by a convolution, which has a dilation."""
    planes = x.reshape(-1, 1, *x.shape[-2:])
    beyond = [
        max(0, (size[n] - 1) * stride[n] + dilation[n] * (kernel[n] - 1) + 1 - x.shape[n - 2] - padding[n])
        for n in (0, 1)
    ]  # of the last window, where ceil_mode lets it begin
    planes = F.pad(planes, (padding[1], beyond[1], padding[0], beyond[0]))
    sums = F.conv2d(planes, planes.new_ones(1, 1, *kernel), stride=stride, dilation=dilation)
    return sums[..., : size[0], : size[1]].reshape(*x.shape[:-2], *size)


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return (value, value)
    first, *others = value
    return (int(first), int(others[0] if others else first))

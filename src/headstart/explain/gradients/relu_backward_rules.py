"""Rules for the gradient of a ReLU: plain, deconvnet, guided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from headstart.compat.pytorch.torch_autograd import python_function
from headstart.explain.picture_protocol import UnfitError

ReluRule = Literal["gradient", "deconvnet", "guided"]

# how torch's functions are called that are, or can be, a ReLU: the names of their parameters, in order
CALLS: Mapping[Any, tuple[str, ...]] = {
    **dict.fromkeys((functional.relu, functional.relu6), ("input", "inplace")),
    **dict.fromkeys((torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), ("input",)),
    functional.hardtanh: ("input", "min_val", "max_val", "inplace"),
    functional.hardtanh_: ("input", "min_val", "max_val"),
    **dict.fromkeys((torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_), ("input", "min", "max")),
    **dict.fromkeys((torch.clip, torch.clip_, Tensor.clip, Tensor.clip_), ("input", "min", "max")),
    **dict.fromkeys((torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_), ("input", "min")),
}
SIX = (functional.relu6,)
ALWAYS = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
SIGMOIDS = (torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_, functional.hardsigmoid)

# what bends a signal and is no ReLU that a rule has met: the name of its node in autograd's graph -> what people say
BENDS = {
    "Gelu": "GELU", "Silu": "SiLU", "Mish": "Mish", "Hardswish": "hardswish", "Hardsigmoid": "hardsigmoid",
    "Sigmoid": "sigmoid", "LogSigmoid": "log sigmoid", "Tanh": "tanh", "Hardtanh": "hardtanh",
    "LeakyRelu": "leaky ReLU", "PreluKernel": "PReLU", "RreluWithNoise": "RReLU", "Elu": "ELU", "Celu": "CELU",
    "Softplus": "softplus", "Hardshrink": "hardshrink", "Softshrink": "softshrink", "Threshold": "threshold",
    "Glu": "GLU", "Softmax": "softmax", "LogSoftmax": "softmax", "Relu": "ReLU in compiled code",
}  # fmt: skip
ATTENTION = "ScaledDotProduct"
POOLING = ("MaxPool2DWithIndices", "AdaptiveMaxPool2D", "FractionalMaxPool2D")


class ActivationsMet(NamedTuple):
    """What lies between an image and what a network made of it."""

    relus: int  # that follow the rule
    others: tuple[str, ...]  # what else bends the signal, in words, each once
    switches: int  # layers of max pooling


class _Ruled(torch.autograd.Function):
    """max(f, 0), or min(max(f, 0), high), with a rule for the way back."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, high: float | None, rule: ReluRule) -> Tensor:
        ctx.rule = rule
        if rule != "deconvnet":
            on = f > 0
            ctx.save_for_backward(on & (f < high) if rule == "gradient" and high is not None else on)
        return f.clamp(0, high)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, ...]:
        (signal,) = signals
        if ctx.rule != "gradient":
            signal = signal.clamp(min=0)
        if ctx.rule != "deconvnet":
            signal = signal * ctx.saved_tensors[0]
        return signal, None, None


class BackwardWay(TorchFunctionMode):
    """Handles each call of a torch function within its `with` that is a ReLU.

    The network is not changed: a ReLU may be a module, be used twice or work in place.

    Args:
        rule: For the gradients of ReLUs.
    """

    def __init__(self, rule: ReluRule) -> None:
        super().__init__()
        self.rule = rule
        self._gates: set[Any] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in CALLS:
            call = dict(zip(CALLS[func], args, strict=False)) | kwargs
            f = call["input"]
            if _is_relu(func, f, call):
                result = _Ruled.apply(f, _high(func, call), self.rule)
                # what works in place may be read again under the old name
                return f.copy_(result) if call.get("inplace") or func.__name__.endswith("_") else result
        result = func(*args, **kwargs)
        if func in SIGMOIDS and result.ndim == 4 and result.shape[2:] == (1, 1):
            if self.rule == "deconvnet":
                return result.detach()
            self._gates.add(result.grad_fn)
        return result

    def met(self, output: Tensor) -> ActivationsMet:
        """What lies on the way to what came out within the `with`; to be asked before a gradient is taken."""
        relus = switches = 0
        others: dict[str, None] = {}  # in the order in which they are met
        waiting, visited = [output.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in visited:
                continue
            visited.add(node)
            waiting.extend(before for before, _ in node.next_functions)
            function = python_function(node)
            if function is _Ruled:
                relus += 1
            elif function is not None:
                others[f"a function of its own, {function.__name__}"] = None
            elif (short := _short(node.name())) in POOLING:
                switches += 1
            elif node not in self._gates and (activation := _said(short)):
                others[activation] = None
        return ActivationsMet(relus, tuple(others), switches)

    def check(self, output: Tensor, *, kind: str, to: str) -> ActivationsMet:
        """The same. Raises UnfitError where something else than ReLUs bends the signal.

        kind, to: what is drawn and where the way leads, for the message.
        """
        met = self.met(output)
        if met.others:
            listed = ", ".join(met.others)
            raise UnfitError(f"{kind} goes back through ReLUs, and on the way to {to} this network has {listed}")
        return met


@contextmanager
def relu_rule(rule: ReluRule) -> Iterator[BackwardWay]:
    """Within it each ReLU of what is computed has a rule of its own for gradients that are taken later.

    f: what enters a ReLU, R: the signal that comes back to it. What goes on is
    gradient   1[f > 0] R
    deconvnet  1[R > 0] R            Zeiler & Fergus 2013 (arXiv:1311.2901), section 2.1
    guided     1[f > 0] 1[R > 0] R   Springenberg et al. 2014 (arXiv:1412.6806), section 3.4
    ReLU6 at 6 and above is cut: there the gradient is 0, while deconvnet and guided, which ask whether a unit is on or
    the signal positive, let the signal through: what is as active as can be is not what should be left out.
    Everything else has its own derivative: a maximum's is the switch of a deconvnet, a convolution's its transposed
    filters, BatchNorm's (in eval) its factor. So has, with gradient and guided, the sigmoid of a gate (one number a
    channel, shape (B, D, 1, 1), as in squeeze-excitation). A deconvnet holds such a gate as it holds a switch: it
    multiplies the signal by what it was, and no signal goes into it.
    """
    with BackwardWay(rule) as way:
        yield way


def _is_relu(func: Any, f: Any, call: Mapping[str, Any]) -> bool:
    if not isinstance(f, Tensor) or not f.is_floating_point() or "out" in call:
        return False
    if func in ALWAYS or func in SIX:
        return True
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    return not isinstance(low, Tensor) and low == 0 and not isinstance(high, Tensor)


def _high(func: Any, call: Mapping[str, Any]) -> float | None:
    if func in SIX:
        return 6.0
    if func in (functional.hardtanh, functional.hardtanh_):
        return float(call.get("max_val", 1.0))
    maximum: float | None = call.get("max")
    return maximum


def _short(name: str) -> str:
    return name.rstrip("0123456789").removesuffix("Backward").strip("_")


def _said(short: str) -> str | None:
    """What a node of autograd's graph is in words, None where it is linear or does not matter."""
    return "attention" if short.startswith(ATTENTION) else BENDS.get(short)

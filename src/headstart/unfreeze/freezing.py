"""How is a part of a model frozen, so that nothing of it changes at all?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


class Freezing:
    """Opens and closes the parameters of a module, among those that it may touch.

    module: any. among: the names of the parameters that may be opened and closed. A frozen parameter has no
    gradient, not even the last one: a gradient that is kept still moves the weight at the next step, through
    momentum and weight decay. What holds only frozen parameters is in eval(): its BatchNorm does not drift and
    its dropout is off. A norm with running statistics is so too if only some of its parameters are open, as its
    bias alone: they move with its scale or not at all. A parameter that is frozen at the beginning, by whoever
    made it, never opens.
    """

    def __init__(self, module: nn.Module, among: Collection[str]) -> None:
        self.module = module
        self.among = frozenset(name for name, p in module.named_parameters() if name in among and p.requires_grad)
        self._modes: dict[nn.Module, bool] = {}  # of the modules in frozen ones, as they were before

    def open_only(self, names: Collection[str]) -> None:
        """Let exactly the parameters with these names learn."""
        for name, parameter in self.module.named_parameters():
            if name in self.among:
                parameter.requires_grad_(name in names)
                if name not in names:
                    parameter.grad = None
        for module, mode in self._modes.items():
            module.training = mode
        self._modes = {
            inner: inner.training for outer in _frozen(self.module, "", names, self.among) for inner in outer.modules()
        }
        self.hold()

    def hold(self) -> None:
        """Put what is frozen back into eval(), whoever called train() on it."""
        for module in self._modes:
            if module.training:  # to look is ten times cheaper than to set, and this is done before each batch
                module.training = False

    def end(self) -> None:
        """Leave the module as it was found."""
        self.open_only(self.among)


def _frozen(module: nn.Module, prefix: str, names: Collection[str], among: Collection[str]) -> Iterator[nn.Module]:
    """The outermost modules with parameters of which none is open; one without any (ReLU) is as what is around it.

    A norm with running statistics needs all of its parameters open.
    """
    for path, child in module.named_children():
        held = [f"{prefix}{path}.{name}" for name, _ in child.named_parameters()]
        closed = [name in among and name not in names for name in held]
        if closed and (all(closed) or (any(closed) and isinstance(child, _NormBase))):
            yield child
        else:
            yield from _frozen(child, f"{prefix}{path}.", names, among)

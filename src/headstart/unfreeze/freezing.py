"""Freezing of parameters, with the modules around them in eval(), so that nothing of them changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn

from headstart.compat.torch_norms import RunningNorm


class Freezing:
    """Switches the parameters of a module between trainable and frozen.

    A frozen parameter has no gradient, not even the last one: with a gradient, momentum and weight decay would move
    the weight at the next step. A module with frozen parameters alone is in eval(): its BatchNorm does not drift and
    its dropout is off. So is a norm with running statistics of which only some parameters are trainable, as its bias:
    its statistics move with its scale or not at all. A parameter that is frozen before stays frozen.

    Args:
        module: Any module.
        among: Names of the parameters that may be switched.
    """

    def __init__(self, module: nn.Module, among: Collection[str]) -> None:
        self.module = module
        self.among = frozenset(name for name, p in module.named_parameters() if name in among and p.requires_grad)
        self._modes: dict[nn.Module, bool] = {}  # of the modules within frozen ones: their `training` before

    def train_only(self, names: Collection[str]) -> None:
        """Make exactly the parameters with these names trainable."""
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
        """Put frozen modules back into eval(), after someone called train() on them."""
        for module in self._modes:
            if module.training:  # the check takes a tenth of the assignment, and this runs before each batch
                module.training = False

    def end(self) -> None:
        """Restore the module."""
        self.train_only(self.among)


def _frozen(module: nn.Module, prefix: str, names: Collection[str], among: Collection[str]) -> Iterator[nn.Module]:
    """The outermost modules without a trainable parameter; one without parameters (ReLU) is as the one around it.

    A norm with running statistics is frozen unless all of its parameters are trainable.
    """
    for path, child in module.named_children():
        parameters = [f"{prefix}{path}.{name}" for name, _ in child.named_parameters()]
        frozen = [name in among and name not in names for name in parameters]
        if frozen and (all(frozen) or (any(frozen) and isinstance(child, RunningNorm))):
            yield child
        else:
            yield from _frozen(child, f"{prefix}{path}.", names, among)

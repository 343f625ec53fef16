"""Freezing of parameters, with the modules around them in eval(), so that nothing of them changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn

from headstart.compat.pytorch.torch_norms import RunningNorm


class Freezing:
    """Switches the parameters of a module between trainable and frozen.

    A frozen parameter has no gradient, not even the last one: with a gradient, momentum and weight decay would move
    the weight at the next step. A module with frozen parameters alone is in eval(): its BatchNorm does not drift and
    its dropout is off. So is a norm with running statistics of which only some parameters are trainable, as its bias:
    its statistics move with its scale or not at all. Other norms may be put into eval() although their parameters are
    trainable. A parameter that is frozen before stays frozen.

    Args:
        module: Any module.
        among: Names of the parameters that may be switched.
    """

    def __init__(self, module: nn.Module, among: Collection[str]) -> None:
        self.module = module
        self.among = frozenset(name for name, p in module.named_parameters() if name in among and p.requires_grad)
        self._modes: dict[str, bool] = {}  # of the modules within frozen ones, by path: their `training` before
        self._held: list[nn.Module] = []  # the modules with these paths

    def train_only(self, names: Collection[str], frozen_norms: Collection[str] = ()) -> None:
        """Make exactly the parameters with these names trainable.

        Args:
            names: Of parameters, as the module has them.
            frozen_norms: Paths of modules that are in eval() although they have trainable parameters.
        """
        for name, parameter in self.module.named_parameters():
            if name in self.among:
                parameter.requires_grad_(name in names)
                if name not in names:
                    parameter.grad = None
        for path, mode in self._modes.items():
            self.module.get_submodule(path).training = mode
        self._modes = {
            f"{path}.{below}" if below else path: inner.training
            for path, outer in _frozen(self.module, "", names, self.among, frozen_norms)
            for below, inner in outer.named_modules()
        }
        self.renew()

    def renew(self) -> None:
        """Hold what now has the paths of the frozen modules, as a SyncBatchNorm in the place of a BatchNorm."""
        self._held = [self.module.get_submodule(path) for path in self._modes]
        self.hold()

    def hold(self) -> None:
        """Put frozen modules back into eval(), after someone called train() on them."""
        for module in self._held:
            if module.training:  # the check takes a tenth of the assignment, and this runs before each batch
                module.training = False

    def end(self) -> None:
        """Restore the module."""
        self.train_only(self.among)


def _frozen(
    module: nn.Module, prefix: str, names: Collection[str], among: Collection[str], norms: Collection[str]
) -> Iterator[tuple[str, nn.Module]]:
    """The outermost modules without a trainable parameter; one without parameters (ReLU) is as the one around it.

    A norm with running statistics is frozen unless all of its parameters are trainable, and where `norms` names it.
    """
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        parameters = [f"{path}.{own}" for own, _ in child.named_parameters()]
        frozen = [own in among and own not in names for own in parameters]
        is_whole = bool(frozen) and (all(frozen) or (any(frozen) and isinstance(child, RunningNorm)))
        if is_whole or path in norms:
            yield path, child
        else:
            yield from _frozen(child, f"{path}.", names, among, norms)

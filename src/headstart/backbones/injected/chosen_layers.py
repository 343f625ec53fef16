"""Layers of a backbone that can get an adapter or a low-rank update."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from headstart.backbones.stages import Backbone
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

KINDS = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
# their fused inference takes the weights of the layers in them without calling these; MultiheadAttention always does
READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class InjectedLayers:
    """Layers that have an adapter or a low-rank update.

    Args:
        title: What they have.
        layers: Their paths (`layer1.0.conv1`), from the input on.
        left_out: Paths of layers that were chosen and cannot have it -> the reason.
    """

    title: str
    layers: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that have some, from the input on."""
        return tuple(dict.fromkeys(path.partition(".")[0] for path in self.layers))

    def __str__(self) -> str:
        count = f"{len(self.layers)} layer{'s' if len(self.layers) != 1 else ''}"
        lines = [f"{self.title} in {count} of {', '.join(self.stages)}"]
        for reason in dict.fromkeys(self.left_out.values()):
            names = [path for path, why in self.left_out.items() if why == reason]
            lines.append(f"left out, {reason}: {first_few(names, SHOWN)}")
        return "\n  ".join(lines)


def adaptable(
    backbone: Backbone, wanted: Sequence[str] | str | None, *, refused: Callable[[nn.Module], str], key: str
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The layers that are meant, by their paths in the stages, and why some of those cannot be taken.

    Of convolutions, linear layers and attention. wanted: stages, layers, what holds layers (`layer4.1`), or regular
    expressions that are all of a layer's path; None = all. refused: why a layer cannot be taken, "" where it can.
    A layer that is not called, since whoever holds it takes its weight, is left out too. key: of the setting, for
    messages. Raises UserError where a name means no layer, or none that can be taken.
    """
    candidates: dict[str, nn.Module] = {
        path: layer for path, layer in backbone.stages.named_modules() if isinstance(layer, KINDS)
    }
    called = _called(backbone, candidates)
    readers = [path for path, module in backbone.stages.named_modules() if isinstance(module, READERS)]
    inside = {path for path in candidates if any(path.startswith(f"{reader}.") for reader in readers)}
    reasons = {
        path: "their weights are read by what holds them"
        if path not in called or path in inside
        else refused(layer)
        for path, layer in candidates.items()
    }  # fmt: skip
    asked = dict.fromkeys(candidates)
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if not names:
            raise UserError(f"{key} must name a layer at least, got []; null takes all")
        meant = {path for name in names for path in _meant(name, candidates, reasons, key)}
        asked = dict.fromkeys(path for path in candidates if path in meant)
    chosen = {path: candidates[path] for path in asked if not reasons[path]}
    # attention has its own; that its output projection is in it is no news
    left_out = {path: reasons[path] for path in asked if reasons[path] and not _is_projection(path, candidates)}
    if not chosen:
        reason = _why(left_out) or "there is none"
        raise UserError(f"{key} finds no layer in {', '.join(backbone.names)} that can be taken: {reason}")
    return chosen, left_out


def _meant(name: str, candidates: Mapping[str, nn.Module], reasons: Mapping[str, str], key: str) -> list[str]:
    """The layers that one name means. Raises UserError where it means none that can be taken."""
    paths = [path for path in candidates if f"{path}.".startswith(f"{name}.")]
    if not paths:
        try:
            paths = [path for path in candidates if re.fullmatch(name, path)]
        except re.error as error:
            raise UserError(f"{key}: {name!r} is neither a layer nor a regular expression: {error}") from error
    if not paths:
        known = {path[:at] for path in candidates for at in [*_dots(path), len(path)]}
        near = get_close_matches(name, sorted(known), n=1)
        raise UserError(
            f"{key} names {name!r}, which is no convolution, linear layer or attention and holds none; such are "
            f"{first_few(list(candidates), SHOWN)}{f'; did you mean {near[0]}?' if near else ''}"
        )
    if all(reasons[path] for path in paths):
        raise UserError(f"{key} names {name!r}: {_why({path: reasons[path] for path in paths})}")
    return paths


@torch.no_grad()
def _called(backbone: Backbone, layers: Mapping[str, nn.Module]) -> set[str]:
    """The layers that a forward pass calls, seen on one black image."""
    called: set[str] = set()
    hooks = [layer.register_forward_hook(lambda *_, path=path: called.add(path)) for path, layer in layers.items()]
    modes = [(module, module.training) for module in backbone.modules()]
    pixels = backbone.pixels
    image: Tensor = torch.zeros(1, pixels.channels, pixels.size, pixels.size)
    try:
        backbone.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return called


def _is_projection(path: str, candidates: Mapping[str, nn.Module]) -> bool:
    return isinstance(candidates.get(path.rpartition(".")[0]), nn.MultiheadAttention)


def _why(reasons: Mapping[str, str]) -> str:
    return "; ".join(
        f"{first_few([path for path, why in reasons.items() if why == reason], SHOWN)}: {reason}"
        for reason in dict.fromkeys(reasons.values())
    )


def _dots(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == "."]

"""Matching of a file's tensors with those of a backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.backbones.stages import Backbone
from headstart.types import UserError

COMPILED = "_orig_mod."  # what torch.compile puts into names, at any place
COUNTER = "num_batches_tracked"  # of BatchNorm; old files have none, and only momentum=None reads it


@dataclass(frozen=True)
class Matching:
    """The tensors of a file that a backbone can take."""

    tensors: Mapping[str, Tensor]  # by their names in the backbone
    prefix: str  # what stood before the names in the file
    missing: tuple[str, ...]  # names in the backbone, of all its stages, that the file has nothing for
    left_over: tuple[str, ...]  # names in the file that the backbone has no place for


def matching(state: Mapping[str, Tensor], backbone: Backbone, *, prefix: str | None) -> Matching:
    """The tensors of a file by their names in the backbone.

    A file has either the backbone's names (`stages.layer1.0.conv1.weight`) or those of the network that it comes from
    (`layer1.0.conv1.weight`).

    Args:
        state: Of the file.
        backbone: That takes the tensors.
        prefix: Before the names in the file, or the first part of it; None means the one with most matches.

    Raises:
        UserError: No tensor matches, or equally many match under several prefixes.
    """
    places = {name: name for name in [*backbone.state_dict(), *backbone.original.values()]} | backbone.original
    file_names = {name.replace(COMPILED, ""): name for name in state}
    if prefix is None:
        prefix = _prefix(file_names, places)
    elif prefix and not prefix.endswith("."):
        prefix += "."
    matched = _found(file_names, places, prefix)
    if not matched and prefix:
        behind = {short: name for short, name in file_names.items() if short.startswith(prefix)}
        if further := _prefix(behind, places):
            prefix = further
            matched = _found(file_names, places, prefix)
    if not matched:
        raise UserError(
            f"nothing in the file has a name of the backbone's{f' behind {prefix}' if prefix else ''}: the file begins "
            f"with {_first(state)}; the backbone with {_first(backbone.original or backbone.state_dict())}; is it of "
            "another architecture (backbone=...), or does something else stand before the names (weights.prefix=...)?"
        )
    taken = set(matched.values())
    return Matching(
        tensors={own_name: state[name] for own_name, name in matched.items()},
        prefix=prefix,
        missing=tuple(name for name in backbone.state_dict() if name not in matched),
        left_over=tuple(name for name in state if name not in taken),
    )


def linear_head(state: Mapping[str, Tensor], match: Matching, backbone: Backbone) -> dict[str, Tensor]:
    """The head that a file has for a backbone's features: linear.weight (S, width) and linear.bias (S,), or nothing.

    It is the last linear layer that the backbone has no place for and that reads its features: in classification
    models it comes after auxiliary ones. A backbone that was cut short has no head in the file.
    """
    if not set(backbone.original.values()) <= set(backbone.state_dict()):
        return {}
    for name in reversed(match.left_over):
        short = name.replace(COMPILED, "")
        bias = state.get(f"{name.removesuffix('weight')}bias")
        if short.startswith(match.prefix) and short.endswith(".weight") and state[name].ndim == 2 and bias is not None:
            weight = state[name]
            if weight.shape[1] == backbone.width and bias.shape == weight.shape[:1]:
                return {"linear.weight": weight, "linear.bias": bias}
    return {}


def complete(match: Matching, backbone: Backbone, *, reset_from: int | None) -> dict[str, Tensor]:
    """The tensors of a matching, with all that the first `reset_from` stages (None: all) need, in their shapes.

    Counters of BatchNorm's batches that a file lacks are 0. Raises UserError where anything else is missing, or of
    another shape.
    """
    wanted = {
        f"stages.{stage}.{name}": tensor
        for stage in backbone.names[:reset_from]
        for name, tensor in backbone.stages[stage].state_dict().items()
    }
    tensors = dict(match.tensors)
    absent = []
    for name, tensor in wanted.items():
        if name not in tensors and name.endswith(COUNTER):
            tensors[name] = torch.zeros_like(tensor)
        elif name not in tensors:
            absent.append(name)
    if absent:
        whole = len(_whole_stages(backbone, absent))
        hint = f", or weights.reset_from={whole} for the stages that it has" if whole else ""
        rest = f"; the backbone has no place for its {_first(match.left_over)}" if match.left_over else ""
        raise UserError(
            f"the file lacks {len(absent)} tensors that the backbone needs, {_first(absent)}{rest}; "
            f"try the backbone that it is of (backbone=...){hint}"
        )
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            raise UserError(_misfit(name, tuple(tensors[name].shape), tuple(tensor.shape), backbone))
        if tensor.is_floating_point() and not tensors[name].is_floating_point():
            raise UserError(
                f"{name} is {tensors[name].dtype} in the file, where {tensor.dtype} or another float is needed; is it "
                "quantized? Save the model's weights before that"
            )
    return tensors


def _found(file_names: Mapping[str, str], places: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Name in the backbone -> name in the file, of what stands behind the prefix."""
    return {
        places[short.removeprefix(prefix)]: name
        for short, name in file_names.items()
        if short.startswith(prefix) and short.removeprefix(prefix) in places
    }


def _prefix(names: Mapping[str, str], places: Mapping[str, str]) -> str:
    """What stands before most of the names that have a place."""
    votes: Counter[str] = Counter()
    for name in names:
        if name.endswith(COUNTER):  # a copy of a model may lack them, and is no less one
            continue
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in places:
                votes["".join(f"{part}." for part in parts[:cut])] += 1
    best = [prefix for prefix, count in votes.items() if count == max(votes.values())]
    if len(best) > 1 and "" not in best:
        raise UserError(
            f"the file has the backbone's tensors {len(best)} times, behind {', '.join(best)}; "
            f"choose one: weights.prefix={best[0]}"
        )
    return best[0] if len(best) == 1 else ""


def _whole_stages(backbone: Backbone, absent: list[str]) -> list[str]:
    """The first stages, up to the one that something is missing of."""
    stages = []
    for stage in backbone.names:
        if any(name.startswith(f"stages.{stage}.") for name in absent):
            break
        stages.append(stage)
    return stages


def _misfit(name: str, file_shape: tuple[int, ...], own_shape: tuple[int, ...], backbone: Backbone) -> str:
    text = f"{name} is {file_shape} in the file and {own_shape} in the backbone"
    first = next(iter(backbone.state_dict()))
    if name == first and len(file_shape) == len(own_shape) == 4 and file_shape[1] != own_shape[1]:
        return (
            f"{text}: the file's first convolution reads images of {file_shape[1]} channels, the backbone's "
            f"{own_shape[1]}; try backbone.channels={file_shape[1]}"
        )
    return f"{text}; try the backbone settings that the file was trained with"


def _first(names: Iterable[str], count: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:count]) + (", ..." if len(listed) > count else "")

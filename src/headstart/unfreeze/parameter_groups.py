"""Parameter groups of an optimizer: a learning rate for each stage, no weight decay of norms and biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Gt, Interval
from torch import nn

from headstart.unfreeze.part_names import ModelParts, Stages
from headstart.unfreeze.reserved_names import ALL, BOTTLENECK
from headstart.unfreeze.schedules.schedule_phases import Schedule

NO_DECAY = "/no_decay"


def parameter_groups(
    module: nn.Module,
    *,
    lr: Annotated[float, Gt(0)],
    stage_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    backbone_lr_ratio: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    schedule: Schedule | None = None,
    stages: Stages | None = None,
) -> list[dict[str, Any]]:
    """Optimizer groups of all parts, trainable or frozen, from the input to the head.

    One or two groups a part, named `<part>` and `<part>/no_decay`: norms and biases (whatever has fewer than two
    dimensions) have no weight decay. All groups are there from the first step: optimizers skip a parameter
    without a gradient, and groups that are added later break schedulers and resuming.

    Args:
        module: A LightningModule or any other module.
        lr: Learning rate of the head.
        stage_decay: Learning rate of a stage over that of the stage above it (Howard & Ruder 2018 take 1/2.6).
        layer_decay: The same from layer to layer, within and across stages (usually 0.75). The layers of a stage are
            its children with a weight matrix or kernel; a norm belongs to the layer before it.
        backbone_lr_ratio: Learning rate of all stages over that of the head, before the decays; a bottleneck has that
            of the head.
        schedule: Where a phase trains less than a part, the groups are as fine as that.
        stages: As for `Unfreeze`.
    """
    parts = ModelParts(module, stages)
    parameters = dict(module.named_parameters())
    selectors = _finer_selectors(parts, schedule)
    groups: list[dict[str, Any]] = []
    layers_above = 0
    for depth, part in enumerate(reversed(parts.names)):
        layers = _layers(module, parts, part) if layer_decay != 1 else [("", list(parts.of(part)))]
        for path, names in reversed(layers):
            rate = (
                lr
                * stage_decay**depth
                * layer_decay**layers_above
                * (backbone_lr_ratio if depth and part != BOTTLENECK else 1)
            )
            layers_above += 1
            for suffix, chosen in reversed(_split(names, selectors)):
                title = ".".join([part, *filter(None, [path])]) + suffix
                plain = [parameters[name] for name in chosen if parameters[name].ndim <= 1]
                decayed = [parameters[name] for name in chosen if parameters[name].ndim > 1]
                if plain:
                    groups.append({"name": title + NO_DECAY, "params": plain, "lr": rate, "weight_decay": 0.0})
                if decayed:
                    groups.append({"name": title, "params": decayed, "lr": rate})
    return [group | {"base": group["lr"]} for group in groups[::-1]]


def _finer_selectors(parts: ModelParts, schedule: Schedule | None) -> dict[str, frozenset[str]]:
    """The parameters of each selector of the phases that is no whole part."""
    phases = schedule.phases(parts.names) if schedule is not None else ()
    named = {
        text for phase in phases for text in (*phase.trainable, *(phase.lr if isinstance(phase.lr, Mapping) else ()))
    }
    return {text: parts.selected([text]) for text in sorted(named - {ALL, *parts.names})}


def _layers(module: nn.Module, parts: ModelParts, part: str) -> list[tuple[str, list[str]]]:
    """The layers of a part, by the path of their first child, from the input on."""
    path = parts.paths[part]
    if path is None:  # of a regular expression: the order of its layers is not known
        return [("", list(parts.of(part)))]
    stage = module.get_submodule(path)
    shapes = {name: parameter.ndim for name, parameter in stage.named_parameters()}
    layers: list[tuple[str, list[str]]] = []
    for child in dict.fromkeys(name.partition(".")[0] for name in shapes):
        dimensions = [shape for name, shape in shapes.items() if name == child or name.startswith(f"{child}.")]
        if not layers or max(dimensions) > 1:
            layers.append((child, [child]))
        else:
            layers[-1][1].append(child)
    if len(layers) == 1:
        return [("", list(parts.of(part)))]
    named = [
        (first, [f"{path}.{name}" for name in shapes if name.partition(".")[0] in inside]) for first, inside in layers
    ]
    named[-1][1].extend(name for name in parts.of(part) if not name.startswith(f"{path}."))  # its side networks
    return named


def _split(names: list[str], selectors: Mapping[str, frozenset[str]]) -> list[tuple[str, list[str]]]:
    """The names grouped by the selectors that select them, each group with a suffix for its title."""
    groups: dict[str, list[str]] = {}
    for name in names:
        suffix = "".join(f"[{text}]" for text, chosen in selectors.items() if name in chosen)
        groups.setdefault(suffix, []).append(name)
    return list(groups.items())

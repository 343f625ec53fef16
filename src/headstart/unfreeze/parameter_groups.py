"""Which parameters learn at which rate?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Gt, Interval
from torch import nn

from headstart.unfreeze.part_names import Parts, Stages
from headstart.unfreeze.reserved_names import ALL
from headstart.unfreeze.schedules.schedule_phases import Schedule

NO_DECAY = "/no_decay"


def parameter_groups(
    module: nn.Module,
    *,
    lr: Annotated[float, Gt(0)],
    stage_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    schedule: Schedule | None = None,
    stages: Stages | None = None,
) -> list[dict[str, Any]]:
    """Optimizer groups for all parts, open or not, from the input to the head.

    lr: of the head. stage_decay: the rate of a stage over that of the stage above it (Howard & Ruder 2018 take
    1/2.6); layer_decay: the same from layer to layer within and across the stages (usually 0.75; the layers of
    a stage are its children with a weight matrix or kernel, norms go with the layer before them). schedule: a
    schedule whose phases open less than a part gets groups as fine as that. stages: as for `Unfreeze`.

    One or two groups a part, named `<part>` and `<part>/no_decay`: norms and biases (all that has fewer than two
    dimensions) have no weight decay. All groups are there from the first step: optimizers skip a parameter
    without a gradient, and groups that come later break schedulers and resuming.
    """
    parts = Parts(module, stages)
    parameters = dict(module.named_parameters())
    selectors = _finer_selectors(parts, schedule)
    groups: list[dict[str, Any]] = []
    layers_above = 0
    for depth, part in enumerate(reversed(parts.names)):
        layers = _layers(module, parts, part) if layer_decay != 1 else [("", list(parts.of(part)))]
        for path, names in reversed(layers):
            rate = lr * stage_decay**depth * layer_decay**layers_above
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


def _finer_selectors(parts: Parts, schedule: Schedule | None) -> dict[str, frozenset[str]]:
    """What the phases open or give a rate of its own to, where that is no whole part."""
    phases = schedule.phases(parts.names) if schedule is not None else ()
    named = {text for phase in phases for text in (*phase.open, *(phase.lr if isinstance(phase.lr, Mapping) else ()))}
    return {text: parts.selected([text]) for text in sorted(named - {ALL, *parts.names})}


def _layers(module: nn.Module, parts: Parts, part: str) -> list[tuple[str, list[str]]]:
    """The layers of a part, by the path of their first child, from the input on."""
    path = parts.paths[part]
    if path is None:  # a regular expression gathers it: what the order of its layers is, nobody knows
        return [("", list(parts.of(part)))]
    stage = module.get_submodule(path)
    shapes = {name: parameter.ndim for name, parameter in stage.named_parameters()}
    layers: list[tuple[str, list[str]]] = []
    for name in shapes:
        child = name.partition(".")[0]
        whole = [other for other in shapes if other == child or other.startswith(f"{child}.")]
        if not layers or (child not in layers[-1][1] and any(shapes[other] > 1 for other in whole)):
            layers.append((child, [child]))
        elif child not in layers[-1][1]:
            layers[-1][1].append(child)
    if len(layers) == 1:
        return [("", list(parts.of(part)))]
    found = [
        (first, [f"{path}.{name}" for name in shapes if name.partition(".")[0] in inside]) for first, inside in layers
    ]
    found[-1][1].extend(name for name in parts.of(part) if not name.startswith(f"{path}."))  # what stands beside it
    return found


def _split(names: list[str], selectors: Mapping[str, frozenset[str]]) -> list[tuple[str, list[str]]]:
    """The names by which of the selectors choose them, with what to add to the group's name."""
    found: dict[str, list[str]] = {}
    for name in names:
        suffix = "".join(f"[{text}]" for text, chosen in selectors.items() if name in chosen)
        found.setdefault(suffix, []).append(name)
    return list(found.items())

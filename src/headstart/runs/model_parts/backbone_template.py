"""Backbones of a config that this process has made before, made again without drawing random numbers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from headstart.backbones.stages import Backbone
from headstart.backbones.weights.backbone_weights import Weights, load
from headstart.callbacks.checkpoints.rng_states import random_states, set_random_states
from headstart.compat.hydra.hydra_instantiation import instantiate

CPU = torch.device("cpu")
_TEMPLATES: dict[str, Backbone] = {}  # by the config: all but the parameters' numbers, which take the memory
_CHANCE: dict[tuple[str, tuple[bytes, ...]], dict[str, Tensor]] = {}  # random states before -> after it was made


def template(node: DictConfig) -> Backbone:
    """A backbone whose names and shapes are to be seen, not its numbers; no chance is used."""
    known = _TEMPLATES.get(resolved(node))
    if known is not None:
        return known
    with torch.random.fork_rng(devices=[]):
        return _made(node)


def with_weights(node: DictConfig, weights: Weights) -> tuple[Backbone, tuple[str, ...]]:
    """A backbone with the weights in it, and the names of the stages that have them.

    What is drawn after it does not depend on whether it is the first one: random numbers that the weights would
    replace, all of them, are skipped.
    """
    recipe = resolved(node)
    before = tuple(state.numpy().tobytes() for state in random_states(CPU).values())
    known, after = _TEMPLATES.get(recipe), _CHANCE.get((recipe, before))
    whole = weights.backbone and (weights.reset_from is None or (known and weights.reset_from == len(known.names)))
    if whole and known is not None and after is not None:
        backbone = _copied(known, lambda parameter: torch.empty_like(parameter, device=CPU))
        set_random_states(after, CPU)
    else:
        backbone = _made(node)
        if recipe in _TEMPLATES:  # else it is drawn each time
            _CHANCE[recipe, before] = random_states(CPU)
    return backbone, load(backbone, weights)


def resolved(*nodes: Any) -> str:
    """What nodes of the config say, and values beside them, as a text: another one for another choice."""
    plain = [OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node for node in nodes]
    return json.dumps(plain, default=str)


def _made(node: DictConfig) -> Backbone:
    backbone: Backbone = instantiate(node)
    if backbone.zoo is not None:  # a library's; in a network of one's own a hook may hold what is not copied with it
        _TEMPLATES[resolved(node)] = _copied(backbone, lambda parameter: torch.empty_like(parameter, device="meta"))
    return backbone


def _copied(backbone: Backbone, make: Callable[[Tensor], Tensor]) -> Backbone:
    """A copy with other parameters."""
    others = {id(p): nn.Parameter(make(p.detach()), requires_grad=p.requires_grad) for p in backbone.parameters()}
    copied: Backbone = copy.deepcopy(backbone, dict(others))
    return copied

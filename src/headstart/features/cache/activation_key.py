"""What decides the activations of a frozen prefix?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headstart.backbones.stages import Backbone, pooled
from headstart.backbones.weights.backbone_weights import weights_hash
from headstart.compat.torch_modules import has_forward_hooks

# what stages of a key, by their code, gave in this process: the shape of one image's, a few numbers
_ANSWERS: dict[tuple[str, tuple[Any, ...] | None], tuple[tuple[int, ...], tuple[float, ...]]] = {}
SEEN = 64  # numbers of the noise's answer that are kept


class Place(NamedTuple):
    """Where in the backbone: after so many stages, pooled over space to (B, D) or not."""

    after: int
    pooled: bool


@dataclass(frozen=True)
class Cut:
    """A place in the backbone whose activations are stored.

    key: 16 hex digits of facts, which say all that decides the activations of an image besides the image: the
    stages' structure and weights, the pixels, precision, kind of device, torch's version, the type that is stored.
    answer: what the stages make of a fixed noise, which tells code from other code. shape: of one image's
    activations as they are stored.
    """

    place: Place
    key: str
    shape: tuple[int, ...]
    facts: dict[str, Any] = field(compare=False)
    answer: tuple[float, ...] = field(compare=False)


def cuts_of(
    backbone: Backbone,
    places: Sequence[Place],
    *,
    device: torch.device,
    precision: str,
    dtype: str,
    context: Callable[[], AbstractContextManager[Any]],
) -> list[Cut]:
    """The cut at each place. The stages before it must be in eval(). context: of a forward pass, as for autocast."""
    stages = _first(backbone, max(place.after for place in places))
    state = {name: [str(stage), weights_hash(stage.state_dict())] for name, stage in stages}
    code = _code(stages)
    found = []
    for place in places:
        facts = {
            "stages": {name: state[name] for name, _ in _first(backbone, place.after)},
            "pooled": place.pooled,
            "pixels": list(backbone.pixels),
            "precision": precision,
            "device": device.type,
            "dtype": dtype,
            "torch": torch.__version__,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        found.append((place, key, facts))
    unknown = [place for place, key, _ in found if code is None or (key, code) not in _ANSWERS]
    if unknown:
        with context():
            answers = activations(backbone, _noise(backbone).to(device), unknown)
        new = {place: as_stored(answer) for place, answer in answers.items()}
    cuts = []
    for place, key, facts in found:
        shape, few = (tuple(new[place].shape[1:]), _few(new[place])) if place in unknown else _ANSWERS[key, code]
        cuts.append(Cut(place, key, shape, facts, few))
        if code is not None:
            _ANSWERS[key, code] = shape, few
    return cuts


def _noise(backbone: Backbone) -> Tensor:
    pixels = backbone.pixels
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, pixels.channels, pixels.size, pixels.size, generator=generator)
    return noise.to(next(backbone.parameters()).dtype)  # a model in half precision takes half-precision images


def _code(stages: Sequence[tuple[str, nn.Module]]) -> tuple[Any, ...] | None:
    """What the stages compute by, besides what the key is made of; None where hooks or methods of one module have a
    say in it, too."""
    modules = [module for _, stage in stages for module in stage.modules()]
    if any(has_forward_hooks(module) or "forward" in vars(module) for module in modules):
        return None
    return tuple((type(module), type(module).forward) for module in modules)


@torch.inference_mode()
def activations(backbone: Backbone, image: Tensor, places: Sequence[Place]) -> dict[Place, Tensor]:
    """What an image batch (B, ...) gives at each place, in one forward pass."""
    found = {}
    x = backbone.entering(image)
    for after, (_, stage) in enumerate(_first(backbone, max(place.after for place in places)), start=1):
        x = stage(x)
        for place in places:
            if place.after == after:
                found[place] = pooled(x) if place.pooled else x
    return found


def as_stored(x: Tensor) -> Tensor:
    """Maps (B, C, H, W) -> (B, H, W, C), as convolutions read them; others as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def as_served(rows: Tensor) -> Tensor:
    """Stored rows as activations, float32."""
    rows = rows.float()
    return rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows


def same_answer(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two answers differ by no more than rounding, in whatever precision."""
    a, b = torch.tensor(list(one)), torch.tensor(list(other))
    return a.shape == b.shape and bool((a - b).abs().max() <= 0.02 * a.abs().max().clamp(min=1e-6))


def _first(backbone: Backbone, count: int) -> list[tuple[str, nn.Module]]:
    return list(backbone.stages.items())[:count]


def _few(answer: Tensor) -> tuple[float, ...]:
    flat = answer.detach().float().cpu().reshape(-1)
    return tuple(flat[torch.linspace(0, len(flat) - 1, min(SEEN, len(flat))).long()].tolist())

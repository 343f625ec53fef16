"""Keys of cached activations: everything besides the image that decides them."""

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
from headstart.compat.pytorch.torch_hooks import has_forward_hooks

# key and code of stages -> the shape of one image's activations and their fingerprint, in this process
_FINGERPRINTS: dict[tuple[str, tuple[Any, ...] | None], tuple[tuple[int, ...], tuple[float, ...]]] = {}
FINGERPRINT = 64  # numbers of the activations of the noise


class Place(NamedTuple):
    """A place in the backbone: after so many stages, pooled over space to (B, D) or not."""

    after: int
    pooled: bool


@dataclass(frozen=True)
class Cut:
    """A place in the backbone whose activations are cached.

    Args:
        place: In the backbone.
        key: 16 hex digits, the hash of the facts.
        shape: Of one image's activations as they are cached.
        facts: Everything besides the image that decides its activations: the stages' structure and weights, the pixels,
            precision, kind of device, torch's version, the cached type.
        fingerprint: Activations of a fixed noise, by which a change of the code is noticed.
    """

    place: Place
    key: str
    shape: tuple[int, ...]
    facts: dict[str, Any] = field(compare=False)
    fingerprint: tuple[float, ...] = field(compare=False)


def cuts_of(
    backbone: Backbone,
    places: Sequence[Place],
    *,
    device: torch.device,
    precision: str,
    dtype: str,
    context: Callable[[], AbstractContextManager[Any]],
) -> list[Cut]:
    """The cut at each place.

    Args:
        backbone: The stages before the places must be in eval().
        places: In the backbone.
        device: That computes.
        precision: Of the trainer.
        dtype: Of cached rows.
        context: Around a forward pass, as for autocast.
    """
    stages = _first(backbone, max(place.after for place in places))
    state = {name: [str(stage), weights_hash(stage.state_dict())] for name, stage in stages}
    code = _code(stages)
    keyed = []
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
        keyed.append((place, key, facts))
    unknown = [place for place, key, _ in keyed if code is None or (key, code) not in _FINGERPRINTS]
    if unknown:
        with context():
            of_noise = activations(backbone, _noise(backbone).to(device), unknown)
        new = {place: as_stored(activation) for place, activation in of_noise.items()}
    cuts = []
    for place, key, facts in keyed:
        if place in unknown:
            shape, fingerprint = tuple(new[place].shape[1:]), _fingerprint(new[place])
        else:
            shape, fingerprint = _FINGERPRINTS[key, code]
        cuts.append(Cut(place, key, shape, facts, fingerprint))
        if code is not None:
            _FINGERPRINTS[key, code] = shape, fingerprint
    return cuts


def _noise(backbone: Backbone) -> Tensor:
    pixels = backbone.pixels
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, pixels.channels, pixels.size, pixels.size, generator=generator)
    return noise.to(next(backbone.parameters()).dtype)  # a model in half precision takes half-precision images


def _code(stages: Sequence[tuple[str, nn.Module]]) -> tuple[Any, ...] | None:
    """The classes and methods of the stages' modules; None where a module has hooks or a `forward` of its own."""
    modules = [module for _, stage in stages for module in stage.modules()]
    if any(has_forward_hooks(module) or "forward" in vars(module) for module in modules):
        return None
    return tuple((type(module), type(module).forward) for module in modules)


@torch.inference_mode()
def activations(backbone: Backbone, image: Tensor, places: Sequence[Place]) -> dict[Place, Tensor]:
    """The activations of an image batch (B, ...) at each place, in one forward pass."""
    at_places = {}
    x = backbone.entering(image)
    for after, (_, stage) in enumerate(_first(backbone, max(place.after for place in places)), start=1):
        x = stage(x)
        for place in places:
            if place.after == after:
                at_places[place] = pooled(x) if place.pooled else x
    return at_places


def as_stored(x: Tensor) -> Tensor:
    """Maps (B, C, H, W) -> (B, H, W, C), the layout that convolutions read fastest; others as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def as_served(rows: Tensor) -> Tensor:
    """Cached rows as activations, float32."""
    rows = rows.float()
    return rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows


def same_fingerprint(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two fingerprints differ by no more than rounding, in any precision."""
    a, b = torch.tensor(list(first)), torch.tensor(list(second))
    return a.shape == b.shape and bool((a - b).abs().max() <= 0.02 * a.abs().max().clamp(min=1e-6))


def _first(backbone: Backbone, count: int) -> list[tuple[str, nn.Module]]:
    return list(backbone.stages.items())[:count]


def _fingerprint(activation: Tensor) -> tuple[float, ...]:
    flat = activation.detach().float().cpu().reshape(-1)
    return tuple(flat[torch.linspace(0, len(flat) - 1, min(FINGERPRINT, len(flat))).long()].tolist())

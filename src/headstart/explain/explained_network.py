"""The explained network: its logits and the maps of its stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from headstart.backbones.stages import Backbone
from headstart.types import UserError


@dataclass(frozen=True)
class Network:
    """A backbone and its head; neither is changed.

    Args:
        backbone: From an image to features.
        head: From features to logits.
        several: Whether an image may have several labels, so that each class has a probability of its own.
    """

    backbone: Backbone
    head: nn.Module
    several: bool = False

    @property
    def device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages' names, from the input on."""
        return self.backbone.names

    def entering(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), uint8 or normalised -> normalised, on the network's device; no gradient reaches them."""
        return self.backbone.entering(images.to(self.device)).detach()

    def logits(self, x: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> (B, classes)."""
        logits: Tensor = self.head(self.backbone(x))
        return logits

    def probabilities(self, x: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> (B, classes); each row sums to 1, where images are of one class."""
        return self.chances(self.logits(x))

    def chances(self, logits: Tensor) -> Tensor:
        """The same of logits (B, classes), float32."""
        return logits.float().sigmoid() if self.several else logits.float().softmax(dim=1)

    def activations(self, x: Tensor, stage: str) -> Tensor:
        """What a stage makes of normalised images (B, C, H, W): maps (B, D, h, w), tokens (B, N, D), features (B, D).

        Raises UserError where there is no such stage.
        """
        self.check(stage)
        for name, module in self.backbone.stages.items():
            x = module(x)
            if name == stage:
                break
        return x

    def passing(self, x: Tensor, stages: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """What each of these stages makes of normalised images (B, C, H, W), one after another, from the input on.

        To be used before the next is asked for: a stage may begin by overwriting what it is given.
        """
        last = max(self.stages.index(name) for name in stages)
        for name in self.stages[: last + 1]:
            x = self.backbone.stages[name](x)
            if name in stages:
                yield name, x

    def check(self, *stages: str) -> None:
        """Raises UserError where one of these is not a stage of the network."""
        for stage in stages:
            if stage not in self.stages:
                near = get_close_matches(stage, self.stages, n=1)
                raise UserError(
                    f"the stages are {', '.join(self.stages)}, got {stage!r}"
                    f"{f'; did you mean {near[0]}?' if near else ''}"
                )

    def chosen(self, stages: Sequence[str] | None) -> tuple[str, ...]:
        """These stages in the network's order, each once; None: all. Raises UserError where one is not there."""
        if stages is None:
            return self.stages
        self.check(*stages)
        return tuple(name for name in self.stages if name in set(stages))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """In eval(), with gradients to be had, whatever mode the caller is in; all as it was afterwards."""
        modules = [*self.backbone.modules(), *self.head.modules()]
        modes = [module.training for module in modules]
        for module in modules:
            module.training = False
        try:
            with torch.inference_mode(False), torch.enable_grad():
                yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode


def maps(activations: Tensor) -> Tensor | None:
    """A stage's activations as maps (B, D, h, w), None where they have no places.

    Tokens (B, N, D) lie in rows of a square; where N is one more than a square, the first is the class token and left
    out.
    """
    if activations.ndim == 4:
        return activations
    if activations.ndim != 3:
        return None
    count = activations.shape[1]
    extra = 0 if math.isqrt(count) ** 2 == count else 1
    side = math.isqrt(count - extra)
    if side < 2 or side**2 + extra != count:
        return None
    return activations[:, extra:].transpose(1, 2).reshape(len(activations), -1, side, side)

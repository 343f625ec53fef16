"""Which pretrained weights does a backbone's library have?"""

from __future__ import annotations

import logging
from typing import Annotated

import torch
from annotated_types import Ge
from hydra.utils import instantiate
from omegaconf import DictConfig

from headstart import launch
from headstart.backbones.file import tensors_in
from headstart.backbones.pretrained import (
    as_named_now,
    differences,
    fetched,
    first_convolution,
    summed_over_colours,
    torchvision_weights,
)  # fmt: skip
from headstart.backbones.stages import Backbone
from headstart.backbones.weights import Weights
from headstart.tasks.weights_file import weights_in
from headstart.types import UserError

log = logging.getLogger(__name__)


def pretrained_weights(*, cfg: DictConfig, name: str | None, reset_from: Annotated[int, Ge(0)] | None) -> Weights:
    """The pretrained weights of cfg.backbone, downloaded once into torch's cache.

    name: which of those that there are, None for the library's default. reset_from: keep the first n stages, the
    rest stays fresh. For grey images the first convolution's weights are summed over the colours. Raises UserError
    where the backbone has none, or they cannot be had.
    """
    with torch.random.fork_rng(devices=[]):  # only to see names and shapes: the run's own backbone comes later
        backbone: Backbone = instantiate(cfg.backbone)
        if backbone.zoo is None:
            raise UserError(
                "weights=pretrained needs a backbone that a library has weights for, such as backbone=resnet50 or "
                f"backbone=torchvision backbone.name=vit_b_16, not {cfg.backbone._target_}; "
                "weights=file weights.path=... takes any others"
            )
        _, model = backbone.zoo
        weights = torchvision_weights(model, name)
        file = fetched(weights.url)
        state = as_named_now(model, tensors_in(file), size=backbone.pixels.size)
    if backbone.pixels.channels == 1:
        here = first_convolution(backbone)
        state = summed_over_colours(state, next(there for there, own in backbone.original.items() if own == here))
    if launch.rank() == 0 and (told := differences(backbone.pixels, weights)):
        log.warning("%s of %s were evaluated otherwise: %s", weights.name, model, "; ".join(told))
    about = {"model": model, "name": weights.name, "url": weights.url}
    return weights_in(state, backbone, file=file, prefix="", reset_from=reset_from, about=about)

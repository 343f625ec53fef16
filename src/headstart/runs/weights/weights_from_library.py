"""Pretrained weights of a backbone's library."""

from __future__ import annotations

import logging
from typing import Annotated

import torch
from annotated_types import Ge
from omegaconf import DictConfig

from headstart.backbones.weights.backbone_weights import Weights
from headstart.backbones.weights.preprocessing.preprocessing_values import shown
from headstart.backbones.weights.pretrained_weights import differences
from headstart.backbones.weights.weight_libraries import pretrained
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.weights.weights_from_file import weights_in
from headstart.runs.weights.weights_preprocessing import as_target_resizes
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)


def pretrained_weights(*, cfg: DictConfig, name: str | None, reset_from: Annotated[int, Ge(0)] | None) -> Weights:
    """The pretrained weights of cfg.backbone, downloaded once into the library's cache.

    name: which of those that there are, None for the library's default. reset_from: keep the first n stages, the
    rest stays fresh. Raises UserError where the backbone has none, or they cannot be had.
    """
    backbone = template(cfg.backbone)
    if backbone.zoo is None:
        raise UserError(
            "weights=pretrained needs a backbone that a library has weights for, such as backbone=resnet50 or "
            f"backbone=torchvision backbone.name=vit_b_16, not {cfg.backbone._target_}; "
            "weights=file weights.path=... takes any others"
        )
    with torch.random.fork_rng(devices=[]):  # a library may make a network to load them into
        weights = pretrained(backbone.zoo, name, backbone.pixels)
    _, model = backbone.zoo
    used, by_target = as_target_resizes(cfg, backbone.pixels)
    but_for = f", {weights.but_for}" if weights.but_for else ""
    if rank_environment.rank() == 0 and (told := differences(used, weights.made_for)):
        told += [weights.advice] if weights.advice else []
        log.warning("%s of %s were evaluated otherwise: %s%s", weights.name, model, "; ".join(told), but_for)
    elif rank_environment.rank() == 0:
        log.info(
            "preprocessing: %s%s, as %s of %s were evaluated%s", shown(used), by_target, weights.name, model, but_for
        )
    about = {"model": model, "name": weights.name, "url": weights.url}
    return weights_in(weights.tensors, backbone, file=weights.file, prefix="", reset_from=reset_from, about=about)

"""The head of a run, made as its config names it, and what the backbone gives it."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from headstart.backbones.stages import Backbone
from headstart.backbones.token_output import give_tokens
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.runs.model_parts.number_heads import with_units
from headstart.types import UserError


def head_of(cfg: DictConfig, backbone: Backbone, num_classes: int) -> Any:
    """The head that the config names; where it has `blocks`, the backbone gives it tokens from then on.

    Args:
        cfg: The config of the run.
        backbone: With its weights and adapters.
        num_classes: Of the head.
    """
    about = {"width": backbone.width, "num_classes": num_classes}
    if cfg.head.get("blocks") is not None:
        if not backbone.gives_tokens:
            give_tokens(backbone, cfg.head.blocks)
        about |= {"width": backbone.width, "class_tokens": backbone.class_tokens}
    return instantiate(cfg.head, **about)


def checked_head(cfg: DictConfig, backbone: Backbone, data: Any) -> Any:
    """The head of a run. Raises UserError where it cannot do what the data or another part of the run need."""
    head = head_of(cfg, backbone, data.num_classes)
    if (is_multi_label(data) or is_regression(data)) and not getattr(head, "several_labels", True):
        reason = "have numbers" if is_regression(data) else "may have several labels an image"
        raise UserError(f"{type(head).__name__} tells one class an image, and these data {reason}; try head=linear")
    for group in ("adaptation", "regularizer"):
        if backbone.gives_tokens and cfg.get(group):
            raise UserError(
                f"{group}={str(cfg[group]['_target_']).rpartition('.')[2]} reads pooled features, and "
                f"{type(head).__name__} takes tokens; try head=linear or head=mlp"
            )
    return with_units(head, data.num_classes, is_regression(data))

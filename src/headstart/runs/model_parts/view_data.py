"""Data at the size that test-time views of its images need, and the views that a config names."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.evaluation.views.view import Views, enlarged
from headstart.types import Pixels, UserError


def views_of(node: DictConfig) -> Views:
    """The views that a `tta` node means. Raises UserError where it makes none."""
    views: Views = instantiate(node)
    if not callable(views) or not isinstance(getattr(views, "larger", None), int | float) or views.larger < 1:
        raise UserError(
            f"tta must be null or make views of images, with a number `larger` of at least 1, got {views!r}; "
            "headstart/evaluation/views/view.py says how"
        )
    return views


def enlarged_data(node: DictConfig, *, views: Views, pixels: Pixels, seed: int) -> Any:
    """The data as large as the views want them."""
    wanted = enlarged(pixels, views.larger, resize=node.get("resize"))
    own = {} if node.get("resize") is None else {"resize": wanted.resize}
    return instantiate(node, pixels=wanted, seed=seed, **own)

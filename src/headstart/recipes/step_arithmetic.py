"""Steps, warm-up and validations of a recipe, counted before a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig

from headstart.backbones.stages import Backbone
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.types import UserError


def target_data(cfg: DictConfig) -> Any:
    """The target's data, set up as those of the run would be, all of them; the run's random numbers are not used."""
    with torch.random.fork_rng(devices=[]), _silent("headstart.data"):  # the run's own come later, and tell then
        backbone: Backbone = instantiate(cfg.backbone)
        data = instantiate(cfg.target, pixels=backbone.pixels, seed=cfg.seed)
        data.setup("fit")
    return data


def share_of(batch_size: int, *, processes: int, accumulated: int) -> int:
    """The images of one batch of one process, of which an optimizer step sees so many over all.

    Raises UserError where they cannot be shared out.
    """
    shares = processes * accumulated
    if batch_size % shares:
        raise UserError(
            f"recipe.batch_size must be a multiple of {shares} ({processes} processes x {accumulated} accumulated "
            f"batches), got {batch_size}; try recipe.batch_size={max(1, batch_size // shares) * shares}"
        )
    return batch_size // shares


def batches(steps: int, an_epoch: int, accumulated: int) -> int:
    """The batches of so many optimizer steps, where an epoch's last batches are a step however few they are."""
    epochs, rest = divmod(steps, -(-an_epoch // accumulated))
    return epochs * an_epoch + rest * accumulated


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """No lines of a logger but warnings."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)

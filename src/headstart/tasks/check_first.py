"""What can be found wrong with a run before its source model is developed, which may take hours."""

from __future__ import annotations

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from headstart.tasks.devices import made_trainer
from headstart.tasks.parts import assembled
from headstart.tasks.source import waits_for_source
from headstart.tasks.template import template


def check_first(cfg: DictConfig) -> None:
    """Make what the run will need besides its source model, where that is not there yet, and let go of it again.

    Loggers, callbacks and data that lack a package, and files of the target that are not there or cannot be read, are
    errors now. Raises what making them raises.
    """
    if not waits_for_source(cfg):
        return
    loggers = [instantiate(node) for node in cfg.logger.values() if node]
    callbacks = [instantiate(node) for node in cfg.callbacks.values() if node]
    made_trainer(cfg.trainer, logger=loggers, callbacks=callbacks)  # which says what does not go together
    with torch.random.fork_rng(devices=[]):
        if cfg.get("rule") or cfg.get("tuning"):  # which may decide what the other parts are made of
            seed = cfg.get("images_seed", cfg.seed)
            data = instantiate(cfg.target, pixels=template(cfg.backbone).pixels, seed=seed)
        else:
            data = assembled(cfg).data
        data.setup("fit")

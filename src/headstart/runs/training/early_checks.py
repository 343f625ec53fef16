"""What can be found wrong with a run before its source model is developed, which may take hours."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from headstart.compat.hydra_instantiation import instantiate
from headstart.runs.assembly import adaptation_of, assembled, images_seed
from headstart.runs.backbone_template import template
from headstart.runs.training.run_plan import run_of
from headstart.runs.training.run_trainer import made_trainer
from headstart.runs.weights.source_model import waits_for_source


def check_first(cfg: DictConfig, *, processes: int) -> None:
    """Make what the run will need besides its source model, where that is not there yet, and let go of it again.

    Loggers, callbacks and data that lack a package, files of the target that are not there or cannot be read, and a run
    without a batch to train on are errors now. processes: that share each batch. Raises what making them raises.
    """
    if not waits_for_source(cfg):
        return
    loggers = [instantiate(node) for node in cfg.logger.values() if node]
    callbacks = [instantiate(node) for node in cfg.callbacks.values() if node]
    trainer = made_trainer(cfg.trainer, logger=loggers, callbacks=callbacks)  # which says what does not go together
    with torch.random.fork_rng(devices=[]):
        if decides := cfg.get("recipe") or cfg.get("tuning"):  # it sets the other parts and the length
            seed = images_seed(cfg)
            data = instantiate(cfg.target, pixels=template(cfg.backbone).pixels, seed=seed)
        else:
            data = assembled(cfg).data
        data.setup("fit")
    if not decides and adaptation_of(cfg) is None:  # else a batch is of two data sets, which only the run itself pairs
        run_of(data, trainer, processes=processes)

"""What can be found wrong with a run before its source model is developed, which may take hours."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import is_multi_label
from headstart.modules.heads.classification_head import check_source_classes
from headstart.runs.model_parts.assembly import USUAL, adaptation_of, assembled, images_seed, with_monitor
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.test_sets.run_test_sets import TESTS, TargetFacts, run_test_sets
from headstart.runs.training.loggers.run_loggers import NEEDED, check_packages
from headstart.runs.training.run_plan import run_of
from headstart.runs.training.run_trainer import made_trainer
from headstart.runs.weights.source_model import SOURCE_WEIGHTS, waits_for_source
from headstart.types import Pixels


def check_first(cfg: DictConfig, *, processes: int) -> None:
    """Make what the run will need besides its source model, where that is not there yet, and let go of it again.

    Loggers, callbacks and data that lack a package, files of the target that are not there or cannot be read, and a run
    without a batch to train on are errors now. processes: that share each batch. Raises what making them raises.
    """
    decides = cfg.get("recipe") or cfg.get("tuning")  # it sets other parts and the length, perhaps by trials
    if not waits_for_source(cfg) and not (decides and cfg.get(TESTS)):
        return
    check_packages(cfg)  # making a logger of Comet begins an experiment
    loggers = [instantiate(node) for node in cfg.logger.values() if node and node["_target_"] not in NEEDED]
    callbacks = [instantiate(with_monitor(node, USUAL)) for node in cfg.callbacks.values() if node]
    trainer = made_trainer(cfg.trainer, logger=loggers, callbacks=callbacks)  # which says what does not go together
    with torch.random.fork_rng(devices=[]):
        pixels, seed = template(cfg.backbone).pixels, images_seed(cfg)
        data = instantiate(cfg.target, pixels=pixels, seed=seed) if decides else assembled(cfg).data
        _check_source_head(cfg, pixels, tuple(data.class_names))
        data.setup("fit")
        tested = TargetFacts(cfg.target, tuple(data.class_names), is_multi_label(data), pixels, seed)
        run_test_sets(cfg.get(TESTS), tested, own=lambda: data)
    if not decides and adaptation_of(cfg) is None:  # else a batch is of two data sets, which only the run itself pairs
        run_of(data, trainer, processes=processes)


def _check_source_head(cfg: DictConfig, pixels: Pixels, class_names: tuple[str, ...]) -> None:
    """Raise UserError where the run would go on with the head of a source model, and the source has other classes."""
    if cfg.head.get("init") == "source" and cfg.weights.get("_target_") == SOURCE_WEIGHTS:
        source = instantiate(cfg.source, pixels=pixels, seed=images_seed(cfg))
        check_source_classes(source.class_names, class_names)

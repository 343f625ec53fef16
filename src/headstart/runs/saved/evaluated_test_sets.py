"""Metrics of a finished run's model on named test sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from headstart.callbacks.predictions.named_test_sets import NamedTestSet, described, measured_test_set
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.features.cache.cached_activations import Engine
from headstart.runs.model_parts.assembly import Assembly, drawn, images_seed
from headstart.runs.saved.finished_run import SavedRun
from headstart.runs.test_sets.named_test_table import table_of
from headstart.runs.test_sets.run_test_sets import TESTS, TargetFacts, run_test_sets
from headstart.runs.training.run_trainer import lone_trainer
from headstart.types import UserError


class EvaluatedTestSets(NamedTuple):
    """What named test sets say of a model: metrics, content of a result file, lines for a terminal."""

    metrics: dict[str, float]
    content: dict[str, Any]
    lines: list[str]


def named_sets_of(nodes: Mapping[Any, Any] | None, run: SavedRun, parts: Assembly) -> list[NamedTestSet]:
    """The named test sets of a command for a finished run, set up.

    Args:
        nodes: Name -> settings; those without a `_target_` change the run's target.
        run: The run.
        parts: Its network.

    Raises:
        UserError: A setting, a folder or a class does not fit.
    """
    if nodes and run.regression:
        raise UserError("tests= names test sets with classes, and this run's targets are numbers; try evaluate.data")
    pixels, seed = parts.backbone.pixels, images_seed(run.cfg)

    def own() -> Any:
        return drawn(run.cfg, instantiate(run.cfg.target, pixels=pixels, seed=seed))

    return run_test_sets(nodes, TargetFacts(run.cfg.target, run.class_names, run.several, pixels, seed), own=own)


def evaluated_test_sets(
    sets: list[NamedTestSet], run: SavedRun, parts: Assembly, trainer: DictConfig
) -> EvaluatedTestSets:
    """What the test sets say of the model as it is.

    Args:
        sets: The test sets, set up.
        run: The run.
        parts: Its network, with the weights that are measured.
        trainer: The node that says where to compute.
    """
    if not sets:
        return EvaluatedTestSets({}, {}, [])
    engine = Engine.of(lone_trainer(trainer, precision=run.cfg.trainer.precision))
    module = parts.module.to(engine.device).eval()
    metrics: dict[str, float] = {}
    descriptions: dict[str, Any] = {}
    for test_set in sets:
        with torch.no_grad():
            result = measured_test_set(test_set, module, engine)
        metrics |= result.metrics
        descriptions[test_set.name] = described(test_set, result, module.labels.monitor)
    return EvaluatedTestSets(
        metrics, {TESTS: descriptions}, ["", *table_of(descriptions, metrics, module.labels.monitor)]
    )

"""Contents of a run's result.json: what it computed, its metrics, its data and its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from headstart.backbones.weights.backbone_weights import weights_hash
from headstart.callbacks.checkpoints.best_and_last import BestAndLast
from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.distributed.model_sharding import whole_state
from headstart.modules.classifier import Classifier
from headstart.recipes.recipe_values import CHOSEN, TUNED
from headstart.report.result_digests import KEY as FILES
from headstart.report.result_digests import digests
from headstart.runs.continuing.run_extension import parent_of
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import is_control
from headstart.runs.outcome.labelled_image_count import labelled_images
from headstart.runs.outcome.run_provenance import provenance
from headstart.runs.saved.changed_data import DATA_FILES, files_of_run
from headstart.runs.test_sets.run_test_sets import TESTS
from headstart.runs.training.fit_and_test import FinalMetrics
from headstart.runs.training.prepared_run import PreparedRun
from headstart.runs.training.run_callbacks import RunCallbacks
from headstart.selection.selection import Selection
from headstart.system.result_format import FORMAT, PRUNED
from headstart.types import SPLITS


def run_result(
    cfg: DictConfig,
    about: dict[str, Any],
    *,
    run: PreparedRun,
    callbacks: RunCallbacks,
    trainer: pl.Trainer,
    tested: FinalMetrics,
    setup_s: float,
    forgetting: dict[str, Any] | None,
) -> dict[str, Any]:
    """The content of a run's result.json, but for the checksums of its files.

    Args:
        cfg: The config of the run.
        about: Its study, name, hash and overrides.
        run: What was fitted.
        callbacks: The run's callbacks.
        trainer: The run's trainer.
        tested: Metrics of the tested weights.
        setup_s: Seconds from the beginning of the job to that of fitting.
        forgetting: The source's own test accuracy before and after; None where it was not measured.
    """
    pruned = callbacks.pruning.pruned if callbacks.pruning is not None else None
    return {
        "format": FORMAT,
        **about,
        "state": PRUNED if pruned is not None else callbacks.divergence.state,
        **({} if pruned is None else {"pruned": pruned._asdict()}),
        "divergence": None if callbacks.divergence.first is None else callbacks.divergence.first._asdict(),
        "parent": parent_of(cfg),
        "mode": cfg.mode,
        "seed": cfg.seed,
        "control": is_control(cfg),
        "monitor": run.monitor,
        "selection": _selection(run.selection, callbacks.checkpoint),
        "metrics": tested.final,
        "test_recall_per_class": callbacks.recalls.by_class,
        **({TESTS: callbacks.test_sets.results} if callbacks.test_sets.results else {}),
        "best": tested.best,
        "best_before_training": tested.is_before_training,
        "evaluations": callbacks.timeline.evaluations,
        "peak_learning_rate": callbacks.timeline.peak_learning_rate,
        "start_class_means": callbacks.start.class_means_score,
        "start_images": callbacks.start.used_images,
        **_data_and_model(run, adapts=callbacks.adapts),
        **_cost(callbacks, trainer, setup_s),
        "source": dict(run.weights.facts) or None,
        "forgetting": forgetting,
        **({CHOSEN: OmegaConf.to_container(cfg[CHOSEN])} if cfg.get(CHOSEN) else {}),
        TUNED: OmegaConf.to_container(cfg[TUNED]) if cfg.get(TUNED) else None,
        "weights_hash": weights_hash(whole_state(run.assembly.module)),
        **_files_of(run.assembly.data),
        **provenance(run.assembly.data, trainer.strategy.root_device, _seen_splits(trainer)),
    }


def _files_of(data: object) -> dict[str, Any]:
    known = files_of_run(data)
    return {} if known is None else {DATA_FILES: known}


def _seen_splits(trainer: pl.Trainer) -> tuple[str, ...]:
    """The splits that a run looks at: with trainer.limit_test_batches=0, as a trial has it, no test images."""
    return tuple(split for split in SPLITS if split != "test" or trainer.limit_test_batches != 0)


def _data_and_model(run: PreparedRun, *, adapts: bool) -> dict[str, Any]:
    data = run.assembly.data
    return {
        "trainable": {"parameters": run.share.learning, "of": run.share.of},
        "sizes": data.sizes,
        "labelled_images": labelled_images(data, adapts=adapts),
        "num_classes": data.num_classes,
        "class_names": list(data.class_names),
        "adaptation": _adaptation(run.assembly.module),
        "multi_label": is_multi_label(data),
        **({"regression": True} if is_regression(data) else {}),
    }


def _cost(callbacks: RunCallbacks, trainer: pl.Trainer, setup_s: float) -> dict[str, Any]:
    return {
        "steps": trainer.global_step,
        "examples": callbacks.timeline.examples,
        "setup_s": setup_s,
        "wall_s": callbacks.timeline.wall_s,
        "processes": trainer.world_size,
        "peak_memory_mib": callbacks.throughput.peak_memory_mib(),
        "phases": callbacks.throughput.phases(),
    }


def _selection(selection: Selection | None, checkpoint: BestAndLast | None) -> dict[str, str] | None:
    """What the best checkpoint follows in place of the monitored metric; mode=last: the newest one."""
    if selection is not None:
        return {"metric": selection.metric, "mode": selection.mode}
    is_last = checkpoint is not None and checkpoint.mode == "last"
    return {"metric": str(checkpoint.monitor), "mode": "last"} if checkpoint and is_last else None


def _adaptation(module: Classifier) -> dict[str, str] | None:
    """The adaptation method, and whose images are in training, val and the selection; None without one."""
    method = module.adaptation
    return (
        None
        if method is None
        else {
            "class": type(method).__name__,
            "option": method.option,
            "main": method.main,
        }
    )


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write result.json, with the checksums of the run's files."""
    result[FILES] = digests(folder)
    write_json(folder / RESULT, result)

"""Fitting of a prepared run, and the one test of its best weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from headstart.callbacks.checkpoints.best_and_last import BEST, VALIDATION
from headstart.callbacks.domains.oracle_accuracy import FIGURE as ORACLE
from headstart.distributed.model_sharding import load_whole, whole_state
from headstart.distributed.rank_agreement import wait_for_all
from headstart.modules.compilation import compile_in_place
from headstart.modules.gradient_checkpointing import checkpoint_in_place
from headstart.runs.continuing.run_extension import EXTENDED, told
from headstart.runs.folder.run_folder import CHECKPOINTS
from headstart.runs.outcome.split_metrics import split_metrics
from headstart.runs.training.missing_validation import NOTE
from headstart.runs.training.prepared_run import PreparedRun
from headstart.runs.training.run_callbacks import RunCallbacks
from headstart.runs.training.run_plan import log_plan, run_plan
from headstart.runs.training.run_trainer import made_trainer
from headstart.system import rank_environment, stop_signals
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError

log = logging.getLogger(__name__)


class FinalMetrics(NamedTuple):
    """Metrics of the weights that were tested.

    Attributes:
        final: Metrics of val (of train in a run without val) and of test.
        best: {epoch, step, metrics} of best.ckpt; empty where there is none.
    """

    final: dict[str, float]
    best: dict[str, float]

    @property
    def is_before_training(self) -> bool:
        """Whether the best weights are those of step 0."""
        return bool(self.best) and self.best["step"] == 0


def run_trainer(
    cfg: DictConfig, folder: Path, run: PreparedRun, callbacks: RunCallbacks, loggers: list[Logger]
) -> pl.Trainer:
    """The trainer of a run; rank 0 logs what the run will do.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        run: What is fitted.
        callbacks: The run's callbacks.
        loggers: The run's loggers.
    """
    trainer = made_trainer(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=loggers,
        profiler=callbacks.profiler,
        callbacks=callbacks.ordered,
    )
    if not run.validates:
        trainer.limit_val_batches = 0  # Lightning asks for no loader of val then
    if rank_environment.rank() == 0:
        _announce(cfg, run, trainer, loggers)
    if recomputed := cfg.get("gradient_checkpointing"):  # after the plan, which runs each layer once
        if cfg.get("compile"):
            raise UserError("compile=true and gradient_checkpointing do not go together; leave one of them out")
        checkpoint_in_place(dict(run.assembly.backbone.stages.items()), among=recomputed)
    if cfg.get("compile"):  # after the plan, which counts what each layer does
        compile_in_place(run.assembly.module.stages)
    return trainer


def _announce(cfg: DictConfig, run: PreparedRun, trainer: pl.Trainer, loggers: list[Logger]) -> None:
    """Log what the run will do, and its plan."""
    if not run.validates:
        log.info("%s", NOTE)
    if cfg.get(EXTENDED):
        log.info("%s", told(cfg))
    if run.assembly.adapted:
        log.info("%s", run.assembly.adapted)
    log.info("%s", run.share)
    plan = run_plan(run.assembly, trainer, processes=trainer.num_devices * trainer.num_nodes)
    log_plan(plan, [] if run.resumed else loggers)


def fit_and_test(folder: Path, run: PreparedRun, callbacks: RunCallbacks, trainer: pl.Trainer) -> FinalMetrics:
    """Fit the run, then test its best weights once; the module has these weights afterwards.

    A run that a search has stopped is not tested, and the module has its last weights.

    Args:
        folder: The run's folder.
        run: What is fitted.
        callbacks: The run's callbacks, which are the trainer's.
        trainer: The run's trainer.
    """
    module, data, checkpoint = run.assembly.module, run.assembly.data, callbacks.checkpoint
    trainer.fit(module, datamodule=data, ckpt_path=run.resumed)
    stop_signals.check()  # a signal in the last step
    splits = VALIDATION if run.validates else ("train",)
    last = split_metrics(trainer.callback_metrics, *splits)  # the test clears them
    best = dict(checkpoint.best) if checkpoint else {}
    if callbacks.pruning is not None and callbacks.pruning.pruned is not None:
        wait_for_all()
        return FinalMetrics(split_metrics(best, *splits) or last, best)  # test is read once, of runs that count
    wait_for_all()  # rank 0 gives a checkpoint its name after Lightning's own waiting
    if best:  # only the weights: as ckpt_path, trainer.test would turn the callbacks back to that epoch too
        load_whole(module, loaded(folder / CHECKPOINTS / BEST, mmap=True)["state_dict"])
    callbacks.answers.tested_step = int(best["step"]) if best else trainer.global_step
    trainer.test(module, datamodule=data, verbose=False)
    if best and checkpoint and callbacks.finalize.changed:  # best.ckpt has the weights that were tested
        state: dict[str, Any] = whole_state(module)
        if trainer.is_global_zero:
            checkpoint.replace_weights(state)
    final = (split_metrics(best, *splits) or last) | split_metrics(trainer.callback_metrics, "test")
    if callbacks.oracle:
        final[ORACLE] = callbacks.oracle.best
    return FinalMetrics(final, best)

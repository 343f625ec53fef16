"""Training of one run: prepare, fit, test, write the result."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from headstart.callbacks.checkpoints.best_and_last import PREVIOUS
from headstart.callbacks.loggers.logger_display import show_summary
from headstart.callbacks.timing.bottleneck_advice import line
from headstart.callbacks.training.memory_reuse import return_freed_memory
from headstart.distributed.model_sharding import whole_state
from headstart.distributed.rank_agreement import wait_for_all
from headstart.runs.folder.run_folder import CHECKPOINTS
from headstart.runs.outcome.run_levels import run_levels
from headstart.runs.quiet_logs import quieten
from headstart.runs.test_sets.named_test_table import named_test_lines
from headstart.runs.training.fit_and_test import fit_and_test, run_trainer
from headstart.runs.training.fitting_batch import with_fitting_batch
from headstart.runs.training.loggers.logger_closing import ended_with_run
from headstart.runs.training.loggers.run_loggers import begin_loggers, made_loggers, run_names
from headstart.runs.training.loggers.tensorboard_layout import write_layout
from headstart.runs.training.prepared_run import prepared_run
from headstart.runs.training.result_contents import run_result, write_result
from headstart.runs.training.run_callbacks import RunCallbacks, run_callbacks
from headstart.runs.training.source_forgetting import AFTER, BEFORE, measures_forgetting, source_forgetting

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path, *, about: dict[str, Any]) -> dict[str, Any]:
    """Train on cfg.target from step 0, test the best weights once -> the content of the folder's result.json.

    With resume=auto an unfinished run in the folder continues from its last checkpoint, and ends as it would have.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        about: What the result says of the run besides: study, name, hash and overrides.
    """
    cfg = with_fitting_batch(cfg, folder)
    begun: list[Logger] = []
    with ended_with_run(begun):
        return _trained(cfg, folder, about, begun)


def _trained(cfg: DictConfig, folder: Path, about: dict[str, Any], begun: list[Logger]) -> dict[str, Any]:
    """What train() returns; begun: gets the loggers when they are made."""
    began = time.perf_counter()
    quieten()
    run = prepared_run(cfg, folder, run_hash=about["hash"])
    callbacks = run_callbacks(cfg, folder, run, run_hash=about["hash"])
    names = run_names(cfg, folder, about)
    loggers = made_loggers(cfg, folder, names, goes_on=run.resumed is not None)
    begun += loggers
    begin_loggers(cfg, folder, loggers, names)
    trainer = run_trainer(cfg, folder, run, callbacks, loggers)
    setup_s = round(time.perf_counter() - began, 4)

    if run.resumed is None and trainer.is_global_zero:
        write_layout(loggers, run.monitor, adapts=callbacks.adapts)
    tested = fit_and_test(folder, run, callbacks, trainer)

    forgetting = None
    if measures_forgetting(cfg):
        forgetting = source_forgetting(cfg, run, whole_state(run.assembly.module), trainer)
        source_metrics = {BEFORE: forgetting["before"], AFTER: forgetting["after"]}
        tested.final.update(source_metrics)
        for logger in loggers:
            logger.log_metrics(source_metrics, step=trainer.global_step)
    result = run_result(
        cfg, about, run=run, callbacks=callbacks, trainer=trainer, tested=tested, setup_s=setup_s,
        forgetting=forgetting,
    )  # fmt: skip
    final = {f"final/{name}": value for name, value in (run_levels(folder, result) | tested.final).items()}
    show_summary(loggers, names.settings, final, trainer.global_step)
    for logger in loggers:
        logger.finalize("success")
    if trainer.is_global_zero:
        log.info("%s: %s", folder.name, _summary(result, callbacks, trainer))
        for row in named_test_lines(result):
            log.info("%s", row)
        write_result(folder, result)
        (folder / CHECKPOINTS / PREVIOUS).unlink(missing_ok=True)  # only a run that continues may need it
    wait_for_all()  # or another rank would look for the result too early
    return_freed_memory()
    return result


def _summary(result: dict[str, Any], callbacks: RunCallbacks, trainer: pl.Trainer) -> str:
    """One line on what the run took, and what would make it faster."""
    data = "" if result["study"] == "source" else "target"  # the config group that a hint names
    around = callbacks.throughput.circumstances(trainer, data=data)
    untrained = "; the best on val was before training (step 0)" if result["best_before_training"] else ""
    return f"{line(result['phases'], result['peak_memory_mib'], around)}{untrained}"

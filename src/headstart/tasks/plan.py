"""The task `plan`: what the same command would do without task=plan, printed before anything is trained."""

from __future__ import annotations

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from headstart.callbacks.training.time_budget import TimeBudget
from headstart.recipes.recipe_values import with_recipes
from headstart.runs.assembly import assembled
from headstart.runs.quiet_logs import quieten
from headstart.runs.training.missing_validation import NOTE, check_without_validation, has_no_val
from headstart.runs.training.run_plan import asked_processes, run_plan
from headstart.runs.weights.control_weights import check_control
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.unfreeze.unfreezing_plan import Plan

# what a trainer must know to say how long a run is; where and how fast it computes does not matter
LENGTH = (
    "max_epochs", "max_steps", "fast_dev_run", "overfit_batches", "limit_train_batches", "limit_val_batches",
    "accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval",
)  # fmt: skip


def plan(*, cfg: DictConfig) -> Plan:
    """Print the plan of the run that the same command without task=plan would be, and give it.

    Nothing is trained, no source model either, and nothing is written. Raises UserError where the schedule names
    what the model lacks.
    """
    quieten()
    check_without_validation(cfg)
    cfg = with_recipes(with_weights_preprocessing(cfg, fetch=False), processes=asked_processes(cfg.trainer))
    check_control(cfg)
    parts = assembled(cfg)
    parts.data.setup("fit")
    unfreezing = run_plan(parts, _lone_trainer(cfg.trainer), processes=asked_processes(cfg.trainer))
    if parts.adapted:
        print(parts.adapted, end="\n\n")
    if has_no_val(parts.data):
        print(NOTE, end="\n\n")
    print(unfreezing)
    return unfreezing


def _lone_trainer(node: DictConfig) -> pl.Trainer:
    """A trainer of the same length, for which no other device, no process group and no logger is needed."""
    settings = OmegaConf.to_container(node, resolve=True)
    assert isinstance(settings, dict)
    return pl.Trainer(
        **{key: settings[key] for key in LENGTH if key in settings},
        callbacks=[TimeBudget(settings["max_time"])] if settings.get("max_time") is not None else [],
        accelerator="cpu", devices=1, logger=False, barebones=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip

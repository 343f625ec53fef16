"""What Lightning has gathered of the metrics that an epoch logs: read for a checkpoint, and put back."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

# of Lightning's _Metadata and _ResultMetric
SETTINGS = (
    "fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "add_dataloader_idx", "metric_attribute",
)  # fmt: skip
STATE = ("value", "cumulated_batch_size")


def logged_metrics(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """The metrics that this epoch has logged: how each was logged (`how`), and what was gathered (`state`).

    Relies on: the epoch loop's `_results`, a mapping to `_ResultMetric` with `has_reset`, `is_tensor`, `value`,
    `cumulated_batch_size`, `_forward_cache` and `meta`; `meta` has the fields SETTINGS, `reduce_fx`, and `sync` with
    `should` and `rank_zero_only`.
    """
    logged = {}
    for key, result in trainer.fit_loop.epoch_loop._results.items():
        if result.has_reset:
            continue
        how = {name: getattr(result.meta, name) for name in SETTINGS} | {"reduce_fx": result.meta.reduce_fx.__name__}
        how |= {"sync_dist": result.meta.sync.should, "rank_zero_only": result.meta.sync.rank_zero_only}
        state = {name: getattr(result, name) for name in STATE if result.is_tensor and hasattr(result, name)}
        logged[key] = {"how": how, "state": state | {"_forward_cache": result._forward_cache}}
    return logged


def restore_logged_metrics(trainer: Trainer, module: LightningModule, logged: dict[str, dict[str, Any]]) -> None:
    """Log the same metrics again in the same way, and put what was gathered into them.

    Relies on: what `logged_metrics` relies on; `_results.log(**how, value=..., sync_dist_fn=...)`; and
    `trainer._logger_connector._first_loop_iter`, by which Lightning knows that it is inside of an epoch, and does not
    begin all means anew.

    Args:
        trainer: A trainer at the beginning of fit.
        module: The module that logs.
        logged: As `logged_metrics` gave it.
    """
    results = trainer.fit_loop.epoch_loop._results
    for key, metric in logged.items():
        how = metric["how"] | {"reduce_fx": getattr(torch, metric["how"]["reduce_fx"])}
        attribute = how["metric_attribute"]
        value: Any = module.get_submodule(attribute) if attribute else torch.zeros((), device=module.device)
        results.log(value=value, sync_dist_fn=trainer.strategy.reduce, **how)
        for name, part in metric["state"].items():
            setattr(results[key], name, part if part is None else part.to(module.device))
    if logged:
        trainer._logger_connector._first_loop_iter = True

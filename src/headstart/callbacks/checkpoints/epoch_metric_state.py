"""What has the epoch measured so far?"""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torchmetrics import Metric, MetricCollection

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank, of_this_rank

# of Lightning's private _Metadata and _ResultMetric
HOW = (
    "fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "add_dataloader_idx", "metric_attribute",
)  # fmt: skip
STATE = ("value", "cumulated_batch_size")


class SoFar(Callback):
    """Keeps in checkpoints what each rank's metrics have gathered, so that a resumed epoch's figures are of all of it.

    They are the states of the module's torchmetrics, the running means of the numbers that were logged, and the
    figures that schedulers and callbacks may ask for (trainer.callback_metrics). Lightning keeps none of them.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            own = {
                "metrics": _metric_states(pl_module),
                "logged": _logged(trainer),
                "figures": dict(trainer.callback_metrics),
            }
            checkpoint["so_far"] = of_each_rank(_on_cpu(own))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if "so_far" in checkpoint:
            self._loaded = of_this_rank(checkpoint["so_far"], trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loaded:
            _set_metric_states(pl_module, self._loaded["metrics"])
            trainer.callback_metrics.update(self._loaded["figures"])
            _set_logged(trainer, pl_module, self._loaded["logged"])
            self._loaded = {}


def _metric_states(module: LightningModule) -> dict[str, dict[str, Any]]:
    """The states of all metrics that have seen something, by their name in the module."""
    for collection in module.modules():
        if isinstance(collection, MetricCollection):
            collection.values()  # metrics that share a state have it only after they are asked for
    return {
        name: {"updates": metric.update_count, **metric.metric_state}
        for name, metric in module.named_modules()
        if isinstance(metric, Metric) and metric.update_count
    }


def _set_metric_states(module: LightningModule, states: dict[str, dict[str, Any]]) -> None:
    metrics = dict(module.named_modules())
    for name, state in states.items():
        metric = metrics[name]
        assert isinstance(metric, Metric)
        for attribute in metric.metric_state:
            value = state[attribute]
            own = [part.to(metric.device) for part in value] if isinstance(value, list) else value.to(metric.device)
            setattr(metric, attribute, own)
        metric._update_count, metric._computed = state["updates"], None


def _logged(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """What Lightning holds of the figures that this epoch has logged, and how they were logged."""
    results = trainer.fit_loop.epoch_loop._results
    kept = {}
    for key, result in results.items():
        if not result.has_reset:
            how = {name: getattr(result.meta, name) for name in HOW} | {"reduce_fx": result.meta.reduce_fx.__name__}
            how |= {"sync_dist": result.meta.sync.should, "rank_zero_only": result.meta.sync.rank_zero_only}
            state = {name: getattr(result, name) for name in STATE if hasattr(result, name) and result.is_tensor}
            kept[key] = {"how": how, "state": state | {"_forward_cache": result._forward_cache}}
    return kept


def _set_logged(trainer: Trainer, module: LightningModule, logged: dict[str, dict[str, Any]]) -> None:
    """Log the same again in the same way, and put what was gathered into it."""
    results = trainer.fit_loop.epoch_loop._results
    for key, kept in logged.items():
        how = kept["how"] | {"reduce_fx": getattr(torch, kept["how"]["reduce_fx"])}
        metric = how["metric_attribute"]
        value: Any = module.get_submodule(metric) if metric else torch.zeros((), device=module.device)
        results.log(value=value, sync_dist_fn=trainer.strategy.reduce, **how)
        for name, part in kept["state"].items():
            setattr(results[key], name, part if part is None else part.to(module.device))
    if logged:  # or Lightning would take the next batch for the epoch's first one, and begin all means anew
        trainer._logger_connector._first_loop_iter = True


def _on_cpu(value: Any) -> Any:
    """The same on the CPU, not changed by what follows."""
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_cpu(item) for item in value]
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value

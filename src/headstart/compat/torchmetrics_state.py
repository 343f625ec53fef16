"""The states of a module's torchmetrics: read for a checkpoint, and put back."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchmetrics import Metric, MetricCollection


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """The states of all metrics that have been updated, by their name in the module; `updates`: how often each was.

    Relies on: `MetricCollection.values()` gives metrics that share a state that state (they have it only after they
    are asked for); the public `update_count` and `metric_state`.
    """
    for collection in module.modules():
        if isinstance(collection, MetricCollection):
            collection.values()
    return {
        name: {"updates": metric.update_count, **metric.metric_state}
        for name, metric in module.named_modules()
        if isinstance(metric, Metric) and metric.update_count
    }


def restore_metric_states(module: nn.Module, states: dict[str, dict[str, Any]]) -> None:
    """Put states back into the metrics of the same names.

    Relies on: states are attributes of the metric; `_update_count` is what `update_count` reads, and `_computed` is the
    value that `compute` would otherwise give again.

    Args:
        module: The module that has the metrics.
        states: As `metric_states` gave them.
    """
    metrics = dict(module.named_modules())
    for name, state in states.items():
        metric = metrics[name]
        assert isinstance(metric, Metric)
        for attribute in metric.metric_state:
            value = state[attribute]
            on_device = (
                [part.to(metric.device) for part in value] if isinstance(value, list) else value.to(metric.device)
            )
            setattr(metric, attribute, on_device)
        metric._update_count, metric._computed = state["updates"], None

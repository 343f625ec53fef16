"""Direction of a metric: whether a higher or a lower value is better, and whether it is a share of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

LOWER = ("loss", "error", "perplexity")  # words in the names of metrics of which less is better
LOWER_NAMES = ("mae", "mse", "rmse")
SHARES = ("accuracy", "f1", "precision", "recall")
SHARE_NAMES = ("map", "auroc")
UNIT_FREE = ("r2", "cohen_kappa", "matthews")
PLATEAU_SCHEDULER = ".ReduceLROnPlateau"


def lower_is_better(metric: str) -> bool:
    """Whether a metric is a loss or an error by its name: val/loss, val/calibration_error, test/mae."""
    name = metric.rsplit("/", 1)[-1]
    return name in LOWER_NAMES or any(word in name for word in LOWER)


def is_share(metric: str) -> bool:
    """Whether a metric is a share of the images (accuracy, F1, ...), so that one image is worth about 1/n."""
    name = metric.rsplit("/", 1)[-1]
    return name in SHARE_NAMES or any(word in name for word in SHARES)


def is_unit_free(metric: str) -> bool:
    """Whether a difference of a metric means the same on all data: a share, or a number that is 1 at best."""
    return is_share(metric) or metric.rsplit("/", 1)[-1] in UNIT_FREE


def best_mode(metric: str | None) -> Literal["max", "min"]:
    """`min` where less of a metric is better, else `max`; None, a module's own that is not named yet, is `max`."""
    return "min" if metric is not None and lower_is_better(metric) else "max"


def with_modes(config: Any, scheduler_monitor: str = "val/loss") -> Any:
    """A plain config in which each null `mode` beside a `monitor` is the direction of that metric.

    Args:
        config: Plain mappings, lists and values.
        scheduler_monitor: The metric that ReduceLROnPlateau, whose node names none, waits for.
    """
    if isinstance(config, list):
        return [with_modes(child, scheduler_monitor) for child in config]
    if not isinstance(config, Mapping):
        return config
    filled = {key: with_modes(child, scheduler_monitor) for key, child in config.items()}
    if "mode" in filled and filled["mode"] is None:
        if "monitor" in filled:
            filled["mode"] = best_mode(filled["monitor"])
        elif str(filled.get("_target_", "")).endswith(PLATEAU_SCHEDULER):
            filled["mode"] = best_mode(scheduler_monitor)
    return filled

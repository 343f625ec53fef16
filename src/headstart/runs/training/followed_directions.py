"""Settings that follow a metric against its own direction, so that the worst is taken for the best."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from headstart.system import rank_environment
from headstart.system.metric_direction import PLATEAU_SCHEDULER, best_mode

log = logging.getLogger(__name__)
FOLLOWING = ("callbacks", "unfreeze", "scheduler")  # groups whose parts follow a metric


def warn_of_wrong_directions(cfg: DictConfig, monitor: str) -> None:
    """Log a warning for each `mode` that is the opposite of its metric's direction.

    Args:
        cfg: The config of a run.
        monitor: The metric of a part that names none.
    """
    if rank_environment.rank() > 0:
        return
    scheduler_monitor = (cfg.get("module") or {}).get("scheduler_monitor") or "val/loss"
    for group in FOLLOWING:
        node = cfg.get(group)
        plain = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else None
        for key, metric, mode in _followed(plain, group, monitor, scheduler_monitor):
            if mode != best_mode(metric):
                better = "less" if best_mode(metric) == "min" else "more"
                log.warning(
                    "%s=%s takes the worst %s for the best, as %s of it is better; leave it null, or say %s",
                    key, mode, metric, better, best_mode(metric),
                )  # fmt: skip


def _followed(node: Any, place: str, monitor: str, scheduler_monitor: str) -> Iterator[tuple[str, str, str]]:
    """The key, the metric and the mode of each part that says max or min."""
    if isinstance(node, list):
        node = {str(at): part for at, part in enumerate(node)}
    if not isinstance(node, dict):
        return
    mode = node.get("mode")
    if mode in ("max", "min"):
        if "monitor" in node:
            yield f"{place}.mode", str(node["monitor"] or monitor), mode
        elif str(node.get("_target_", "")).endswith(PLATEAU_SCHEDULER):
            yield f"{place}.mode", scheduler_monitor, mode
    for key, part in node.items():
        yield from _followed(part, f"{place}.{key}", monitor, scheduler_monitor)

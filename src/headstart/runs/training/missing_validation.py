"""A run without validation images: which settings need some, and what is said of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.model_parts.assembly import USUAL, adaptation_of, built, regularizer_of, with_monitor
from headstart.types import UserError

NOTE = (
    "0 val images: no validation, the run has its fixed length and its last checkpoint counts; "
    "an adaptive sweeper gets nan"
)
ENOUGH = "leave target.val_shots (or val_per_class) above 0"


def asks_for_no_val(data: DictConfig | None) -> bool:
    """Whether the settings of a data set say that it has no validation images."""
    return data is not None and (data.get("val_shots") == 0 or data.get("val_per_class") == 0)


def has_no_val(data: Any) -> bool:
    """Whether data that are set up have no validation images; data that do not say have some."""
    return bool(data.sizes.get("val", 1) == 0)


def check_chooses_on_val(cfg: DictConfig, task: str) -> None:
    """Raise UserError where the target has no validation images, on which the task chooses."""
    if asks_for_no_val(cfg.target):
        raise UserError(f"task={task} chooses on val images, and the target is to have none; {ENOUGH}")


def check_split(data: Any, split: str, setting: str) -> None:
    """Raise UserError where a split that a setting names has no image."""
    if data.sizes.get(split, 1) == 0:
        sizes = ", ".join(f"{count:,} {name}" for name, count in data.sizes.items())
        raise UserError(
            f"{setting} needs images of {split}, and these data have none ({sizes}); try one of "
            f"{', '.join(name for name, count in data.sizes.items() if count)}"
        )


def check_without_validation(cfg: DictConfig) -> None:
    """Raise UserError where settings ask for no validation images beside settings that need some.

    To be asked before a source model is trained.
    """
    if asks_for_no_val(cfg.target):
        check_needs_no_val(cfg)
    method = adaptation_of(cfg)
    if asks_for_no_val(cfg.get("source")) and method is not None and method.main != "target":
        raise UserError(
            f"adaptation {method.option} validates on the source's val images, and the source is to have none; "
            "leave source.val_shots (or val_per_class) above 0"
        )


def check_needs_no_val(cfg: DictConfig) -> None:
    """Raise UserError that names the first setting which needs validation images, where the run has none."""
    need = next(_needs(cfg), None)
    if need is not None:
        setting, instead = need
        raise UserError(f"{setting} needs val images, and the run has none; {instead}, or {ENOUGH}")


def _needs(cfg: DictConfig) -> Iterator[tuple[str, str]]:
    """Each setting that needs validation images, and what to do without them."""
    method = adaptation_of(cfg)
    if method is not None and method.main != "target":
        yield f"adaptation {method.option}", "try adaptation=null"
    if cfg.get("tuning"):
        yield "tuning", "leave it out"
    if str((cfg.get("recipe") or {}).get("_target_", "")).endswith(".vtab1k"):
        yield "recipe=vtab1k, which chooses by them,", "try recipe=null"
    if cfg.trainable == "schedule" and (phase := _plateau(cfg)):
        yield f"the phase {phase} of unfreeze, which ends at a plateau,", "try unfreeze=gradual or unfreeze=steps"
    if _is_plateau(cfg.scheduler) and str(cfg.module.get("scheduler_monitor", "val/loss")).startswith("val/"):
        yield (
            f"scheduler=plateau (module.scheduler_monitor={cfg.module.get('scheduler_monitor')})",
            "try scheduler=cosine",
        )
    regularizer = regularizer_of(cfg)
    if regularizer is not None and regularizer.needs_validation:
        yield "this regularizer", "try regularizer.relationship=direct or regularizer=l2_sp"
    for name, node in (cfg.get("callbacks") or {}).items():
        if not isinstance(node, DictConfig):
            continue
        if name == "explain" and node.get("split") == "val":
            yield "callbacks.explain.split=val", "try callbacks.explain.split=train"
        if name != "progress" and "monitor" in node:
            monitor = node.monitor
            if (monitor is None and name != "checkpoint") or str(monitor).startswith("val/"):
                yield f"callbacks.{name}.monitor={'null' if monitor is None else monitor}", _without_callback(name)


def _without_callback(name: Any) -> str:
    return f"try callbacks.{name}.monitor=null" if name == "checkpoint" else f"leave callbacks.{name} out"


def _plateau(cfg: DictConfig) -> str:
    """The title of the first phase that waits for a figure; empty where none does."""
    with torch.random.fork_rng(devices=[]):
        names = (*built(cfg).backbone.names, "head")
    schedule = instantiate(with_monitor(cfg.unfreeze, USUAL), _convert_="all")
    return next((phase.title for phase in schedule.phases(names) if phase.until is not None), "")


def _is_plateau(node: Any) -> bool:
    """Whether a scheduler, or one of several that it is made of, waits for a figure."""
    if isinstance(node, DictConfig):
        return str(node.get("_target_", "")).endswith(".ReduceLROnPlateau") or any(map(_is_plateau, node.values()))
    return isinstance(node, ListConfig) and any(map(_is_plateau, node))

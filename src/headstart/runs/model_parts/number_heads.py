"""The head of a run whose targets are classes or numbers, and settings that numbers do not go with."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import is_regression
from headstart.modules.heads.number_head import NumberHead
from headstart.types import UserError


def with_units(head: Any, outputs: int, numbers: bool) -> Any:
    """The head of a run, of numbers with their units around it.

    Args:
        head: Features to outputs.
        outputs: The classes, or the columns of numbers.
        numbers: Whether the targets are numbers.
    """
    return NumberHead(head=head, num_targets=outputs) if numbers else head


def check_numbers(cfg: DictConfig, data: Any) -> None:
    """Raise UserError where settings are of classes, and the targets of the data are numbers."""
    if not is_regression(data):
        return
    regularizer = instantiate(cfg.regularizer) if cfg.get("regularizer") else None
    weights = str((cfg.get("weights") or {}).get("_target_", ""))
    callbacks = (cfg.get("callbacks") or {}).values()
    refused = {
        "adaptation (and mode=multi_task)": cfg.get("adaptation"),
        "tests": cfg.get("tests"),
        "mix@module.mix": cfg.module.get("mix"),
        "module.class_weights": cfg.module.get("class_weights"),
        "module.label_smoothing": cfg.module.get("label_smoothing"),
        "head.init=source": cfg.get("reuse") and cfg.head.get("init") == "source",
        "weights=target (and mode=BnB)": cfg.get("reuse") and weights.endswith(".target_weights"),
        "this regularizer": regularizer is not None and regularizer.needs_labels,
        "callbacks=explain": any("layer_pictures" in str((node or {}).get("_target_")) for node in callbacks),
        "recipe=vtab1k": cfg.get("recipe") and str(cfg.recipe.get("_target_", "")).endswith("vtab1k"),
    }
    for setting, chosen in refused.items():
        if chosen:
            raise UserError(
                f"{setting} is made for classes, and the target has numbers (target.target_column); leave it out"
            )
    precision = str(cfg.get("trainer", {}).get("precision", ""))
    if precision in ("16-true", "bf16-true"):
        raise UserError(
            f"numbers as targets need their units in float32, got trainer.precision={precision}; try "
            f"trainer.precision={precision.replace('true', 'mixed')}"
        )

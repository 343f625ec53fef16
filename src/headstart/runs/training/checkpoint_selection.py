"""Selection of the best checkpoint where the labels of the target are not available."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from headstart.callbacks.domains.oracle_accuracy import FIGURE
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.model_parts.assembly import adaptation_of
from headstart.selection.dev import DEV
from headstart.selection.entropy import Entropy
from headstart.selection.infomax import InfoMax
from headstart.selection.iwcv import IWCV
from headstart.selection.selection import Score, Selection
from headstart.selection.snd import SND
from headstart.types import UserError

SCORES: tuple[type[Score], ...] = (Entropy, InfoMax, SND, IWCV, DEV)
ORACLE = FIGURE.partition("/")[0] + "/"


def selection_of(cfg: DictConfig) -> Selection | None:
    """What the best checkpoint follows, None = the module's figure. Raises UserError as check_selection does."""
    check_selection(cfg)
    return instantiate(cfg.selection) if cfg.get("selection") else None


def scores(chosen: Selection | None, *, sees_source: bool) -> list[Score]:
    """All that a run logs: each with its usual settings, but the chosen one as it is.

    sees_source: whether its training images are the source's; else what weighs them is left out.
    """
    own = [chosen] if isinstance(chosen, Score) else []
    others = [kind() for kind in SCORES if not isinstance(chosen, kind) and (sees_source or not kind.weighs)]
    return [*others, *own]


def adapts_to_target(cfg: DictConfig) -> bool:
    """Whether the run learns for a target without labels."""
    method = adaptation_of(cfg)
    return method is not None and method.main != "target"


def check_selection(cfg: DictConfig) -> None:
    """Raise UserError where a selection or the oracle has no target without labels, or something follows the oracle."""
    for key, figure in _monitors(OmegaConf.to_container(cfg, resolve=False), ""):
        if figure.startswith(ORACLE):
            raise UserError(
                f"nothing may follow the target's test labels, got {key}={figure}; it is to be looked at, not to be "
                "chosen by; try selection=infomax, or a figure of val"
            )
    method = adaptation_of(cfg)
    adapts = method is not None and method.main != "target"
    if cfg.get("oracle") and not adapts:
        raise UserError(
            "oracle=true is for a target whose labels are out of reach, and this run learns from them; add "
            "adaptation=dann, or adaptation=source_only, or leave oracle=false"
        )
    if not cfg.get("selection"):
        return
    if not adapts:
        raise UserError(
            "selection is for a target whose labels are out of reach, and this run learns from them and validates on "
            "them; add adaptation=dann, or adaptation=source_only, or leave selection=null"
        )
    chosen: Selection = instantiate(cfg.selection)
    if isinstance(chosen, Score) and chosen.weighs and method is not None and method.main == "unlabelled":
        raise UserError(
            f"{chosen.metric} weighs training images of the source, and this adaptation goes on without them; "
            "try selection=infomax"
        )
    checkpoint = cfg.callbacks.get("checkpoint")
    if not checkpoint:
        raise UserError("selection chooses the best checkpoint, and callbacks.checkpoint is left out")
    if checkpoint.get("monitor") is not None:
        raise UserError(
            f"the best checkpoint follows one figure, got callbacks.checkpoint.monitor={checkpoint.monitor} beside a "
            "selection; leave one of them null"
        )


def _monitors(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each setting whose name ends in `monitor`, with its value."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if str(key).endswith("monitor") and isinstance(value, str):
            yield f"{place}{key}", value
        yield from _monitors(value, f"{place}{key}.")

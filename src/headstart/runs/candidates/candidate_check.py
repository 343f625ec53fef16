"""Check of candidates before the first one is computed: their parts can be made, their weights can be had."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from headstart.backbones.weights.backbone_weights import Weights
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.folder.run_naming import is_control
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.weights.source_model import SOURCE_WEIGHTS, TARGET_WEIGHTS, source_recipe
from headstart.runs.weights.starting_weights import weights_of
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.types import UserError

log = logging.getLogger(__name__)


def available(candidates: Sequence[SourceCandidate], *, skip: bool) -> tuple[list[SourceCandidate], dict[str, str]]:
    """The candidates that can be computed, and by its text why another one cannot.

    Weights of a library are downloaded now where they are not here; a source model is not developed yet.

    Args:
        candidates: Each composed.
        skip: Whether a candidate whose weights cannot be had is left out.

    Raises:
        UserError: A candidate's part cannot be made; skip is not set, and its weights cannot be had; or none is left.
    """
    usable, reasons = [], {}
    for candidate in candidates:
        try:
            check_parts(candidate)
        except (UserError, InstantiationException, TypeError, ValueError) as error:
            raise _named(candidate, error) from error
        try:
            _check_weights(candidate.cfg)
        except UserError as error:
            if not skip:
                raise _named(candidate, error) from error
            reasons[candidate.text] = str(error)
            log.warning("left out: %s", _named(candidate, error))
        else:
            usable.append(candidate)
    if not usable:
        raise UserError("the weights of no candidate can be had: " + "; ".join(reasons.values()))
    return usable, reasons


def check_parts(candidate: SourceCandidate) -> None:
    """Make a candidate's backbone and its source data, which read no image.

    Args:
        candidate: Composed.

    Raises:
        UserError: A value is missing, or names what is not there.
    """
    cfg = candidate.cfg
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        raise UserError(f"{missing[0]} is needed; add {missing[0]}=... to the candidate")
    backbone = template(cfg.backbone)
    if is_control(cfg) or not _is_developed(cfg):
        return
    source_recipe(cfg)
    if str(cfg.weights["_target_"]) == SOURCE_WEIGHTS:
        instantiate(cfg.source, pixels=backbone.pixels, seed=int(cfg.weights.seed))


def _is_developed(cfg: DictConfig) -> bool:
    return str((cfg.get("weights") or {}).get("_target_")) in (SOURCE_WEIGHTS, TARGET_WEIGHTS)


def _check_weights(cfg: DictConfig) -> None:
    """Raise UserError where the weights of a library or a file are not here and cannot be fetched."""
    if is_control(cfg) or _is_developed(cfg):
        return
    with torch.random.fork_rng(devices=[]):
        found: Weights = weights_of(with_weights_preprocessing(cfg))
    if not found.backbone:
        raise UserError("its weights give the backbone nothing; try weights=source, file or pretrained")


def _named(candidate: SourceCandidate, error: BaseException) -> UserError:
    return UserError(f"candidate {candidate.text!r}: {error}")

"""A config whose run is shorter, with everything in it that counts epochs or optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.modules.optimization.schedulers import LENGTHS
from headstart.types import UserError
from headstart.unfreeze.schedules.shortened_phases import shorter

COUNTED = {*LENGTHS, "epochs", "step_size_down", "warmup_steps"}  # whole numbers of a scheduler that are lengths
WAITING = ("patience", "cooldown")  # of ReduceLROnPlateau, in validations
VALIDATIONS = 10  # of a short run whose full length is in steps and whose validations come by epochs


@dataclass(frozen=True)
class Length:
    """How long a shorter run is: the share of the full length, its settings, its share of the validations."""

    share: float
    trainer: Mapping[str, Any]
    validations: float


def lengths(trainer: DictConfig, shares: Sequence[float], shortest: int) -> list[Length]:
    """The lengths that shares of a run come to, each once, from the shortest to the longest.

    shortest: epochs, or where trainer.max_steps alone says how long the run is, optimizer steps. A run of shares in
    which epochs cannot be parted has fewer lengths. Raises UserError where nobody knows how long the run is.
    """
    by_share = {length.share: length for share in sorted(shares) for length in [_length(trainer, share, shortest)]}
    return list(by_share.values())


def shortened(cfg: DictConfig, length: Length) -> DictConfig:
    """The config of the shorter run; of the full length, the config as it is.

    Scheduler lengths in whole numbers shrink by the same share, as what is null or a fraction does by itself; so do
    the phases of the schedule by which stages become trainable (unfreeze/schedules/shortened_phases.py). The
    source model stays as it is.
    """
    if length.share >= 1:
        return cfg
    plain = deepcopy(cfg)
    with open_dict(plain):
        for key in ("max_epochs", "scheduler"):  # weights=target takes the run's own: those of the full run
            if cfg.get("weights") and key in cfg.weights and OmegaConf.is_interpolation(cfg.weights, key):
                plain.weights[key] = _plain(cfg.weights[key])
        plain.scheduler = _scaled(_plain(cfg.scheduler), length)
        for key, value in length.trainer.items():
            plain.trainer[key] = value
        if warmup_steps := cfg.module.get("backbone_warmup_steps"):
            plain.module.backbone_warmup_steps = shorter(warmup_steps, length.share)
        if cfg.trainable == "schedule":
            epochs = _positive(cfg.trainer, "max_epochs")
            plain.unfreeze = {
                "_target_": "headstart.unfreeze.schedules.shortened_phases.Shortened",
                "schedule": cfg.unfreeze,
                "share": length.share,
                "epochs": epochs,
                "validations": length.validations,
            }
    return plain


def _length(trainer: DictConfig, share: float, shortest: int) -> Length:
    epochs, steps = (_positive(trainer, key) for key in ("max_epochs", "max_steps"))
    if epochs is None and steps is None:
        raise UserError(
            "a shorter run needs one of known length, got neither trainer.max_epochs nor trainer.max_steps; "
            "try trainer.max_epochs=30"
        )
    if share >= 1:
        return Length(1.0, {}, 1.0)
    short = _of_steps(trainer, steps or 0, share, shortest) if epochs is None else None
    if epochs is not None:
        short = _of_epochs(trainer, epochs, share, shortest)
        if steps is not None:
            short = Length(short.share, {**short.trainer, "max_steps": shorter(steps, short.share)}, short.validations)
    assert short is not None
    return short if short.share < 1 else Length(1.0, {}, 1.0)


def _of_epochs(trainer: DictConfig, epochs: int, share: float, shortest: int) -> Length:
    """By epochs; a validation is at the end, as in the full run."""
    every = trainer.get("check_val_every_n_epoch", 1)
    if every is None:  # by batches
        short = min(epochs, max(shortest, round(share * epochs), 1))
        interval = trainer.get("val_check_interval")
        batches = {"val_check_interval": shorter(interval, short / epochs)} if isinstance(interval, int) else {}
        return Length(short / epochs, {"max_epochs": short, **batches}, 1.0)
    apart = max(1, int(share * every))
    short = apart * max(1, round(share * epochs / apart), math.ceil(shortest / apart))
    if short >= epochs:
        return Length(1.0, {}, 1.0)
    wanted = {"max_epochs": short, "check_val_every_n_epoch": apart}
    return Length(short / epochs, wanted, min(1.0, (short / apart) / max(1, epochs // every)))


def _of_steps(trainer: DictConfig, steps: int, share: float, shortest: int) -> Length:
    """By optimizer steps; the validations are by batches, evenly spread, the last at the end."""
    accumulated = int(trainer.get("accumulate_grad_batches") or 1)
    every, interval = trainer.get("check_val_every_n_epoch", 1), trainer.get("val_check_interval")
    by_batches = every is None and isinstance(interval, int)
    count = max(1, steps * accumulated // interval) if by_batches else VALIDATIONS
    wanted = max(shortest, round(share * steps), 1)
    apart = max(1, round(wanted * accumulated / count))  # batches
    count = min(count, max(1, wanted * accumulated // apart))
    short = math.ceil(count * apart / accumulated)
    if short >= steps:
        return Length(1.0, {}, 1.0)
    settings = {"max_steps": short, "check_val_every_n_epoch": None, "val_check_interval": apart}
    return Length(short / steps, settings, 1.0 if by_batches else short / steps)


def _scaled(node: Any, length: Length) -> Any:
    """A scheduler's settings with its whole numbers of steps times the share."""
    if isinstance(node, list):
        return [_scaled(element, length) for element in node]
    if not isinstance(node, dict):
        return node
    scaled = {}
    for key, value in node.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and key in COUNTED:
            scaled[key] = math.ceil(length.share * value)
        elif whole and key in WAITING:
            scaled[key] = shorter(value, length.validations)
        elif key == "milestones" and isinstance(value, list):
            scaled[key] = [shorter(element, length.share) if isinstance(element, int) else element for element in value]
        else:
            scaled[key] = _scaled(value, length)
    return scaled


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _positive(node: DictConfig, key: str) -> int | None:
    value = node.get(key)
    return int(value) if isinstance(value, int) and value > 0 else None

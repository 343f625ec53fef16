"""Learning-rate schedulers of an optimizer's groups: lengths and rates filled in from the run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau, SequentialLR

from headstart.compat.lightning.lightning_trainer import callbacks_of
from headstart.types import UserError

# what torch's schedulers call a length, and how much of the run it is where it is null
LENGTHS = {
    "T_0": 1.0, "T_max": 1.0, "anneal_epochs": 1.0, "step_size": 1.0, "step_size_up": 0.5, "total_iters": 1.0,
    "total_steps": 1.0,
}  # fmt: skip
ENDLESS = 10_000
RATES = ("max_lr", "base_lr", "swa_lr", "min_lr")  # what they call a rate that is a group's own
Make = Callable[..., LRScheduler]


def scheduler_of(
    make: Make, optimizer: Optimizer, *, length: float, plateau_mode: Literal["max", "min"] = "min"
) -> LRScheduler:
    """The scheduler of all groups of an optimizer, which keep the ratios of their rates.

    make: a partial of any torch scheduler (or of one's own); its `schedulers`, where it has them, are partials too.
    length: of the run, in the scheduler's own steps, math.inf where nobody knows.
    plateau_mode: the direction of the metric that ReduceLROnPlateau waits for, where its mode is null.

    A length that is null is that of the run (`step_size_up`: half of it), or between 0 and 1 that share of it, also
    in a list of milestones; within SequentialLR both are of the part between two milestones. A rate (`max_lr`,
    `base_lr`, `swa_lr`, `min_lr`) is the head's, that is the last group's: each other group gets its share of it,
    where torch would give all the same. null = as the optimizer has them, of `base_lr` a tenth of `max_lr`.

    Raises UserError where torch does not take what is given, a length of the run is asked that has none, OneCycleLR
    is shorter than the run, or is one of several schedulers.
    """
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    return _Maker(optimizer, rates, plateau_mode).made(make, length, "scheduler", nested=False)


def run_length(trainer: Trainer, interval: Literal["step", "epoch"]) -> float:
    """The run's length in a scheduler's steps; math.inf where it has no end.

    Of a run that a time alone ends, ENDLESS: a schedule is gone through in as many steps, by the time that is over.
    """
    epochs = trainer.max_epochs
    by_epoch = math.inf if epochs is None or epochs < 0 else max(1, epochs)
    length = by_epoch if interval == "epoch" else max(1, trainer.estimated_stepping_batches)
    is_timed = any(
        isinstance(callback, Timer) and callback.time_remaining() is not None for callback in callbacks_of(trainer)
    )
    return ENDLESS if math.isinf(length) and is_timed else length


def lightning_scheduler(
    scheduler: LRScheduler, *, interval: str, monitor: str, metrics: Sequence[str], validates_every: int
) -> dict[str, Any]:
    """What configure_optimizers says of a scheduler.

    Args:
        scheduler: One that advances, or a ReduceLROnPlateau.
        interval: How often one that advances does: `step` or `epoch`.
        monitor: The metric that ReduceLROnPlateau waits for, at the end of epochs with a validation: where no
            validation was, the metric would be the old one, and count as no improvement.
        metrics: The metrics that are logged in training.
        validates_every: After how many epochs validation comes.

    Raises:
        UserError: If ReduceLROnPlateau waits for what is not logged.
    """
    if not isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": interval}
    if monitor not in metrics:
        raise UserError(
            f"module.scheduler_monitor must be a metric that is logged in training, got {monitor}; "
            f"there are {', '.join(metrics)}"
        )
    return {"scheduler": scheduler, "interval": "epoch", "frequency": validates_every, "monitor": monitor}


@dataclass(frozen=True)
class _Maker:
    """What all schedulers of a nest share: the optimizer, and the rates before the first scheduler changes them."""

    optimizer: Optimizer
    rates: Sequence[float]
    plateau_mode: Literal["max", "min"]

    def made(self, make: Make, length: float, path: str, *, nested: bool) -> LRScheduler:
        if not callable(make):
            raise UserError(f"{path} must be a mapping with _target_ and _partial_: true, got {make!r}")
        target = getattr(make, "func", make)
        settings = dict(getattr(make, "keywords", {}))
        known = inspect.signature(target).parameters
        if nested and target is OneCycleLR:
            raise UserError(
                f"{path} is OneCycleLR, which has a warm-up and an end of its own and cannot be one of several; "
                "try it alone (scheduler=one_cycle), or LinearLR and CosineAnnealingLR (scheduler=warmup_cosine)"
            )
        self._fill_lengths(settings, known, length, path)
        self._fill_rates(settings, known, path, cycles=target is CyclicLR)
        if target is ReduceLROnPlateau and settings.get("mode", "") is None:
            settings["mode"] = self.plateau_mode
        if "schedulers" in settings:
            for group in self.optimizer.param_groups:  # or CyclicLR, as the first, would leave its lowest rate here
                group.setdefault("initial_lr", group["lr"])
            lengths = self._lengths_of_parts(settings, target, length, path)
            settings["schedulers"] = [
                self.made(part, own, f"{path}.schedulers[{place}]", nested=True)
                for place, (part, own) in enumerate(zip(settings["schedulers"], lengths, strict=True))
            ]
        scheduler = self._called(target, settings, known, path)
        if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < length:
            raise UserError(
                f"{path} (OneCycleLR) must be at least as long as the run's {_shown(length)} steps, got "
                f"{scheduler.total_steps}; try {path}.total_steps=null, which is the run's length"
            )
        return scheduler

    def _fill_lengths(self, settings: dict[str, Any], known: Mapping[str, Any], length: float, path: str) -> None:
        for key, share in LENGTHS.items():
            if key not in known or (key == "total_steps" and settings.get("epochs") is not None):
                continue
            value = settings.get(key, known[key].default)
            if value is None or value is inspect.Parameter.empty:
                settings[key] = max(1, round(share * _known(length, f"{path}.{key}")))
            elif _is_share(value):
                settings[key] = max(1, round(value * _known(length, f"{path}.{key}")))
        for key in ("step_size_down", "warmup_steps"):  # null is torch's own: as long as up
            if _is_share(settings.get(key)):
                settings[key] = max(1, round(settings[key] * _known(length, f"{path}.{key}")))
        if settings.get("milestones") is not None:
            settings["milestones"] = [
                round(place * _known(length, f"{path}.milestones")) if _is_share(place) else place
                for place in settings["milestones"]
            ]

    def _fill_rates(self, settings: dict[str, Any], known: Mapping[str, Any], path: str, *, cycles: bool) -> None:
        for key in RATES:
            if key not in known:
                continue
            value = settings.get(key, known[key].default)
            if key == "min_lr" and not value:
                settings.pop(key, None)
            elif value is None or value is inspect.Parameter.empty:
                tenth = key == "base_lr" and cycles
                settings[key] = [0.1 * rate for rate in settings["max_lr"]] if tenth else list(self.rates)
            elif isinstance(value, int | float):
                settings[key] = [value * rate / self.rates[-1] for rate in self.rates]
            elif len(value) != len(self.rates):
                names = [str(group.get("name", place)) for place, group in enumerate(self.optimizer.param_groups)]
                raise UserError(
                    f"{path}.{key} must be one rate, the head's, or one for each of the {len(names)} groups "
                    f"({', '.join(names)}), got {len(value)}"
                )

    def _lengths_of_parts(
        self, settings: Mapping[str, Any], target: Callable[..., Any], length: float, path: str
    ) -> Sequence[float]:
        """How long each of several schedulers is."""
        count = len(settings["schedulers"])
        if target is not SequentialLR:
            return [length] * count
        milestones = list(settings.get("milestones") or [])
        if len(milestones) != count - 1 or milestones != sorted(milestones):
            raise UserError(
                f"{path}.milestones must be {count - 1} rising places for {count} schedulers, got {milestones}"
            )
        return [end - begin for begin, end in pairwise([0, *milestones, max(length, *milestones, 0)])]

    def _called(
        self, target: Callable[..., LRScheduler], settings: dict[str, Any], known: Mapping[str, Any], path: str
    ) -> LRScheduler:
        try:
            if "optimizer" in known:  # ChainedScheduler has it second
                return target(optimizer=self.optimizer, **settings)
            return target(self.optimizer, **settings)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            name = getattr(target, "__name__", str(target))
            steps = {key: settings[key] for key in LENGTHS if key in settings}
            about = f" (with {', '.join(f'{key}={value}' for key, value in steps.items())})" if steps else ""
            raise UserError(
                f"{path}: {name}{about} cannot be made: {error}; it takes "
                f"{', '.join(key for key in known if key not in ('optimizer', 'last_epoch'))}"
            ) from error


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _known(length: float, path: str) -> float:
    if math.isinf(length):
        raise UserError(
            f"{path} is to be the run's length or a share of it, but the run has none; set trainer.max_epochs or "
            f"trainer.max_steps, or {path} to a whole number"
        )
    return length


def _shown(length: float) -> str:
    return "endless" if math.isinf(length) else str(int(length))

"""Learning-rate range tests of a run's model, each on a copy of its own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.seed import isolate_rng
from torch.optim.lr_scheduler import LambdaLR

from headstart.callbacks.learning_rates.rate_range_test import Ended, RateRangeTest
from headstart.callbacks.training.first_validation import Start
from headstart.callbacks.training.stage_caching import FeatureCaching
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.recipes.rate_suggestion import RateSuggestion, rate_suggestion
from headstart.runs.folder.run_folder import CHECKPOINTS
from headstart.runs.training.prepared_run import PreparedRun, prepared_run
from headstart.runs.training.run_trainer import made_trainer
from headstart.types import UserError
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.schedule_phases import Phase

ALL_PARTS = "all"  # the sweep in which all groups keep their ratios


@dataclass(frozen=True)
class RateSweep:
    """The curve of one range test.

    Attributes:
        parts: What learned; the rates of all else were 0.
        rates: Of the head, one a step; where the head does not learn, of what it would be.
        losses: Before each step.
        smoothed: The same, smoothed.
        ended: Why the test ended.
        suggestion: What the curve suggests.
    """

    parts: tuple[str, ...]
    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    ended: Ended
    suggestion: RateSuggestion


@dataclass(frozen=True)
class RangeTestSettings:
    """How far, how finely and in which phase rates are tried.

    Attributes:
        lowest: The first rate.
        highest: The last rate.
        steps: How many there are, each the same multiple of the one before.
        smoothing: As for RateRangeTest.
        stop_above: As for RateRangeTest.
        phase: Number of the schedule's phase, from 1.
        processes: Of the run; a step here has as many images as one of the run on all of them.
    """

    lowest: float
    highest: float
    steps: int
    smoothing: float
    stop_above: float
    phase: int
    processes: int

    @property
    def rates(self) -> list[float]:
        """All rates, rising."""
        return [float(rate) for rate in np.geomspace(self.lowest, self.highest, self.steps)]


def rate_sweeps(
    cfg: DictConfig, folder: Path, settings: RangeTestSettings, *, by_part: bool, run_hash: str
) -> dict[str, RateSweep]:
    """The sweep of all parts together, called `all`, then where asked for one of each part that learns in the phase.

    Each has a model of its own, made as the run makes its own, so that nothing of a sweep is left for what comes after:
    the random number generators are as they were, too. A phase's own rates (`lr`) give way to those of the sweep.

    Args:
        cfg: The config of the run.
        folder: Where the sweeps write their table of duplicates.
        settings: Of the sweeps.
        by_part: Whether each part has a sweep of its own.
        run_hash: The hash of the config.

    Raises:
        UserError: The schedule has no such phase.
    """
    with isolate_rng():
        run = prepared_run(cfg, folder, run_hash=run_hash)
        sweeps = {ALL_PARTS: _swept(cfg, run, settings, None)}
        learning = sweeps[ALL_PARTS].parts
        for part in learning if by_part and len(learning) > 1 else ():
            sweeps[part] = _swept(cfg, prepared_run(cfg, folder, run_hash=run_hash), settings, part)
    with suppress(OSError):
        (folder / CHECKPOINTS).rmdir()  # a run has some, a sweep none
    return sweeps


def phase_of_sweep(phases: Sequence[Phase], number: int) -> Phase:
    """A schedule's phase without its end, its rates and its warm-up.

    Args:
        phases: Of the schedule.
        number: Of the phase, from 1.

    Raises:
        UserError: There is no such phase.
    """
    if number > len(phases):
        titles = ", ".join(phase.title for phase in phases)
        raise UserError(f"find_lr.phase must be 1 to {len(phases)} ({titles}), got {number}")
    ends = {"epochs": None, "steps": None, "fraction": None, "until": None}
    return dataclasses.replace(phases[number - 1], lr=None, warmup_steps=0, **ends)  # type: ignore[arg-type]


def _swept(cfg: DictConfig, run: PreparedRun, settings: RangeTestSettings, part: str | None) -> RateSweep:
    assembly = run.assembly
    module = assembly.module
    module.make_scheduler = partial(LambdaLR, lr_lambda=lambda _: 1.0)  # the test sets the rates
    phase = phase_of_sweep(assembly.schedule.phases(ModelParts(module).names), settings.phase)
    unfreeze = Unfreeze(Explicit(phases=[phase]))
    test = RateRangeTest(
        settings.rates, smoothing=settings.smoothing, stop_above=settings.stop_above,
        parts=None if part is None else (part,),
    )  # fmt: skip
    start = Start(
        data=assembly.data, head=copy.deepcopy(assembly.head), images=None, measures=False,
        begins=run.knows_labels and assembly.head.init == "class_means", validates=False,
    )  # fmt: skip
    cache = FeatureCaching(cache=instantiate(cfg.feature_cache) if cfg.get("feature_cache") else None)
    alone = OmegaConf.merge(cfg.trainer, {"strategy": "auto", "devices": 1, "num_nodes": 1})
    assert isinstance(alone, DictConfig)
    trainer = made_trainer(
        alone,
        **_trainer_settings(cfg, settings), callbacks=[unfreeze, cache, start, test],
    )  # fmt: skip
    seed_everything(cfg.seed, verbose=False)  # the same for each part, whatever the trainer's making draws
    trainer.fit(module, datamodule=assembly.data)
    rates = settings.rates[: len(test.losses)]
    return RateSweep(
        parts=unfreeze.trainable_parts if part is None else (part,),
        rates=rates,
        losses=test.losses,
        smoothed=test.smoothed,
        ended=test.ended,
        suggestion=rate_suggestion(rates, test.losses, test.smoothed),
    )


def _trainer_settings(cfg: DictConfig, settings: RangeTestSettings) -> dict[str, Any]:
    return {
        "max_epochs": -1,
        "max_steps": settings.steps,
        "limit_val_batches": 0,
        "accumulate_grad_batches": cfg.trainer.accumulate_grad_batches * settings.processes,
        "logger": False,
        "profiler": None,
    }

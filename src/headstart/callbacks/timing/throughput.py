"""Throughput of each phase of a run: images, seconds, the share of waiting, the most memory."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.timing.bottleneck_advice import Circumstances
from headstart.callbacks.timing.data_wait_profiler import Clock
from headstart.callbacks.timing.pace_settings import circumstances_of
from headstart.callbacks.timing.peak_memory import PeakMemory
from headstart.callbacks.timing.phase_accounts import PhaseAccount, Totals, largest_of, merged
from headstart.callbacks.timing.validation_times import Timeline
from headstart.callbacks.training.stage_caching import FeatureCaching
from headstart.callbacks.training.time_budget import budget_of
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_trainer import callbacks_of


class Throughput(Callback):
    """Keeps an account of each phase of the schedule: images, seconds, what they went by, the most memory.

    It stands before the callback that measures the start, so that this counts as a measurement. A phase begins when its
    first batch is asked for, so the wait for it, and what the feature cache computes for it, are its own. A resumed run
    goes on adding; what is not in the checkpoint that it resumes from is not counted.
    On a GPU, step_s and wait_s are the host's: it waits for data while the device may still compute what it was given,
    so the wait is the most that faster data could save.

    Args:
        clock: The trainer's profiler.
    """

    def __init__(self, *, clock: Clock) -> None:
        self.clock, self.memory = clock, PeakMemory()
        self.accounts: dict[int, PhaseAccount] = {}  # by the number of the phase
        self._after_fit: float | None = None  # the most memory of the test
        self._trainer: Trainer | None = None
        self._unfreeze: Unfreeze | None = None
        self._cache: FeatureCaching | None = None
        self._timeline: Timeline | None = None
        self._ends_within_epochs = False
        self._phase = 0
        self._last = Totals(0.0)
        self._validating = 0.0
        self._filled_elsewhere = 0.0  # while validating: not while waiting for a batch of training
        self._interval: tuple[float, float] | None = None  # a measurement began at, with so much filled
        self._starts = False
        self._is_counting = False

    # ------------------------------------------------------------------ what others may ask

    def phases(self) -> list[dict[str, Any]]:
        """The account of each phase that a step was taken in, for result.json; every rank must ask.

        Seconds and memory are the largest of all ranks, images of all together.
        """
        accounts = [asdict(self.accounts[number]) for number in sorted(self.accounts)]
        return [
            account.record(self._steps_per_epoch())
            for parts in zip(*of_each_rank(accounts), strict=True)
            if (account := merged([PhaseAccount(**part) for part in parts])).steps
        ]

    def peak_memory_mib(self) -> float | None:
        """The most of the run, fit and test, on any rank; every rank must ask."""
        of_phases = [account.peak_memory_mib for account in self.accounts.values()]
        return largest_of(of_each_rank(largest_of([*of_phases, self._after_fit])))

    def circumstances(self, trainer: Trainer, *, data: str) -> Circumstances:
        """What this run's pace depends on. data: the group of its data, "" for no hints."""
        parts = self._unfreeze.parts.names if self._unfreeze is not None else ()
        accounts = [account for account in self.accounts.values() if account.steps]
        return circumstances_of(
            trainer,
            data=data,
            cache=self._cache.cache if self._cache is not None else None,
            has_frozen=any(parts[0] not in account.trainable for account in accounts if parts),
        )

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.memory.begin(trainer.strategy.root_device)
        if stage != "fit":
            return
        self._trainer = trainer
        callbacks = callbacks_of(trainer)
        for callback in callbacks:
            if isinstance(callback, Unfreeze):
                self._unfreeze = callback
            elif isinstance(callback, FeatureCaching):
                self._cache = callback
            elif isinstance(callback, Timeline):
                self._timeline = callback

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = Totals(time.perf_counter())
        self._is_counting = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        phases = self._unfreeze.phases if self._unfreeze is not None else ()
        within = any(phase.steps is not None or phase.fraction is not None for phase in phases)
        self._ends_within_epochs = within or budget_of(trainer) is not None
        self._phase = self._unfreeze.phase if self._unfreeze is not None else 0
        self._last = self._totals()._replace(now=self._last.now)  # what a checkpoint holds is in the accounts
        self._is_counting = self._starts = True
        self._measures()
        self.clock.asks = self._asked

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_counting and not self._starts:
            self._measures()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_counting and not self._starts:
            self._has_measured()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_counting:
            self._settle()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            self._after_fit = largest_of([self._after_fit, self.memory.taken()])
        self._end()

    def state_dict(self) -> dict[str, Any]:
        if self._is_counting and not self._starts:
            self._settle()
        return {"accounts": {number: asdict(account) for number, account in self.accounts.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        accounts = state_dict["accounts"].items()
        self.accounts = {number: PhaseAccount.of_checkpoint(account) for number, account in accounts}

    # ------------------------------------------------------------------ counting

    def _asked(self) -> None:
        """Begin a phase's account where its first training batch is asked for."""
        if self._starts:
            self._starts = False
            self._has_measured()
        if self._unfreeze is None:
            return
        trainer = self._trainer
        assert trainer is not None
        phase = self._unfreeze.upcoming(trainer) if self._ends_within_epochs else self._unfreeze.phase
        if phase != self._phase:
            self._settle()
            self._phase = phase

    def _measures(self) -> None:
        self._interval = (time.perf_counter(), self._filled())

    def _has_measured(self) -> None:
        if self._interval is not None:
            began, filled = self._interval
            filling = self._filled() - filled
            self._filled_elsewhere += filling
            self._validating += time.perf_counter() - began - filling
            self._interval = None

    def _settle(self) -> None:
        """Put what was counted since the last time into the account of the phase."""
        totals = self._totals()
        account = self._account()
        account.add(self._last, totals)
        account.see(self.memory.taken())
        self._last = totals

    def _account(self) -> PhaseAccount:
        if self._phase not in self.accounts:
            unfreeze = self._unfreeze
            if unfreeze is None:
                self.accounts[self._phase] = PhaseAccount("all")
            else:
                trainable = unfreeze.trainable_in(self._phase)
                parts = [part for part in unfreeze.parts.names if not trainable.isdisjoint(unfreeze.parts.of(part))]
                self.accounts[self._phase] = PhaseAccount(unfreeze.phases[self._phase].title, parts)
        return self.accounts[self._phase]

    def _totals(self) -> Totals:
        trainer, filling = self._trainer, self._filled()
        assert trainer is not None
        return Totals(
            now=time.perf_counter(),
            waiting=self.clock.waiting - (filling - self._filled_elsewhere),
            computing=self.clock.computing,
            validating=self._validating,
            filling=filling,
            examples=self._timeline.examples if self._timeline is not None else 0,
            steps=trainer.global_step,
        )

    def _filled(self) -> float:
        """Seconds that this process has spent on filling the store."""
        return math.fsum(entry["seconds"] for entry in self._cache.filled) if self._cache is not None else 0.0

    def _steps_per_epoch(self) -> float:
        trainer = self._trainer
        if trainer is None:
            return 0
        batches = trainer.num_training_batches
        return math.ceil(batches / trainer.accumulate_grad_batches) if math.isfinite(batches) else 0

    def _end(self) -> None:
        self.memory.end()
        self.clock.asks = _nothing
        self._is_counting = False


def _nothing() -> None:
    pass

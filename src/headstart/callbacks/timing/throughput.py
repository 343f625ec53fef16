"""What did each phase of a run take, and what of it was waiting?"""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.timing.bottleneck_advice import Circumstances
from headstart.callbacks.timing.data_wait_profiler import Clock
from headstart.callbacks.timing.peak_memory import PeakMemory
from headstart.callbacks.timing.validation_times import Timeline
from headstart.callbacks.training.feature_cache import FeatureCaching
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning_trainer import callbacks_of, datamodule_of


class Totals(NamedTuple):
    """What has been counted at a moment: seconds, images and optimizer steps."""

    now: float
    waiting: float = 0.0
    computing: float = 0.0
    validating: float = 0.0
    filling: float = 0.0
    examples: int = 0
    steps: int = 0


@dataclass
class Account:
    """What one phase has taken so far; seconds of the process, images of all ranks together."""

    phase: str
    open: list[str] = field(default_factory=list)  # the parts of which something learns
    steps: int = 0
    images: int = 0
    train_s: float = 0.0  # all but what is validation or filling the store
    step_s: float = 0.0  # of it: forward and backward pass, the optimizer's step and what happens in them
    wait_s: float = 0.0  # of it: for the next batch
    validation_s: float = 0.0  # the measurements before the first step too
    store_s: float = 0.0  # filling the feature cache
    peak_memory_mib: float | None = None

    def add(self, before: Totals, after: Totals) -> None:
        """What lies between two moments."""
        validating, filling = after.validating - before.validating, after.filling - before.filling
        self.steps += after.steps - before.steps
        self.images += after.examples - before.examples
        self.train_s += after.now - before.now - validating - filling
        self.step_s += after.computing - before.computing
        self.wait_s += after.waiting - before.waiting
        self.validation_s += validating
        self.store_s += filling

    def see(self, memory_mib: float | None) -> None:
        self.peak_memory_mib = largest_of([self.peak_memory_mib, memory_mib])

    def record(self, steps_per_epoch: float) -> dict[str, Any]:
        """As it stands in result.json."""
        # the store's seconds are rounded, so that what is left can be a little below nothing
        seconds = {_RECORDED.get(name, name): round(max(0.0, getattr(self, name)), 4) for name in SECONDS}
        return {
            "phase": self.phase,
            "trainable": self.open,
            "epochs": round(self.steps / steps_per_epoch, 4) if steps_per_epoch else 0.0,
            "steps": self.steps,
            "images": self.images,
            **seconds,
            "images_per_s": round(self.images / self.train_s, 2) if self.train_s > 0 else None,
            "wait_share": round(max(0.0, self.wait_s) / self.train_s, 4) if self.train_s > 0 else None,
            "peak_memory_mib": self.peak_memory_mib,
        }


_RECORDED = {"store_s": "cache_s"}  # a field that checkpoints hold -> what result.json calls it
SECONDS = tuple(one.name for one in fields(Account) if one.name.endswith("_s"))


class Throughput(Callback):
    """Keeps an account of each phase of the schedule: images, seconds, what they went by, the most memory.

    It stands before the callback that measures the start, so that this counts as a measurement. A phase begins when its
    first batch is asked for, so the wait for it, and what the store computes for it, are its own. A resumed run goes on
    adding; what is not in the checkpoint that it goes on from is not counted.
    On a GPU, step_s and wait_s are the host's: it waits for data while the device may still compute what it was given,
    so the wait is the most that faster data could save.
    """

    def __init__(self, *, clock: Clock) -> None:
        self.clock, self.memory = clock, PeakMemory()
        self.accounts: dict[int, Account] = {}  # by the number of the phase
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
        own = [asdict(self.accounts[number]) for number in sorted(self.accounts)]
        return [
            account.record(self._steps_per_epoch())
            for parts in zip(*of_each_rank(own), strict=True)
            if (account := _merged([Account(**part) for part in parts])).steps
        ]

    def peak_memory_mib(self) -> float | None:
        """The most of the run, fit and test, on any rank; every rank must ask."""
        own = [account.peak_memory_mib for account in self.accounts.values()]
        return largest_of(of_each_rank(largest_of([*own, self._after_fit])))

    def circumstances(self, trainer: Trainer, *, data: str) -> Circumstances:
        """What this run's pace depends on. data: the group of its data, "" for no hints."""
        parts = self._unfreeze.parts.names if self._unfreeze is not None else ()
        cache = self._cache.cache if self._cache is not None else None
        module: Any = datamodule_of(trainer)
        epochs = trainer.check_val_every_n_epoch
        interval: Any = getattr(trainer, "val_check_interval", None)  # by the clock there is none
        by_batches = epochs is None and isinstance(interval, int)
        # not Lightning's estimate of the steps: it may ask all ranks, and only the first one is here
        of_epoch = trainer.num_training_batches  # infinite where a stream does not say
        asked = trainer.max_epochs
        epochs_at_most = asked if asked is not None and asked > 0 else math.inf
        limits = [epochs_at_most * of_epoch]
        limits += [trainer.max_steps * trainer.accumulate_grad_batches]
        batches = min((limit for limit in limits if limit > 0), default=math.inf)
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Circumstances(
            data=data,
            workers=getattr(trainer.train_dataloader, "num_workers", 0),
            cores=usable,
            on_gpu=trainer.strategy.root_device.type == "cuda",
            precision=str(trainer.precision),
            frozen=any(parts[0] not in account.open for account in self.accounts.values() if account.steps and parts),
            has_store=cache is not None,
            is_augmented=getattr(module, "augment", None) is not None,
            views=cache.views if cache is not None else 0,
            is_mixed=getattr(trainer.lightning_module, "mix", None) is not None,
            every_epochs=epochs or 1,
            every_batches=interval if by_batches else 0,
            within_epochs=not by_batches and interval != 1.0,
            epochs=batches / max(1, of_epoch) if math.isfinite(of_epoch) else epochs_at_most,
            batches=batches,
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
        self._ends_within_epochs = any(phase.steps is not None or phase.fraction is not None for phase in phases)
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
        self.accounts = {number: Account(**account) for number, account in state_dict["accounts"].items()}

    # ------------------------------------------------------------------ counting

    def _asked(self) -> None:
        """A batch of training is asked for: does a phase begin with it?"""
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

    def _account(self) -> Account:
        if self._phase not in self.accounts:
            unfreeze = self._unfreeze
            if unfreeze is None:
                self.accounts[self._phase] = Account("all")
            else:
                opened = unfreeze.trainable_in(self._phase)
                parts = [part for part in unfreeze.parts.names if not opened.isdisjoint(unfreeze.parts.of(part))]
                self.accounts[self._phase] = Account(unfreeze.phases[self._phase].title, parts)
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
        return math.fsum(one["seconds"] for one in self._cache.filled) if self._cache is not None else 0.0

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


def largest_of(values: list[float | None]) -> float | None:
    """The largest that is known; None where none is."""
    return max((value for value in values if value is not None), default=None)


def _merged(ranks: list[Account]) -> Account:
    """One account of all ranks' of a phase."""
    found = Account(ranks[0].phase, ranks[0].open, steps=ranks[0].steps, images=ranks[0].images)
    for name in SECONDS:
        setattr(found, name, max(getattr(rank, name) for rank in ranks))
    found.peak_memory_mib = largest_of([rank.peak_memory_mib for rank in ranks])
    return found


def _nothing() -> None:
    pass

"""The bottleneck of a run from the shares of its seconds, and advice on settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHORT_MS = 2.0  # a step below it is mostly what each step costs, however few images it has
UNCLEAR = 0.35  # the largest share must be above it to have bound the run alone


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What advice on a run's pace depends on.

    Args:
        data: The group whose settings made the batches; "" for no advice.
        workers: Worker processes that load batches.
        cores: Of this process.
        on_gpu: Where it computed; on a GPU the host hands out work, and its seconds tell little of the steps' parts.
        precision: As the trainer has it.
        frozen: Whether the first stage was frozen in some phase.
        has_store: Whether there is a feature cache.
        is_augmented: Whether training images are augmented.
        views: Views of them that are cached.
        is_mixed: Whether they are mixed with each other, so that none can be cached.
        every_epochs: After how many epochs validation comes.
        every_batches: After how many batches, whichever epoch they are of; 0 where epochs count.
        within_epochs: Whether it comes inside of epochs too, or by the wall time.
        epochs: Of the whole run.
        batches: Of the whole run.
    """

    data: str = "target"
    workers: int = 0
    cores: int = 1
    on_gpu: bool = False
    precision: str = "32-true"
    frozen: bool = False
    has_store: bool = True
    is_augmented: bool = False
    views: int = 0
    is_mixed: bool = False
    every_epochs: int = 1
    every_batches: int = 0
    within_epochs: bool = False
    epochs: float = math.inf
    batches: float = math.inf

    @property
    def validation_hint(self) -> str:
        """What makes validation come half as often, where the run is long enough for two that come so."""
        if self.every_batches:
            twice = 2 * self.every_batches
            return f"trainer.val_check_interval={twice}" if 2 * twice <= self.batches else ""
        if self.within_epochs:
            return "a longer trainer.val_check_interval"
        twice = 2 * self.every_epochs
        return f"trainer.check_val_every_n_epoch={twice}" if 2 * twice <= self.epochs else ""

    @property
    def store_hint(self) -> str:
        """What lets frozen stages compute each image once, where they do it in each epoch."""
        views = "feature_cache.views=4" if self.is_augmented and not self.views else ""
        if not self.frozen or self.is_mixed or (self.has_store and not views):
            return ""
        return " ".join(part for part in ("" if self.has_store else "feature_cache=default", views) if part)


def shares(phases: Sequence[Mapping[str, Any]], *, on_gpu: bool = False) -> dict[str, float]:
    """What the seconds of a run went to, as shares that sum to 1: steps, data, validation, store, other.

    phases: as in result.json. other: what is around the steps: logging, checkpoints, hooks; on a GPU it is
    among the steps, as nobody knows where the host has waited for the device. Empty where no time was counted.
    """
    train, steps, data, validation, store = (
        math.fsum(phase[key] for phase in phases) for key in ("train_s", "step_s", "wait_s", "validation_s", "cache_s")
    )
    all_s = train + validation + store
    if all_s <= 0:
        return {}
    steps = train - data if on_gpu else steps
    spent = {"steps": steps, "data": data, "validation": validation, "store": store}
    spent["other"] = max(0.0, all_s - math.fsum(spent.values()))
    return {name: seconds / all_s for name, seconds in spent.items()}


def what_bound(share: Mapping[str, float], step_ms: float, around: Circumstances) -> str:
    """The largest share in words, the second too where the first does not bound the run alone, and what to try.

    share: of `shares`, not empty. step_ms: what a step took, without waiting.
    """
    first, second, *_ = sorted(share, key=lambda name: -share[name])
    text = f"bound by {_words(first, step_ms, around)} ({_percent(share[first])})"
    if share[first] <= UNCLEAR:
        text += f" and {_words(second, step_ms, around)} ({_percent(share[second])})"
    hint = _hint(first, step_ms, around) if around.data else ""
    return f"{text}; try {hint}" if hint else text


def line(phases: Sequence[Mapping[str, Any]], peak_memory_mib: float | None, around: Circumstances) -> str:
    """What a run says at its end: images/s while training, the share of waiting, the most memory, what bound it."""
    images, steps = (sum(int(phase[key]) for phase in phases) for key in ("images", "steps"))
    train_s, wait_s = (math.fsum(phase[key] for phase in phases) for key in ("train_s", "wait_s"))
    share = shares(phases, on_gpu=around.on_gpu)
    if not share or train_s <= 0:
        return "no step was taken"
    rate = images / train_s
    clauses = [
        f"{rate:,.0f} images/s" if rate >= 10 else f"{rate:.2g} images/s",
        f"{_percent(wait_s / train_s)} of the time waiting for data",
    ]
    if peak_memory_mib is not None:
        clauses.append(f"peak memory {peak_memory_mib:,.0f} MiB{' of the GPU' if around.on_gpu else ''}")
    return f"{', '.join(clauses)}; {what_bound(share, 1000 * (train_s - wait_s) / max(1, steps), around)}"


def _words(name: str, step_ms: float, around: Circumstances) -> str:
    if name == "steps":
        if step_ms < SHORT_MS:
            return f"what each step costs, {step_ms:.2g} ms, however few images it has"
        return "the steps, on the GPU or around it" if around.on_gpu else "the forward and backward pass"
    return {
        "data": "waiting for data",
        "validation": "validation",
        "store": "filling the feature cache",
        "other": "what is around the steps: logging, checkpoints, hooks",
    }[name]


def _hint(name: str, step_ms: float, around: Circumstances) -> str:
    data = around.data
    if name in ("data", "steps") and around.store_hint:
        return f"{around.store_hint}: frozen stages then compute each image once"
    if name == "data":  # on the CPU threads decode already, on the cores that the model computes on
        more = min(around.cores, max(2, 2 * around.workers))
        return f"more workers: {data}.num_workers={more}" if around.on_gpu and more > around.workers else ""
    if name == "steps":
        if step_ms < SHORT_MS:
            return f"a larger {data}.batch_size"
        return "trainer.precision=bf16-mixed" if around.on_gpu and around.precision.startswith("32") else ""
    return {
        "validation": around.validation_hint,
        "store": "",  # the next run finds it filled
        "other": f"trainer.log_every_n_steps=500 or a larger {data}.batch_size",
    }[name]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else "< 1 %"

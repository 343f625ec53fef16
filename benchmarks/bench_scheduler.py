"""Training with frozen layers as finetuning-scheduler's documentation shows it."""

from __future__ import annotations

import logging
from typing import Any

from bench_job import FEATURES, RATE, Job
from bench_lightning import fitted


def finetuning_scheduler(job: Job) -> dict[str, Any]:
    """An explicit schedule by epochs; restore_best=False, so that each phase goes on from where the last one ended."""
    import lightning.pytorch as pl
    from finetuning_scheduler import FinetuningScheduler

    callback = FinetuningScheduler(
        ft_schedule=_schedule(job),
        epoch_transitions_only=True,
        restore_best=False,
        base_max_lr=RATE,
        logging_level=logging.ERROR,
    )
    return fitted(pl, job, [callback])


def _schedule(job: Job) -> dict[int, dict[str, Any]]:
    """Depth -> the parameters that open in it, and the epoch after which the next one begins."""
    if job.task == FEATURES:
        return {0: {"params": [r"head\..*"], "max_transition_epoch": job.epochs + 1}}
    schedule: dict[int, dict[str, Any]] = {}
    before: set[str] = set()
    for epoch in range(job.epochs):
        new = [part for part in job.opens(epoch) if part not in before]
        if new:
            names = [r"head\..*" if part == "head" else rf"backbone\.{part}\..*" for part in new]
            schedule[len(schedule)] = {"params": names, "lr": RATE, "max_transition_epoch": epoch + 1}
        before |= set(new)
    schedule[len(schedule) - 1]["max_transition_epoch"] = job.epochs
    return schedule

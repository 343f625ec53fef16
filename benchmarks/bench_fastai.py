"""Training with frozen layers as fastai's documentation shows it."""

from __future__ import annotations

from typing import Any

from bench_job import DECAY, FEATURES, RATE, Job
from bench_network import Learned, loaders, network, parts_of


def fastai(job: Job) -> dict[str, Any]:
    """A Learner whose groups are the parts: freeze, freeze_to, unfreeze, and fit in between.

    train_bn=False and BnFreeze keep frozen BatchNorm still: as it comes fastai trains it, at the price of a backward
    pass through the whole network. The loaders are torch's, which fastai takes.
    """
    import torch
    from fastai.callback.training import BnFreeze
    from fastai.data.core import DataLoaders
    from fastai.learner import Callback, Learner
    from fastai.metrics import accuracy
    from fastai.optimizer import OptimWrapper

    torch.manual_seed(job.seed)
    backbone, head = network(job)
    parts = parts_of(job, backbone, head)
    seen = Learned(parts)

    class AtEpochsEnd(Callback):  # type: ignore[misc]
        def after_epoch(self) -> None:
            seen.epoch_ended()

    def adamw(groups: Any, **settings: Any) -> Any:
        return OptimWrapper(groups, torch.optim.AdamW, **settings)

    learner = Learner(
        DataLoaders(*loaders(job), path=job.folder),
        torch.nn.Sequential(backbone, head),
        loss_func=torch.nn.CrossEntropyLoss(),
        opt_func=adamw,
        splitter=lambda _: [list(part.parameters()) for part in parts.values()],
        metrics=accuracy,
        lr=RATE,
        wd=DECAY,
        train_bn=False,
        cbs=[BnFreeze(), AtEpochsEnd()],
        path=job.folder,
    )
    if job.task == FEATURES:
        learner.freeze()
        learner.fit(job.epochs)
    else:
        for epoch, count in _phases(job):
            learner.freeze_to(-len(job.opens(epoch)))
            learner.fit(count)
    return {"accuracy": float(learner.recorder.values[-1][-1]), "learned": seen.epochs}


def _phases(job: Job) -> list[tuple[int, int]]:
    """The first epoch of each phase, and how many it has."""
    firsts = [e for e in range(job.epochs) if e == 0 or job.opens(e) != job.opens(e - 1)]
    return [(first, end - first) for first, end in zip(firsts, [*firsts[1:], job.epochs], strict=True)]

"""Optimizer steps a second of a head on features in memory."""

from __future__ import annotations

import time
from typing import Any

import torch
from bench_job import RATE, Job
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

IMAGES, WIDTH, CLASSES, BATCH = 2**14, 512, 8, 256


def _features() -> tuple[Tensor, Tensor]:
    return torch.randn(IMAGES, WIDTH), torch.randint(CLASSES, (IMAGES,))


def _loader() -> DataLoader[Any]:
    """Whole batches at once, by index: one image after the other would be ten times slower."""
    data = TensorDataset(*_features())
    return DataLoader(data, sampler=BatchSampler(RandomSampler(data), BATCH, drop_last=False), batch_size=None)


class _Clock:
    """Steps a second from the end of the first epoch, when everything is warm, to the end of the last one."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def epoch_ended(self) -> None:
        self.ends.append(time.perf_counter())

    def found(self) -> dict[str, Any]:
        steps = (len(self.ends) - 1) * IMAGES // BATCH
        return {"steps_a_second": steps / (self.ends[-1] - self.ends[0])}


def loop(job: Job) -> dict[str, Any]:
    """A torch loop, nothing around it."""
    torch.manual_seed(job.seed)
    features, labels = _features()
    head, clock = nn.Linear(WIDTH, CLASSES), _Clock()
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE)
    for _ in range(job.epochs):
        for index in torch.randperm(IMAGES).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(head(features[index]), labels[index]).backward()
            optimizer.step()
        clock.epoch_ended()
    return clock.found()


def _lightning(job: Job, *, logs: bool, **settings: Any) -> dict[str, Any]:
    import pytorch_lightning as pl

    pl.seed_everything(job.seed)
    clock = _Clock()

    class Head(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(WIDTH, CLASSES)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            loss = cross_entropy(self.head(batch[0]), batch[1])
            if logs:
                self.log("train_loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=RATE)

    class AtEpochsEnd(pl.Callback):
        def on_train_epoch_end(self, *_: Any) -> None:
            clock.epoch_ended()

    trainer = pl.Trainer(
        max_epochs=job.epochs,
        accelerator="cpu",
        devices=1,
        default_root_dir=job.folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[AtEpochsEnd()],
        **settings,
    )
    trainer.fit(Head(), _loader())
    return clock.found()


def bare(job: Job) -> dict[str, Any]:
    """Lightning without logging, bar and checkpoints."""
    return _lightning(job, logs=False, logger=False, enable_progress_bar=False)


def logging(job: Job) -> dict[str, Any]:
    """Lightning with its logger and its bar, the loss in both."""
    return _lightning(job, logs=True)


def fastai(job: Job) -> dict[str, Any]:
    """fastai as it comes: its recorder and its bar."""
    from fastai.data.core import DataLoaders
    from fastai.learner import Callback, Learner
    from fastai.optimizer import OptimWrapper

    torch.manual_seed(job.seed)
    clock = _Clock()

    class AtEpochsEnd(Callback):  # type: ignore[misc]
        def after_epoch(self) -> None:
            clock.epoch_ended()

    def adamw(groups: Any, **settings: Any) -> Any:
        return OptimWrapper(groups, torch.optim.AdamW, **settings)

    few = TensorDataset(torch.randn(BATCH, WIDTH), torch.randint(CLASSES, (BATCH,)))  # it wants something to validate
    learner = Learner(
        DataLoaders(_loader(), DataLoader(few, batch_size=BATCH), path=job.folder),
        nn.Linear(WIDTH, CLASSES),
        loss_func=nn.CrossEntropyLoss(),
        opt_func=adamw,
        cbs=[AtEpochsEnd()],
        path=job.folder,
    )
    learner.fit(job.epochs, RATE)
    return clock.found()

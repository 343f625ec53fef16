"""Speed of this machine's device at a run's work, measured on a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from statistics import median
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from headstart.runs.cost.job_cost import Speed
from headstart.runs.model_parts.assembly import Assembly
from headstart.runs.training.run_trainer import lone_trainer
from headstart.unfreeze.step_cost import untouched

REPEATS = 3  # timed steps, after one that is not
BATCHES = 30  # of a head on features, by Lightning
MOST_FLOPS = 2e11  # of a measured step on the CPU, where it may take seconds
READ = 32  # images that are read, at least
_MEASURED: dict[Hashable, tuple[float, float, float]] = {}  # network, batch, device -> training, looking, spread
_BATCH_S: dict[str, float] = {}  # kind of device -> seconds


def measured_speed(cfg: DictConfig, parts: Assembly, *, flops: int, forward_flops: int, job_s: float) -> Speed:
    """The speed of the device that the run would have, on random images; the module is as before afterwards.

    Args:
        cfg: Of the run.
        parts: Of the run; the data are set up.
        flops: Of one image, forward and backward, with everything trainable.
        forward_flops: Of one image's forward pass.
        job_s: Seconds that making the run has taken.
    """
    trainer = lone_trainer(cfg.trainer, "precision")
    device = trainer.strategy.root_device
    batch = min(parts.data.batch_size, parts.data.sizes["train"])
    if device.type == "cpu":
        batch = max(2, min(batch, int(MOST_FLOPS / max(1, flops))))
    key = parts.network, parts.backbone.pixels, batch, device.type, str(trainer.precision)
    if key not in _MEASURED:
        _MEASURED[key] = _step_seconds(parts, trainer, batch)
    train_s, look_s, spread = _MEASURED[key]
    return Speed(
        train_flops_s=batch * max(1, flops) / train_s,
        look_flops_s=batch * max(1, forward_flops) / look_s,
        batch_s=loop_seconds(cfg.trainer, device.type),
        read_s=_read_seconds(parts.data),
        job_s=job_s,
        source=f"measured on this {device.type} on {REPEATS} steps of {batch} images, which differed by {spread:.0%}",
    )


def loop_seconds(node: DictConfig, device: str) -> float:
    """Seconds of a step besides its network, of Lightning's loop and the optimizer; measured once a process.

    Args:
        node: Of the trainer.
        device: Kind of device, such as cpu.
    """
    if device not in _BATCH_S:
        _BATCH_S[device] = lightning_batch_s(OmegaConf.create({"_target_": node._target_, "accelerator": device}))
    return _BATCH_S[device]


def _step_seconds(parts: Assembly, trainer: pl.Trainer, batch: int) -> tuple[float, float, float]:
    """Seconds of a training step and of a forward pass, and by how much the steps differed, of their median."""
    module, pixels, device = parts.module, parts.backbone.pixels, trainer.strategy.root_device
    size = (batch, pixels.channels, pixels.size, pixels.size)
    image = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(device)
    label = torch.zeros(batch, dtype=torch.long, device=device)
    context = trainer.precision_plugin.forward_context

    def step() -> None:
        with context():
            loss = cross_entropy(module(image).float(), label)
        loss.backward()  # type: ignore[no-untyped-call]
        module.zero_grad()

    def look() -> None:
        with torch.inference_mode(), context():
            module(image)

    with untouched(module):
        module.to(device)
        try:
            training = _timed(step, device)
            module.eval()
            looking = _timed(look, device)
        finally:
            module.to("cpu")
    return median(training), median(looking), (max(training) - min(training)) / median(training)


def _timed(call: Callable[[], None], device: torch.device) -> list[float]:
    seconds = []
    for _ in range(REPEATS + 1):
        _wait(device)
        begun = time.perf_counter()
        call()
        _wait(device)
        seconds.append(time.perf_counter() - begun)
    return seconds[1:]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Head(pl.LightningModule):
    """A head on features, as small as a step of Lightning can be."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.seconds: list[float] = []

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        self.seconds.append(time.perf_counter())
        loss: Tensor = cross_entropy(self.head(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


def lightning_batch_s(node: DictConfig) -> float:
    """Seconds of one step of a head on features by Lightning, without callbacks; the median.

    Args:
        node: Of the trainer.
    """
    with torch.random.fork_rng():
        module = _Head()
        data = TensorDataset(torch.zeros(BATCHES * 16, 64), torch.zeros(BATCHES * 16, dtype=torch.long))
        trainer = lone_trainer(node, max_epochs=1)
        trainer.fit(module, DataLoader(data, batch_size=16))
    return float(np.median(np.diff(module.seconds)))


def _read_seconds(data: Any) -> float:
    """Seconds in which this process reads and decodes one image; 0 where there is none."""
    workers = getattr(data, "num_workers", None)
    if workers is not None:
        data.num_workers = 0
    count = 0
    try:
        begun = time.perf_counter()
        for batch in data.plain_dataloader("train"):
            count += len(batch.label)
            if count >= READ:
                break
        return (time.perf_counter() - begun) / max(1, count)
    finally:
        if workers is not None:
            data.num_workers = workers

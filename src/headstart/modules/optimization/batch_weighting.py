"""How much each batch counts in an optimizer step: by its images, as they would in one large batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Trainer
from torch import Tensor

from headstart.data.data_protocols import KnownBatchSizes

Shares = Mapping[str, float] | None  # of a batch in its optimizer step, by field


def step_shares(trainer: Trainer, number: int, images: int) -> Shares:
    """What the means over a batch's images are multiplied by, by the batch's field; None where all are 1.

    Lightning divides each loss by trainer.accumulate_grad_batches, however many batches the step really has, and DDP
    takes the mean over devices. With these factors the step's gradient is that of the mean over all images of the step:
    the last batch of an epoch may be smaller, the epoch's end may cut an accumulation, and devices may have unequally
    large batches. The sizes of batches that are still to come are what the loader says (`sizes`); one that does not say
    them is taken to give equally large ones to each device.

    number: the batch's place in the epoch. images: in this device's batch.
    """
    accumulated = trainer.accumulate_grad_batches
    loader: Any = trainer.train_dataloader
    told = isinstance(loader, KnownBatchSizes)  # and then they are the same on all devices
    if accumulated == 1 and (told or trainer.world_size == 1):
        return None
    begin = number - number % accumulated
    numbers = range(begin, int(min(begin + accumulated, trainer.num_training_batches)))
    sizes = loader.sizes(numbers) if told else {"image": [1] * len(numbers)}
    factor = 1.0 if told else _share_of_devices(trainer, images)
    return {field: factor * (accumulated * of[number - begin] / sum(of)) for field, of in sizes.items()}


def _share_of_devices(trainer: Trainer, images: int) -> float:
    """This device's images over the mean of all devices."""
    if trainer.world_size == 1:
        return 1.0
    total = torch.tensor([images], dtype=torch.int64, device=trainer.strategy.root_device)
    dist.all_reduce(total)
    return images * trainer.world_size / int(total)


def in_step(term: Tensor, shares: Shares, field: str) -> Tensor:
    """A term of the loss as it counts in its optimizer step.

    Args:
        term: The mean over a field's images.
        shares: Of the batch in its optimizer step, by field; None where all batches are alike.
        field: Of the batch.
    """
    return term if shares is None else term * shares.get(field, shares["image"])

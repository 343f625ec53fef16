"""What is trained, alike in every run of the benchmark."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset

RANKS, EPOCHS, INTERRUPTED_AFTER = 2, 5, 1  # the last is the epoch whose checkpoint a second process goes on from
RATE, MOMENTUM, DECAY = 0.05, 0.9, 1e-4
CLASSES, SIDE, TRAIN, VAL, BATCH = 10, 16, 512, 128, 16  # the batch is each rank's
STAGES = {"stage1": "backbone.stage1", "stage2": "backbone.stage2", "stage3": "backbone.stage3", "head": "head"}


def part_of(name: str) -> str:
    """The part that a parameter or buffer lies in."""
    return next(part for part, path in STAGES.items() if name.startswith(f"{path}."))


def network() -> tuple[nn.Module, nn.Module]:
    """A backbone of three stages, each convolution, BatchNorm, ReLU; and its head."""

    def stage(width_in: int, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(width_in, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.AvgPool2d(2)
        )

    stages = OrderedDict(stage1=stage(3, 16), stage2=stage(16, 32), stage3=stage(32, 64))
    return nn.Sequential(stages), nn.Linear(64, CLASSES)


def module_of(pl: ModuleType, optimizer: Any) -> Any:
    """A LightningModule of `pytorch_lightning` or of `lightning.pytorch`; optimizer: module -> optimizer."""

    class Task(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network()

        def forward(self, image: Tensor) -> Tensor:
            return self.head(self.backbone(image).mean(dim=(2, 3)))

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return F.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]), sync_dist=True)

        def configure_optimizers(self) -> Any:
            return optimizer(self)

    return Task()


class Share(Sampler[int]):
    """A rank's share of an order that is a function of the seed and the epoch, so that a resumed run sees the same."""

    def __init__(self, size: int, rank: int, seed: int, shuffle: bool) -> None:
        self.size, self.rank, self.seed, self.shuffle, self.epoch = size, rank, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:  # Lightning calls it
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        order = torch.randperm(self.size, generator=chance).tolist() if self.shuffle else list(range(self.size))
        return iter(order[self.rank :: RANKS])

    def __len__(self) -> int:
        return self.size // RANKS


def loaders(rank: int, seed: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Images of ten classes, each a pattern under noise: to train on, to validate on."""
    chance = torch.Generator().manual_seed(seed)
    patterns = torch.randn(CLASSES, 3, SIDE, SIDE, generator=chance)

    def loader(size: int, shuffle: bool) -> DataLoader[Any]:
        label = torch.randint(CLASSES, (size,), generator=chance)
        image = patterns[label] + 2 * torch.randn(size, 3, SIDE, SIDE, generator=chance)
        share = Share(size, rank, seed, shuffle)
        return DataLoader(TensorDataset(image, label), batch_size=BATCH, sampler=share)

    return loader(TRAIN, True), loader(VAL, False)

"""Network and loaders of the peers, alike in each."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from bench_job import BATCH, Job
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOBILENET = {
    "stem": (0, 2),
    "stage1": (2, 4),
    "stage2": (4, 7),
    "stage3": (7, 14),
    "stage4": (14, 18),
    "last": (18, 19),
}


def network(job: Job) -> tuple[nn.Sequential, nn.Linear]:
    """Its backbone: the stages by name, then pooling: images -> features (B, D); and a fresh head."""
    net = getattr(models, job.model)(weights=None)
    net.load_state_dict(torch.load(job.weights, weights_only=True))
    if job.model == "resnet18":
        stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        stages = OrderedDict(stem=stem, **{f"layer{n}": getattr(net, f"layer{n}") for n in (1, 2, 3, 4)})
        width = 512
    else:
        stages = OrderedDict((name, net.features[first:end]) for name, (first, end) in MOBILENET.items())
        width = 1280
    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    return nn.Sequential(OrderedDict(**stages, pooling=pooling)), nn.Linear(width, classes(job))


def classes(job: Job) -> int:
    return sum(1 for entry in Path(job.root, "train").iterdir() if entry.is_dir())


def loaders(job: Job, *, shuffle: bool = True) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Training and validation images as torchvision's references load them."""
    looks = transforms.Compose(
        [
            transforms.Resize(round(job.size * 256 / 224)),
            transforms.CenterCrop(job.size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    made = (
        DataLoader(
            ImageFolder(str(Path(job.root, split)), looks),
            batch_size=BATCH,
            shuffle=shuffle and split == "train",
            num_workers=job.workers,
            persistent_workers=job.workers > 0,
        )
        for split in ("train", "val")
    )
    train, val = made
    return train, val


class Learned:
    """Which parts have learned in each epoch: their weights are others than before; `epochs` has a list for each.

    A number of each part's first and last weights is compared, not all of them: that costs no time.
    """

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        self.parts, self.epochs = parts, []  # type: ignore[var-annotated]
        self._before = self._now()

    def epoch_ended(self) -> None:
        now = self._now()
        self.epochs.append([name for name in self.parts if now[name][0] != self._before[name][0]])
        self.epochs[-1] += [f"{n}'s BatchNorm" for n in self.parts if now[n][1] != self._before[n][1]
                            and n not in self.epochs[-1]]  # fmt: skip
        self._before = now

    def _now(self) -> dict[str, tuple[float, float]]:
        return {name: (_sum(part, norms=False), _sum(part, norms=True)) for name, part in self.parts.items()}


@torch.no_grad()
def _sum(part: nn.Module, *, norms: bool) -> float:
    """Of the first and the last weight of a part's BatchNorms, or of its other layers."""
    weights = [
        one.weight
        for one in part.modules()
        if isinstance(getattr(one, "weight", None), Tensor) and isinstance(one, nn.BatchNorm2d) == norms
    ]
    return float(sum(weight.double().sum() for weight in (weights[0], weights[-1]))) if weights else 0.0


def parts_of(job: Job, backbone: nn.Module, head: nn.Module) -> dict[str, nn.Module]:
    """The parts that a schedule opens, from the input to the head."""
    return {**{name: backbone.get_submodule(name) for name in job.parts[:-1]}, "head": head}

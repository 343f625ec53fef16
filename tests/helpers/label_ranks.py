"""One of two ranks that measure images of several labels together: label_ranks.py <folder>. Rank 1 may have none."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torchmetrics import MetricCollection

from headstart.modules.labels.multi_label import SeveralLabels


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of 30 images."""
    chance = torch.Generator().manual_seed(0)
    label = (torch.rand(30, 3, generator=chance) < 0.4).float()
    return label + torch.randn(30, 3, generator=chance) - 0.5, label


def measured(places: torch.Tensor) -> dict[str, float]:
    """The figures of the images at these places, with what other ranks have measured."""
    kind = SeveralLabels(3)
    figures = MetricCollection(kind.training_metrics() | kind.evaluation_metrics())
    logits, label = images()
    for some in places.split(4):
        if len(some):
            figures.update(logits[some], label[some])
    return {name: value.item() for name, value in figures.compute().items()}


def main(folder: Path) -> None:
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=2)
    metrics = {
        "shared": measured(torch.arange(30)[rank::2]),
        "uneven": measured(torch.arange(30)[:19] if rank == 0 else torch.arange(30)[19:]),
        "empty": measured(torch.arange(30) if rank == 0 else torch.arange(0)),
    }
    (folder / f"{rank}.json").write_text(json.dumps(metrics))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

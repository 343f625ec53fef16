"""The task `describe`: size and cost of a backbone's stages, one by one and up to each."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.stages import Backbone, pooled
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.quiet_logs import quieten
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing

HEADER = ("keep", "stage", "gives", "parameters", "GFLOPs", "", "width", "parameters", "GFLOPs")
TEXT = (1, 2)  # its columns of words


class StageRow(NamedTuple):
    """A stage, and the backbone with keep=n up to it."""

    stage: str
    shape: tuple[int, ...]  # of what it gives for one image
    parameters: int
    flops: int  # of a forward pass of one image
    width: int  # of the features with keep=n
    parameters_so_far: int
    flops_so_far: int


class Description(NamedTuple):
    """All stages of a backbone, and what the images must be."""

    rows: tuple[StageRow, ...]
    pixels: Any  # headstart.types.Pixels
    zoo: tuple[str, str] | None

    def __str__(self) -> str:
        cells = [
            (
                str(number), row.stage, "x".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.flops / 1e9:.3f}",
                "", str(row.width), f"{row.parameters_so_far:,}", f"{row.flops_so_far / 1e9:.3f}",
            )
            for number, row in enumerate(self.rows, start=1)
        ]  # fmt: skip
        widths = [max(len(line[at]) for line in [HEADER, *cells]) for at in range(len(HEADER))]
        lines = [
            "  ".join(
                cell.ljust(width) if at in TEXT else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in [HEADER, *cells]
        ]
        size, channels = self.pixels.size, self.pixels.channels
        weights = f"weights=pretrained: {' '.join(self.zoo)}" if self.zoo else "no library has weights for it"
        return "\n".join([f"images {channels}x{size}x{size}; {weights}", "", *(line.rstrip() for line in lines)])


def describe(*, cfg: DictConfig) -> Description:
    """Print the stages of cfg.backbone, and what keep=n would leave of it, and give them. Nothing is written."""
    quieten()
    backbone: Backbone = instantiate(with_weights_preprocessing(cfg, fetch=False).backbone)
    stages = description(backbone)
    print(stages)
    return stages


def description(backbone: Backbone) -> Description:
    """Measured on a forward pass of one image: matrix products, convolutions and attention count as FLOPs.

    With gradients: without, torch takes a transformer's block as one operation that its counter does not know.
    """
    pixels = backbone.pixels
    x = torch.zeros(1, pixels.channels, pixels.size, pixels.size)
    rows: list[StageRow] = []
    parameters = flops = 0
    backbone.eval()
    for name, stage in backbone.stages.items():
        with FlopCounterMode(display=False) as counter:
            x = stage(x)
        count, cost = sum(p.numel() for p in stage.parameters()), counter.get_total_flops()
        parameters, flops = parameters + count, flops + cost
        rows.append(StageRow(name, tuple(x.shape[1:]), count, cost, pooled(x).shape[1], parameters, flops))
    return Description(tuple(rows), pixels, backbone.zoo)

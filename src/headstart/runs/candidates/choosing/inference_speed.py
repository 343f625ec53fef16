"""How fast a backbone is: the latency of one image, and images a second in a batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from headstart.backbones.stages import Backbone
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.training.run_trainer import lone_trainer

BATCH, REPEATS = 8, 3


class InferenceSpeed(NamedTuple):
    """Of a backbone in eval mode, on the device of the trainer.

    Attributes:
        latency_ms: Milliseconds for one image.
        image_s: Seconds an image in a batch of 8.
        parameters: Of the backbone.
    """

    latency_ms: float
    image_s: float
    parameters: int


def inference_speed(cfg: DictConfig) -> InferenceSpeed:
    """The speed of a config's backbone on black images; medians of three passes after a first one.

    Args:
        cfg: The config of a run.
    """
    with torch.random.fork_rng(devices=[]):
        backbone: Backbone = instantiate(cfg.backbone)
    device = lone_trainer(cfg.trainer, "precision").strategy.root_device
    backbone = backbone.eval().to(device)
    single, batch = (_seconds(backbone, count, device) for count in (1, BATCH))
    return InferenceSpeed(1000 * single, batch / BATCH, sum(p.numel() for p in backbone.parameters()))


def _seconds(backbone: Backbone, count: int, device: torch.device) -> float:
    size = backbone.pixels.size
    images = torch.zeros(count, backbone.pixels.channels, size, size, dtype=torch.uint8, device=device)
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            wait()
            begun = time.perf_counter()
            backbone(images)
            wait()
            seconds.append(time.perf_counter() - begun)
    return median(seconds[1:])

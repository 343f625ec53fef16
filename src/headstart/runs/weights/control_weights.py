"""A control: the same settings with random weights in place of the source's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from headstart.backbones.batch_norm_statistics import norms_of, take_statistics
from headstart.backbones.stages import Backbone
from headstart.compat.pytorch.torch_norms import BatchNorm
from headstart.data.data_protocols import without_labels
from headstart.distributed.rank_agreement import of_first
from headstart.runs.folder.run_naming import is_control
from headstart.runs.model_parts.assembly import Assembly, adaptation_of, regularizer_of
from headstart.runs.training.run_trainer import lone_trainer
from headstart.system import rank_environment
from headstart.types import UserError
from headstart.unfreeze.batch_norm_policy import what_learns
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.schedule_phases import Schedule, checked

log = logging.getLogger(__name__)
IMAGES = 1024  # training images that statistics are measured on, at most
AT_ONCE = 128  # of large images; of smaller ones as many as have PIXELS together
PIXELS = 2**19


def check_control(cfg: DictConfig) -> None:
    """Raise UserError where a control lacks what its method cannot do without: the source's own head."""
    if not is_control(cfg):
        return
    lacking = ""
    regularizer = regularizer_of(cfg)
    if regularizer is not None and regularizer.needs_source_head:
        lacking = f"regularizer {str(cfg.regularizer['_target_']).rpartition('.')[2]} learns from"
    adaptation = adaptation_of(cfg)
    if adaptation is not None and adaptation.main == "unlabelled":
        lacking = f"adaptation {adaptation.option} goes on from"
    if lacking:
        raise UserError(
            f"{lacking} the source's own head, and control=true has none, as its weights are random; try "
            "control=false, with mode=scratch beside it"
        )


def lacks_statistics(parts: Assembly) -> bool:
    """Whether the BatchNorms in the source's stages are as they were made, with mean 0 and variance 1 of no data.

    Such a source has not been trained: frozen, it would be worse than its control for that alone.
    """
    stages = {name: stage for name, stage in parts.backbone.stages.items() if name in parts.from_source}
    norms = [_statistics(norm) for norm in norms_of(stages)]
    return bool(norms) and all(bool((mean == 0).all() and (variance == 1).all()) for mean, variance in norms)


@contextmanager
def measured_statistics(parts: Assembly, data: Any, trainer: DictConfig) -> Iterator[None]:
    """Give BatchNorms that are closed in the first phase the statistics of training images; the others keep theirs.

    A random network that is frozen would be handicapped otherwise: its running statistics (0 and 1) are of no data.
    data: set up; the first IMAGES of its train split are read, in which classes take turns, and no label. All ranks get
    what rank 0 measured. trainer: the node that says on which device.

    While the context lasts, open norms have measured statistics too: a regularizer's copy of the network, which is made
    then, is a random network that stays frozen, whatever learns.
    """
    norms = norms_of(parts.backbone.stages)
    closed = _closed(parts.module, parts.schedule, norms)
    regularizer = parts.module.regularizer
    copied = regularizer is not None and regularizer.runs_copies
    if not closed and not (copied and norms):
        yield
        return
    before = {norm: _statistics(norm) for norm in norms if norm not in closed}
    measure_statistics(parts.backbone, norms, data, trainer)
    yield
    _give(before)


def measure_statistics(backbone: Backbone, norms: list[BatchNorm], data: Any, trainer: DictConfig) -> None:
    """Give BatchNorms the means and variances (n - 1) of what the first training images become; all ranks get the same.

    The images pass in chunks, each normalised by itself as in training; all other layers are in eval(). The size of a
    chunk depends on the size of the images alone, so the values depend on neither batch size nor devices. They are
    exact at any depth where one chunk holds all images, else exact for the first norm and nearly so for later ones.
    """
    if rank_environment.rank() == 0:
        device = lone_trainer(trainer).strategy.root_device
        modes = [(module, module.training) for module in backbone.modules()]
        seen = 0

        def run() -> None:
            nonlocal seen
            for image in _chunks(data, backbone):
                backbone(image.to(device))
                seen += len(image)

        with torch.random.fork_rng(devices=[]):  # a loader draws a number; what comes after is as without it
            take_statistics(norms, lambda: _on(device, backbone, run))
        for module, mode in modes:
            module.training = mode
        log.info("BatchNorm statistics of the random stages are those of %d training images", seen)
    statistics = of_first([_statistics(norm) for norm in norms])
    _give(dict(zip(norms, statistics, strict=True)))


def _on(device: torch.device, backbone: Backbone, run: Any) -> None:
    device_before = next(backbone.parameters()).device
    backbone.to(device).eval()
    try:
        run()
    finally:
        backbone.to(device_before)


def _chunks(data: Any, backbone: Backbone) -> Iterator[Tensor]:
    """The first training images as they enter the backbone, (B, channels, H, W), in chunks of nearly one size."""
    images: list[Tensor] = []
    # of an adaptation the training images may be the source's
    for batch in without_labels(data).plain_dataloader("train"):
        images.append(batch.image)
        if sum(map(len, images)) >= IMAGES:
            break
    first = torch.cat(images)[:IMAGES]
    at_once = max(AT_ONCE, PIXELS // backbone.pixels.size**2)
    yield from first.tensor_split(-(-len(first) // at_once))  # one image alone has no variance


def _closed(module: Any, schedule: Schedule, norms: list[BatchNorm]) -> list[BatchNorm]:
    """Those that do not train in the first phase; the module is as before afterwards."""
    model_parts = ModelParts(module)
    learns = what_learns(module, model_parts, checked(schedule.phases(model_parts.names))[0])
    freezing = Freezing(module, model_parts.parameters)
    freezing.train_only(learns.parameters & freezing.among, learns.frozen_norms)
    closed = [norm for norm in norms if not norm.training]
    freezing.end()
    return closed


def _statistics(norm: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.detach().cpu().clone(), norm.running_var.detach().cpu().clone()


def _give(statistics: dict[BatchNorm, tuple[Tensor, Tensor]]) -> None:
    for norm, (mean, variance) in statistics.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

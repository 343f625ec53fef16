"""How do the parts that a config names come together?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import LightningModule

from headstart.backbones.stages import Backbone


@dataclass(frozen=True)
class Parts:
    """A backbone, the data that give it what it asks for, and the module that trains it on them."""

    backbone: Backbone
    data: Any  # a LightningDataModule with class_names, num_classes, sizes, plain_dataloader
    head: Any
    module: LightningModule


def assembled(cfg: DictConfig, data_node: DictConfig | None = None) -> Parts:
    """The parts of a run: the backbone says which pixels it wants, the data say how many classes there are.

    data_node: other data than cfg.target.
    """
    backbone: Backbone = instantiate(cfg.backbone)
    data = instantiate(data_node or cfg.target, pixels=backbone.pixels, seed=cfg.seed)
    head = instantiate(cfg.head, width=backbone.width, num_classes=data.num_classes)
    module: LightningModule = instantiate(
        cfg.module, backbone=backbone, head=head, num_classes=data.num_classes,
        optimizer=instantiate(cfg.optimizer), scheduler=instantiate(cfg.scheduler),
    )  # fmt: skip
    return Parts(backbone, data, head, module)

"""Forgetting: the source's own test accuracy with the source's head, before and after the target was learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.evaluation.naive_models import wilson_interval
from headstart.features.cache.cached_activations import Engine
from headstart.modules.heads.linear_head import LinearHead
from headstart.runs.folder.run_naming import is_control
from headstart.runs.model_parts.assembly import built
from headstart.runs.training.prepared_run import PreparedRun
from headstart.types import UserError

BEFORE, AFTER = "source/accuracy_before", "source/accuracy_after"
SOURCE = "headstart.runs.weights.source_model.source_weights"


def measures_forgetting(cfg: DictConfig) -> bool:
    """Whether a run measures forgetting: it is asked for, and the run starts from a source's weights.

    Raises UserError where it is asked for and the source's own head or images are not there.
    """
    if not cfg.get("forgetting") or not cfg.reuse or is_control(cfg):
        return False
    if cfg.weights.get("_target_") != SOURCE:
        raise UserError(
            "forgetting=true needs the source's own test images and its head, which weights=source has; "
            "try weights=source data@source=printed, or forgetting=false"
        )
    if cfg.backbone.get("keep") is not None or cfg.head.get("blocks") is not None:
        raise UserError(
            "forgetting=true needs the features that the source's head reads; try backbone.keep=null and head=linear"
        )
    return True


@torch.no_grad()
def source_forgetting(
    cfg: DictConfig, run: PreparedRun, state: Mapping[str, Tensor], trainer: pl.Trainer
) -> dict[str, Any]:
    """{before, after, change, images, interval} of the source's test accuracy.

    `before` is what the source model's own run measured on its test images; `after` has the backbone of this run's
    tested weights, the same head and the same images. interval: of `after`, Wilson's of 95 %.

    Args:
        cfg: The config of the run.
        run: What was fitted.
        state: The tested weights, by their names in checkpoints.
        trainer: Says on which device and in which precision to compute.
    """
    with torch.random.fork_rng(devices=[]):
        backbone = built(cfg).backbone
    own = {name.removeprefix("backbone."): t for name, t in state.items() if name.startswith("backbone.")}
    backbone.load_state_dict(own)
    weights = run.weights
    classes, width = weights.head["linear.weight"].shape
    head = LinearHead(width=width, num_classes=classes, init="random")
    head.load_state_dict(dict(weights.head))
    engine = Engine.of(trainer)
    backbone.to(engine.device).eval()
    head.to(engine.device).eval()
    data = instantiate(cfg.source, batch_size=cfg.weights.batch_size, pixels=backbone.pixels, seed=cfg.weights.seed)
    data.setup("test")
    correct = total = 0
    for batch in data.plain_dataloader("test"):
        with engine.context():
            logits = head(backbone(engine.convert(batch).image.to(engine.device)))
        correct += int((logits.argmax(dim=1).cpu() == batch.label).sum())
        total += len(batch.label)
    # as a share of the images, which float32 has rounded
    before, after = round(weights.facts["metrics"]["test/accuracy"] * total) / total, correct / total
    return {
        "before": before,
        "after": after,
        "change": after - before,
        "images": total,
        "interval": list(wilson_interval(correct, total)),
    }

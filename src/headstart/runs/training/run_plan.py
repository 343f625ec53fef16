"""The plan of a run: its phases, steps, learning rates and cost, known before it starts."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from headstart.callbacks.loggers.logger_display import show_text
from headstart.callbacks.training.time_budget import TimeBudget, budget_of
from headstart.compat.lightning.lightning_trainer import MisconfigurationException
from headstart.data.data_protocols import PairedImages
from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.runs.model_parts.assembly import Assembly
from headstart.runs.training.missing_validation import has_no_val
from headstart.types import UserError
from headstart.unfreeze.batch_norm_policy import WhatLearns
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.phase_begins import RunLength
from headstart.unfreeze.plan_costing import SampleStep, plan_of
from headstart.unfreeze.step_cost import StepCost
from headstart.unfreeze.trainable_share import TrainableShare, share_of
from headstart.unfreeze.unfreezing_plan import Plan

log = logging.getLogger(__name__)
# of networks that this process has measured: by the network, what learns -> what a step costs
_COSTS: dict[Hashable, dict[WhatLearns, StepCost]] = {}
# what a trainer must know to say how long a run is; where and how fast it computes does not matter
LENGTH = (
    "max_epochs", "max_steps", "fast_dev_run", "overfit_batches", "limit_train_batches", "limit_val_batches",
    "limit_test_batches", "accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval",
)  # fmt: skip
IMAGES = 2  # that the cost is measured on; BatchNorm does not train on one


def run_plan(parts: Assembly, trainer: pl.Trainer, *, processes: int, images: int | None = None) -> Plan:
    """The plan of fitting the parts, which are as before afterwards.

    Args:
        parts: Of the run; the data are set up.
        trainer: Of the run's length.
        processes: That share each batch.
        images: As if there were so many to train on; None is as many as there are.
    """
    module, data = parts.module, parts.data
    model_parts = ModelParts(module)
    run = run_of(data, trainer, processes=processes, images=images)
    pixels = parts.backbone.pixels
    image = torch.rand(IMAGES, pixels.channels, pixels.size, pixels.size, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(IMAGES, dtype=torch.long)

    def loss(batch: Tensor) -> Tensor:
        return cross_entropy(module(batch), label)

    return plan_of(
        module,
        model_parts,
        parts.schedule.phases(model_parts.names),
        run=run,
        groups=planned_optimizer(module, trainer, run).param_groups,
        sample=SampleStep(
            images=image, loss=loss, known_costs=_COSTS.setdefault((parts.network, image.shape, _layout(module)), {})
        ),
        batch_size=min(data.batch_size, data.sizes["train"] if images is None else images),
    )


def _layout(module: pl.LightningModule) -> tuple[Any, ...]:
    """The module's tensors, and which of them may learn."""
    parameters = [(name, p.shape, p.dtype, p.requires_grad) for name, p in module.named_parameters()]
    return (*parameters, *((name, buffer.shape) for name, buffer in module.named_buffers()))


def share_of_run(parts: Assembly) -> TrainableShare:
    """How much of the model learns in the run."""
    model_parts = ModelParts(parts.module)
    return share_of(parts.module, model_parts, parts.schedule.phases(model_parts.names))


def log_plan(plan: Plan, loggers: Iterable[Any]) -> None:
    """Say the plan in one message, and in the loggers as the text `plan`."""
    log.info("%s", plan)
    show_text(loggers, "plan", str(plan))


def run_of(data: Any, trainer: pl.Trainer, *, processes: int, images: int | None = None) -> RunLength:
    """How long a fit is, by Lightning's own rules.

    Args:
        data: Of the run, set up.
        trainer: Of the run's length.
        processes: That share each batch.
        images: As if there were so many to train on; None is as many as there are.
    """
    batches = _limited(_batches(data, processes, images), trainer.limit_train_batches)
    if batches == 0:
        raise UserError(
            f"no batch to train on: {data.sizes['train']} images, {processes} x {data.batch_size} a batch, "
            f"trainer.limit_train_batches={trainer.limit_train_batches}"
        )
    _check_shares(data, trainer, processes)
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_interval
    validates = bool(trainer.limit_val_batches) and not has_no_val(data)
    if isinstance(interval, int) and every is not None and interval > batches and validates:
        raise UserError(
            f"trainer.val_check_interval={interval} counts batches within an epoch, and this run's have {batches}; to "
            f"count through all epochs: trainer.check_val_every_n_epoch=null, or trainer.val_check_interval=1.0"
        )
    apart = interval if isinstance(interval, int) else max(1, int(batches * interval))  # batches
    return RunLength(
        steps_per_epoch=math.ceil(batches / trainer.accumulate_grad_batches),
        epochs=_unlimited(trainer.max_epochs),
        max_steps=_unlimited(trainer.max_steps),
        seconds=math.inf if (budget := budget_of(trainer)) is None else budget.seconds,
        validates_first=validates,  # callbacks/training/first_validation.py
        validates_every=math.ceil(apart / batches) if every is None else every,
        validations=max(1, batches // apart) if validates else 0,
    )


def _check_shares(data: Any, trainer: pl.Trainer, processes: int) -> None:
    """Raise UserError where a share of the batches of val or test is less than one; Lightning tells when it is late."""
    for split, limit in (("val", trainer.limit_val_batches), ("test", trainer.limit_test_batches)):
        if not isinstance(limit, float) or limit in (0.0, 1.0) or not data.sizes.get(split):
            continue
        batches = -(-len(getattr(data, f"{split}_dataloader")()) // processes)
        if int(batches * limit) == 0:
            raise UserError(
                f"trainer.limit_{split}_batches={limit:g} of {batches} batches is less than one; try "
                f"trainer.limit_{split}_batches=1, a batch"
            )


def _batches(data: Any, processes: int, images: int | None = None) -> int:
    """How many batches each of the processes gets in an epoch, of as many images as there are or as are given."""
    if processes == 1 and images is None:
        return len(data.train_dataloader())
    length = data.sizes["train"] if images is None else images
    order = EpochOrder(length=length, seed=0)  # the loader itself counts for the processes that there are
    own = len(DeviceBatchSampler(order, batch_size=data.batch_size, rank=0, world_size=processes))
    paired = data.paired if isinstance(data, PairedImages) else None  # the longer of the two is the epoch
    return own if paired is None else max(own, _batches(paired, processes))


def _limited(batches: int, limit: float) -> int:
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _unlimited(count: int | None) -> float:
    return math.inf if count is None or count < 0 else count


def planned_optimizer(module: pl.LightningModule, trainer: pl.Trainer, run: RunLength) -> Optimizer:
    """The optimizer that the module would be trained with.

    Args:
        module: That is trained.
        trainer: Of the run's length.
        run: The run's length.
    """
    module.trainer = _OfLength(trainer, run)  # type: ignore[assignment]
    try:
        made = module.configure_optimizers()
    finally:
        module.trainer = None
    optimizer: Any = made["optimizer"] if isinstance(made, dict) else made
    return optimizer  # type: ignore[no-any-return]


class _OfLength:
    """A trainer that knows how many steps its run has; Lightning's learns it once fit has begun."""

    def __init__(self, trainer: pl.Trainer, run: RunLength) -> None:
        self._trainer, self.estimated_stepping_batches = trainer, run.steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)


def trainer_of_length(node: DictConfig) -> pl.Trainer:
    """A trainer of the same length, for which no other device, no process group and no logger is needed.

    Args:
        node: Of the trainer.
    """
    settings = OmegaConf.to_container(node, resolve=True)
    assert isinstance(settings, dict)
    return pl.Trainer(
        **{key: settings[key] for key in LENGTH if key in settings},
        callbacks=[TimeBudget(settings["max_time"])] if settings.get("max_time") is not None else [],
        accelerator="cpu", devices=1, logger=False, barebones=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def asked_processes(node: DictConfig) -> int:
    """How many processes the run would have; as many as are asked for, whether they are here or not."""
    devices = node.get("devices", "auto")
    if isinstance(devices, ListConfig):
        count = len(devices)
    elif isinstance(devices, int) and devices > 0:
        count = devices
    else:  # auto, -1: all that this machine has
        try:
            count = pl.Trainer(accelerator=node.get("accelerator", "auto"), devices=devices, logger=False).num_devices
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise UserError(f"trainer.devices={devices}: {error}; how many would there be?") from error
    return count * int(node.get("num_nodes", 1))

"""Scenarios of two processes that train one model. Run by test_replicas.py, once a rank; each is a function.

Nothing of headstart's own modules: a plain LightningModule, as anybody's project has it.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Sampler, TensorDataset

from headstart import (
    ChainThaw,
    Explicit,
    Gradual,
    GradualByFraction,
    GradualByPlateau,
    GradualBySteps,
    LpFt,
    Plateau,
    ReplicaCheck,
    Unfreeze,
    parameter_groups,
)
from headstart.callbacks.training.ema import EMA

WORLD = int(os.environ.get("WORLD_SIZE", "1"))  # Lightning takes the variable away when a trainer is done
STAGES = ["first", "second", "head"]
LOSS = Plateau(
    monitor="val/loss", mode="min", patience=1, min_delta=10.0
)  # nothing is that much better: one epoch each
SCHEDULES = {
    "gradual": Gradual(first_epoch=1, every_epochs=1),
    "steps": GradualBySteps(first_step=3, every_steps=4),
    "fraction": GradualByFraction(first=0.2, every=0.3),
    "plateau": GradualByPlateau(until=LOSS),
    "lp_ft": LpFt(until=LOSS, lr=0.02),
    "chain_thaw": ChainThaw(until=Plateau(monitor="val/loss", mode="min", max_epochs=1, return_to_best=True)),
    "explicit": Explicit(
        phases=[
            {"trainable": ["head"], "epochs": 1},
            {"trainable": ["first", r"second\.1\..*"], "epochs": 1, "lr": {"first": 0.01}},
            {"trainable": ["head", "second"], "epochs": 1, "warmup_steps": 3},
            {"trainable": "all"},
        ]
    ),
    "batch_norm": Explicit(
        phases=[
            {"trainable": ["head", "second"], "epochs": 1, "batch_norm": "statistics_frozen"},
            {"trainable": "all", "epochs": 2, "batch_norm": {"first": "all_frozen", "second": "statistics_frozen"}},
            {"trainable": "all"},
        ]
    ),
}
FROZEN_STATISTICS = Explicit(phases=[{"trainable": "all", "batch_norm": "statistics_frozen"}])


class Small(pl.LightningModule):
    """Two stages of convolution and a head."""

    def __init__(self, *, batch_norm, optimizer="sgd", schedule=None):
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else lambda width: nn.GroupNorm(2, width)
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, stride=2), norm(8), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 4 * 4, 3))
        self.optimizer, self.schedule = optimizer, schedule

    def forward(self, x):
        return self.head(self.second(self.first(x)))

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val/loss", cross_entropy(self(batch[0]), batch[1]), sync_dist=True)

    def configure_optimizers(self):
        groups = parameter_groups(self, lr=0.05, stage_decay=0.5, stages=STAGES, schedule=self.schedule)
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, weight_decay=0.1)
        return torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01)


class Shares(Sampler):
    """Each epoch's global batches of 16, of which a rank takes its share."""

    def __init__(self, rank, world):
        self.rank, self.world, self.epoch = rank, world, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        order = np.random.default_rng([3, self.epoch]).permutation(64)
        for begin in range(0, 64, 16):
            yield order[begin : begin + 16][self.rank :: self.world].tolist()

    def __len__(self):
        return 4


class Weights(pl.Callback):
    """Keeps what each epoch ends with, and the bytes that DDP reduces in each step."""

    def __init__(self):
        self.epochs, self.buffers, self.reduced, self.open = [], [], [], []
        self._wrapped = None

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        wrapped = trainer.strategy.model
        self.reduced.append(0)
        self.open.append(sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad))
        if wrapped is not module and wrapped is not self._wrapped:
            wrapped.register_comm_hook(None, self._counted)
            self._wrapped = wrapped

    def _counted(self, state, bucket):
        self.reduced[-1] += bucket.buffer().numel() * bucket.buffer().element_size()
        return allreduce_hook(state, bucket)

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append({name: p.detach().clone() for name, p in module.named_parameters()})

    def on_validation_end(self, trainer, module):
        self.buffers.append({name: b.detach().clone() for name, b in module.named_buffers()})


def fitted(module, schedule, *, more=(), epochs=4, world=None, **trainer):
    world, rank = world or WORLD, int(os.environ.get("LOCAL_RANK", "0"))
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(64, 1, 8, 8, generator=generator), torch.randint(0, 3, (64,), generator=generator)
    data = TensorDataset(images, labels)
    weights = Weights()
    unfreeze = [Unfreeze(schedule, stages=STAGES)] if schedule is not None else []
    pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=world, logger=False, enable_checkpointing=False,
        strategy=DDPStrategy(broadcast_buffers=False) if world > 1 else "auto", use_distributed_sampler=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[*unfreeze, ReplicaCheck(), weights, *more], **trainer,
    ).fit(module, DataLoader(data, batch_sampler=Shares(rank, world)), DataLoader(data, batch_size=32))  # fmt: skip
    return weights


def of_seed(seed=0, **arguments):
    torch.manual_seed(seed)
    return Small(**arguments)


def everything_at_once(out):
    """BatchNorm, momentum, weight decay, accumulation, clipping, EMA, bf16, compiled."""
    module = of_seed(batch_norm=True)
    for part in (module.first, module.second, module.head):
        part.compile(backend="aot_eager")
    seen = fitted(
        module, SCHEDULES["gradual"], more=[EMA(decay=0.9)], epochs=5,
        accumulate_grad_batches=2, gradient_clip_val=0.1, precision="bf16-mixed",
    )  # fmt: skip
    torch.save({"epochs": seen.epochs, "buffers": seen.buffers}, out)


def each_schedule(out):
    """Without BatchNorm, in float32, so that one process with the same global batches can be compared."""
    last = {}
    for name, schedule in SCHEDULES.items():
        seen = fitted(of_seed(batch_norm=False, schedule=schedule), schedule, epochs=5)
        last[name] = seen.epochs
    torch.save(last, out)


def frozen_statistics(out):
    """BatchNorm that normalises no batch by itself, compiled; one process with the same batches can be compared."""
    module = of_seed(batch_norm=True)
    for part in (module.first, module.second, module.head):
        part.compile(backend="aot_eager")
    seen = fitted(module, FROZEN_STATISTICS, epochs=2)
    torch.save({"epochs": seen.epochs, "buffers": seen.buffers}, out)


def bytes_on_the_wire(out):
    seen = {}
    for name in ("gradual", "steps", "explicit"):
        schedule = SCHEDULES[name]
        run = fitted(of_seed(batch_norm=True, optimizer="adamw", schedule=schedule), schedule)
        seen[name] = {"reduced": run.reduced, "open": run.open}
    Path(out).write_text(json.dumps(seen))


def planted_drift(out):
    """One rank changes one weight by one bit."""

    class Nudge(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if trainer.global_rank == 1 and trainer.current_epoch == 1 and batch_idx == 2:
                with torch.no_grad():
                    weight = module.second[0].weight
                    weight.view(torch.int32)[0, 0, 0, 0] += 1

    Path(out).write_text(_message(lambda: fitted(of_seed(batch_norm=True), SCHEDULES["gradual"], more=[Nudge()])))


def lightnings_own_callback(out):
    """What ReplicaCheck says of pytorch_lightning's BackboneFinetuning."""
    from pytorch_lightning.callbacks import BackboneFinetuning

    class Pair(Small):
        def __init__(self):
            super().__init__(batch_norm=False)
            self.backbone = nn.Sequential(self.first, self.second)
            del self.first, self.second

        def forward(self, x):
            return self.head(self.backbone(x))

        def configure_optimizers(self):
            return torch.optim.SGD((p for p in self.parameters() if p.requires_grad), lr=0.05)

    torch.manual_seed(0)
    callback = BackboneFinetuning(unfreeze_backbone_at_epoch=1, backbone_initial_lr=0.05, verbose=False)
    Path(out).write_text(_message(lambda: fitted(Pair(), None, more=[callback])))


def _message(run):
    try:
        run()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for scenario in sys.argv[2:]:
        globals()[scenario](f"{sys.argv[1]}/{scenario}-{os.environ['LOCAL_RANK']}")
    dist.destroy_process_group()

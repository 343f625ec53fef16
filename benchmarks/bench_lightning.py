"""Training with frozen layers as Lightning's documentation shows it.

`transfer` is the page "Transfer Learning"; BackboneFinetuning and BaseFinetuning are Lightning's callbacks. The trainer
is as it comes: with its progress bar, its logger and its checkpoint of each epoch.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from bench_job import DECAY, FEATURES, RATE, Job
from bench_network import Learned, classes, loaders, network, parts_of
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy


def module_of(pl: ModuleType, job: Job, *, frozen: bool = False) -> Any:
    """A LightningModule of `pytorch_lightning` or of `lightning.pytorch`; frozen: its backbone is never trained."""

    class Transfer(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network(job)
            self.accuracy = MulticlassAccuracy(classes(job), average="micro")
            if frozen:
                self.backbone.eval()

        def forward(self, image: Tensor) -> Tensor:
            if frozen:
                with torch.no_grad():
                    features = self.backbone(image)
            else:
                features = self.backbone(image)
            return self.head(features)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            loss = cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            logits = self(batch[0])
            self.accuracy(logits, batch[1])
            self.log("val_loss", cross_entropy(logits, batch[1]))
            self.log("val_accuracy", self.accuracy)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            module = self.head if frozen else self
            learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
            return torch.optim.AdamW(learning, lr=RATE, weight_decay=DECAY)

    return Transfer()


def fitted(pl: ModuleType, job: Job, callbacks: list[Any], *, frozen: bool = False) -> dict[str, Any]:
    """What came of a fit: the final val accuracy, and which parts learned in each epoch."""
    pl.seed_everything(job.seed)
    module = module_of(pl, job, frozen=frozen)
    learned = Learned(parts_of(job, module.backbone, module.head))

    class AtEpochsEnd(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_end(self, *_: Any) -> None:
            learned.epoch_ended()

    trainer = pl.Trainer(
        max_epochs=job.epochs,
        accelerator="cpu",
        devices=1,
        default_root_dir=job.folder,
        callbacks=[*callbacks, AtEpochsEnd()],
    )
    trainer.fit(module, *loaders(job))
    return {"accuracy": float(trainer.callback_metrics["val_accuracy"]), "learned": learned.epochs}


def lightning(job: Job) -> dict[str, Any]:
    """Plain: the backbone under no_grad and in eval(), where it is frozen; else all of it learns."""
    import pytorch_lightning as pl

    return fitted(pl, job, [], frozen=job.task == FEATURES)


def backbone_finetuning(job: Job) -> dict[str, Any]:
    """Lightning's callback, whose backbone opens after the end of the run."""
    import pytorch_lightning as pl

    callback = pl.callbacks.BackboneFinetuning(unfreeze_backbone_at_epoch=job.epochs + 1, train_bn=False)
    return fitted(pl, job, [callback])


def base_finetuning(job: Job) -> dict[str, Any]:
    """A subclass of Lightning's BaseFinetuning that opens what the schedule says."""
    import pytorch_lightning as pl

    class Stages(pl.callbacks.BaseFinetuning):  # type: ignore[misc]
        def freeze_before_training(self, pl_module: Any) -> None:
            self.freeze(pl_module.backbone, train_bn=False)

        def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
            new = set(job.opens(epoch)) - set(job.opens(epoch - 1) if epoch else job.opens(0))
            for part in sorted(new):
                stage = pl_module.backbone.get_submodule(part)
                self.unfreeze_and_add_param_group(stage, optimizer, lr=RATE, initial_denom_lr=1, train_bn=True)

    return fitted(pl, job, [Stages()])

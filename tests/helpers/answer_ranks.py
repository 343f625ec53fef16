"""A classifier that is trained and tested, on one process or as one rank of two: answer_ranks.py <folder>."""

import sys
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.optim.lr_scheduler import ConstantLR

from headstart.backbones.stages import Backbone
from headstart.callbacks.predictions.prediction_storage import ImagePredictions
from headstart.callbacks.timing.validation_times import Timeline
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_loops import validate
from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.modules.classifier import Classifier
from headstart.modules.heads.linear_head import LinearHead
from headstart.types import Pixels
from headstart.unfreeze.schedules.constant import Constant
from numbered import trainer

PIXELS = Pixels(size=4, channels=1, mean=(0.5,), std=(0.25,))
SIZES = {"train": 24, "val": 37, "test": 9}  # no even shares for two ranks


class Noise(InMemory):
    """Images of noise whose brightness is their class, more or less."""

    def load(self):
        drawn = np.random.default_rng(self.seed)
        labelled = {}
        for split, count in SIZES.items():
            label = drawn.integers(0, 2, count)
            image = (drawn.integers(0, 200, (count, 4, 4)) + 20 * label[:, None, None]).astype(np.uint8)
            if self.multi_label:
                label = np.stack([label, drawn.integers(0, 2, count)], axis=1).astype(np.float32)
            labelled[split] = LabelledImages(image, label)
        return labelled


class BeforeTraining(Callback):
    """Validates before the first step, as a run does."""

    def on_train_start(self, trainer, pl_module):
        validate(trainer)


def classifier(*, several):
    torch.manual_seed(0)
    body = {"stage1": nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU()), "stage2": nn.Linear(8, 6)}
    return Classifier(
        backbone=Backbone(body, pixels=PIXELS, keep=None), head=LinearHead(width=6, num_classes=2, init="random"),
        num_classes=2, optimizer=lambda groups, lr=0.05: torch.optim.SGD(groups, lr=lr),
        scheduler=lambda optimizer: ConstantLR(optimizer, factor=1.0, total_iters=1), stage_decay=1.0, layer_decay=1.0,
        label_smoothing=0.0, class_weights=None, scheduler_interval="step", scheduler_monitor="val/loss",
        multi_label=several,
    )  # fmt: skip


def fit(folder, *, ranks, answers=None, several=False, mixin=object, more=(), max_epochs=3, **settings):
    """Train in global batches of 8, 3 an epoch, and test; the folder has metrics.csv and the answers. The data."""
    devices = {"devices": 2, "strategy": DDPStrategy(process_group_backend="gloo")} if ranks == 2 else {"devices": 1}
    answers = answers or ImagePredictions(folder=folder / "answers")
    data = type("Data", (mixin, Noise) if mixin is not object else (Noise,), {"multi_label": several})(
        class_names=("dark", "bright"), batch_size=8 // ranks, num_workers=0, augment=None, pixels=PIXELS, seed=0
    )
    run = trainer(
        folder, max_epochs=max_epochs, **devices, use_distributed_sampler=False,
        logger=CSVLogger(folder, name="", version=""), log_every_n_steps=1,
        callbacks=[Unfreeze(Constant()), Timeline(), answers, BeforeTraining(), *more], **settings,
    )  # fmt: skip
    module = classifier(several=several)
    run.fit(module, datamodule=data)
    answers.tested_step = run.global_step
    run.test(module, datamodule=data, verbose=False)
    return data


if __name__ == "__main__":
    fit(Path(sys.argv[1]), ranks=2)
    torch.distributed.destroy_process_group()

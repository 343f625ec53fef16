"""A small model that is trained in three phases, for tests of optimizers, schedulers and averages."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from headstart import Gradual, Unfreeze, parameter_groups

PARTS = ("first", "second", "head")
RATE = 0.8  # of the head; 0.4 of second, 0.2 of first
STEPS = 4  # an epoch, of one batch each


class ThreeParts(pl.LightningModule):
    """Two stages with BatchNorm and a head; `configure` makes of groups what configure_optimizers gives."""

    def __init__(self, configure, *, figures=(), rate=RATE):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU())
        self.head = nn.Linear(6, 3)
        self.configure, self.figures, self.rate = configure, list(figures), rate

    @property
    def stages(self):
        return {name: getattr(self, name) for name in PARTS}

    def training_step(self, batch, _):
        return cross_entropy(self.head(self.second(self.first(batch[0]))), batch[1])

    def validation_step(self, batch, _):
        loss = cross_entropy(self.head(self.second(self.first(batch[0]))), batch[1])
        self.log("val/loss", self.figures[self.trainer.current_epoch] if self.figures else loss)

    def configure_optimizers(self):
        return self.configure(parameter_groups(self, lr=self.rate, stage_decay=0.5), self.trainer)


def images(*, repeated=False):
    """Sixteen of them; repeated: four, in the same order in each of the batches."""
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(16, 4, generator=generator), torch.arange(16) % 3
    return TensorDataset(inputs[:4].repeat(4, 1), labels[:4].repeat(4)) if repeated else TensorDataset(inputs, labels)


def fitted(module, *callbacks, epochs=3, schedule=None, checkpoint=None, repeated=False, **trainer):
    """The trainer of a run that opens one part more with each epoch."""
    unfreeze = Unfreeze(schedule or Gradual(first_epoch=1, every_epochs=1))
    done = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[unfreeze, *callbacks], **trainer,
    )  # fmt: skip
    data = images(repeated=repeated)
    done.fit(module, DataLoader(data, batch_size=4), DataLoader(data, batch_size=16), ckpt_path=checkpoint)
    return done


def state(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def part(name):
    return name.partition(".")[0]

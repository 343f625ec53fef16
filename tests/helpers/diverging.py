"""A line is fitted with one loss that is not finite, on one process or as one rank of two: diverging.py <folder>."""

import json
import math
import os
import sys
from pathlib import Path

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import DataLoader

from headstart.callbacks.training.divergence import Divergence
from numbered import trainer

EPOCH = 4  # steps


class Line(LightningModule):
    """Adds `bad` to the training loss of the step `train_at`, and to the logits of the batch `val_at` = (step, batch).

    A constant, so that the gradient stays as it is.
    """

    def __init__(self, *, bad=math.nan, train_at=None, val_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(2, 1)
        self.bad, self.train_at, self.val_at = bad, train_at, val_at

    def training_step(self, batch, _):
        return self.layer(batch).square().mean() + (self.bad if self.global_step == self.train_at else 0.0)

    def validation_step(self, batch, number):
        logits = self.layer(batch) + (self.bad if (self.global_step, number) == self.val_at else 0.0)
        return {"logits": logits}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fitted(folder, module, *more, checkpoint=None, skipped_steps=0, **settings):
    divergence = Divergence(skipped_steps=skipped_steps)
    run = trainer(folder, **{"max_epochs": 3, "callbacks": [divergence, *more]} | settings)
    train, val = (DataLoader(torch.ones(8, 2), batch_size=size) for size in (8 // EPOCH, 4))
    run.fit(module, train, val, ckpt_path=checkpoint)
    return divergence


def one_rank(folder):
    """Rank 1 alone has a loss that is not finite; its gradients are, so that nothing else can tell."""
    rank = int(os.environ["LOCAL_RANK"])
    module = Line(train_at=EPOCH if rank else None)
    strategy = DDPStrategy(process_group_backend="gloo")
    divergence = fitted(folder, module, devices=2, strategy=strategy, use_distributed_sampler=False)
    (folder / f"{rank}.json").write_text(json.dumps({"first": divergence.first, "steps": divergence._step}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    one_rank(Path(sys.argv[1]))

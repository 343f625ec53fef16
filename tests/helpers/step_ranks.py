"""A network's weights after one epoch, on one process or as one rank of two: step_ranks.py <folder>."""

import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.strategies import DDPStrategy

from composed import CONF, TINY
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.training.prepared_run import weigh_labels
from numbered import trainer

ONE = [  # no BatchNorm, whose statistics are those of a batch; plain steps along the gradient
    "mode=scratch", "backbone=lenet", "backbone.dropout=0", "optimizer=sgd", "optimizer.lr=0.1",
    "optimizer.weight_decay=0", "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant",
    "target.shots=3",
]  # fmt: skip


def parts_of(*overrides):
    tiny = [override for override in TINY if not override.startswith("backbone.")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*tiny, *ONE, *overrides, "run_dir=run"])
    pl.seed_everything(0, verbose=False)
    parts = assembled(cfg)
    parts.module.begin((), {})
    parts.data.setup("fit")
    weigh_labels(cfg, parts)
    return parts


def stepped(folder, *overrides, loader=None, **settings):
    parts = parts_of(*overrides)
    run = trainer(folder, max_epochs=1, limit_val_batches=0, **settings)
    data = {"datamodule": parts.data} if loader is None else {"train_dataloaders": loader(parts.data)}
    run.fit(parts.module, **data)
    return torch.cat([weight.detach().flatten() for weight in parts.module.parameters()])


class One:
    """A loader of one batch."""

    def __init__(self, batch):
        self.batch = batch

    def __iter__(self):
        yield self.batch

    def __len__(self):
        return 1


def ranks(folder):
    """Two devices: 6 batches to a step of which an epoch has 3; batches of 20 and 10 images that nobody announces."""

    def both():
        return {
            "devices": 2, "strategy": DDPStrategy(process_group_backend="gloo"), "use_distributed_sampler": False
        }  # fmt: skip

    runs = {"accumulated": stepped(folder, "target.batch_size=6", accumulate_grad_batches=6, **both())}
    rank = torch.distributed.get_rank()

    def unequal(data):
        data.setup("fit")
        (batch,) = data.plain_dataloader("train")
        share = slice(0, 20) if rank == 0 else slice(20, None)
        return One(batch._replace(image=batch.image[share], label=batch.label[share], position=None))

    weighted = ["module.class_weights={8: 5, 3: 0.2}", "target.batch_size=10"]
    runs["weighted"] = stepped(folder, *weighted, accumulate_grad_batches=3, **both())
    runs["unequal"] = stepped(folder, "target.batch_size=30", loader=unequal, **both())
    if rank == 0:
        for name, weights in runs.items():
            torch.save(weights, folder / f"{name}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    ranks(Path(sys.argv[1]))

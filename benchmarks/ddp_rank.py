"""One rank of one run.

The record of a run lands in FOLDER/<whole|resumed>-rank<n>.pt: for each epoch the weights, the buffers, what requires a
gradient, and the bytes all-reduced. A resumed run goes on from a checkpoint that the whole run left in the folder.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from ddp_task import EPOCHS, INTERRUPTED_AFTER, RANKS, loaders, module_of
from ddp_ways import WAYS, found
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel


class Bytes:
    """How many bytes of gradients DDP has all-reduced, in whichever wrap of the model."""

    def __init__(self) -> None:
        self.sent = 0
        wrap = DistributedDataParallel.__init__

        def count(group, bucket):  # type: ignore[no-untyped-def]  # DDP refuses annotations that are text
            self.sent += bucket.buffer().numel() * bucket.buffer().element_size()
            return allreduce_hook(group, bucket)

        def counted(ddp: DistributedDataParallel, *args: Any, **kwargs: Any) -> None:
            wrap(ddp, *args, **kwargs)
            ddp.register_comm_hook(None, count)

        DistributedDataParallel.__init__ = counted  # Lightning hands a hook on only where the device is a GPU


def recorder_of(pl: ModuleType, sent: Bytes) -> Any:
    """A callback whose `epochs` are what it saw; it must come after those that unfreeze."""

    class Recorder(pl.Callback):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.epochs: dict[int, dict[str, Any]] = {}
            self.start: dict[str, Tensor] = {}
            self._steps = self._before = 0
            self._open: list[str] = []
            self._training: list[str] = []

        def on_train_start(self, _: Any, pl_module: Any) -> None:
            self.start = _copy(pl_module)

        def on_train_epoch_start(self, *_: Any) -> None:
            self._steps, self._before = 0, sent.sent

        def on_train_batch_end(self, _: Any, pl_module: Any, *__: Any) -> None:
            self._steps += 1
            if self._steps == 1:
                self._open = [name for name, p in pl_module.named_parameters() if p.requires_grad]
                self._training = [
                    name for name, m in pl_module.named_modules() if isinstance(m, _BatchNorm) and m.training
                ]

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if not self._steps:  # the end of an epoch whose checkpoint was saved after its validation
                return
            self.epochs[trainer.current_epoch] = {
                "open": self._open,
                "batch_norm_in_training": self._training,
                "bytes_a_step": (sent.sent - self._before) / self._steps,
                "state": _copy(pl_module),
            }

    return Recorder()


def _copy(module: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def run(way_name: str, seed: int, folder: Path, kind: str, rank: int, port: int) -> None:
    """Run in a process of its own. Ends it with 1 where the run raised."""
    os.environ |= {
        "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    way = WAYS[way_name]
    pl = import_module(way.package)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.ERROR)
    pl.seed_everything(seed, verbose=False)
    recorder = recorder_of(pl, Bytes())
    checkpoints = folder / "checkpoints"
    saver = found(way.checkpoint)(
        dirpath=checkpoints if kind == "whole" else folder / "checkpoints-resumed",
        filename="epoch{epoch}",
        auto_insert_metric_name=False,
        monitor="val_loss",
        save_top_k=-1,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=RANKS,
        strategy=way.strategy,
        max_epochs=EPOCHS,
        callbacks=[*way.callbacks(pl), saver, recorder],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    checkpoint = None if kind == "whole" else checkpoints / f"epoch{INTERRUPTED_AFTER}.ckpt"
    error = None
    if way.by_attribute:
        trainer.ckpt_path, checkpoint = checkpoint, None
    try:
        trainer.fit(module_of(pl, way.optimizer), *loaders(rank, seed), ckpt_path=checkpoint)
    except Exception as caught:  # what a way raises belongs into its row
        error = f"{type(caught).__name__}: {caught}"
        if way_name != "checked":
            traceback.print_exc()
    seen = {"start": recorder.start, "epochs": recorder.epochs, "error": error}
    torch.save(seen, folder / f"{kind}-rank{rank}.pt")
    if error is not None:
        sys.stderr.flush()
        os._exit(1)  # a broken process group would be waited for at exit

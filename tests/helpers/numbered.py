"""Data whose images are numbers, and a model that notes which ones each training step sees.

Run as a program, it is one rank of a fit that test_data_ranks.py starts: numbered.py <folder>.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.types import Batch, Pixels

SIZES = {"train": 21, "val": 10, "test": 6}


class Numbered(InMemory):
    """Plain images of one pixel value each, its number; the classes in blocks, as files often lie."""

    def load(self) -> dict[str, LabelledImages]:
        self.loads = getattr(self, "loads", 0) + 1
        return {
            name: LabelledImages(
                np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 2, 2)).copy(),
                np.sort(np.arange(count) % 3),
            )
            for name, count in SIZES.items()
        }


def numbered(*, seed: int = 0, batch_size: int = 4, num_workers: int = 0) -> Numbered:
    pixels = Pixels(size=2, channels=1, mean=(0.0,), std=(1 / 255,))  # the image's number comes back
    loading = {"batch_size": batch_size, "num_workers": num_workers, "augment": None}
    return Numbered(class_names=("a", "b", "c"), **loading, pixels=pixels, seed=seed)


def numbers(batch: Batch) -> list[int]:
    return batch.image[:, 0, 0, 0].float().round().int().tolist()


def passed(loader: DataLoader[Batch], epoch: int = 0) -> list[list[int]]:
    sampler = getattr(loader.batch_sampler, "sampler", None)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return [numbers(batch) for batch in loader]


class Witness(LightningModule):
    """Notes which images each training step sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[list[int]]] = {}
        self.validated: list[list[int]] = []
        self.tested: list[list[int]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        self.seen.setdefault(self.current_epoch, []).append(numbers(batch))
        return self.weight * batch.image.float().mean()

    def validation_step(self, batch: Batch, _: int) -> None:
        self.validated.append(numbers(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.tested.append(numbers(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path, **settings) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "num_sanity_val_steps": 0, "enable_checkpointing": False}
    return Trainer(default_root_dir=tmp_path, **quiet | settings)


class SaveAfter(Callback):
    """A checkpoint <epoch>-<batches>.ckpt after each of these batches, written when they were trained on."""

    def __init__(self, folder: Path, places: set[tuple[int, int]]) -> None:
        self.folder, self.places = folder, places

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        place = (trainer.current_epoch, batch_idx + 1)
        if place in self.places:
            trainer.save_checkpoint(self.folder / "{}-{}.ckpt".format(*place))


def rank(folder: Path) -> None:
    """Fit and test on two processes, then go on from the middle of an epoch; each rank writes what it saw."""

    def fit(ckpt: Path | None) -> Witness:
        witness = Witness()
        devices = {"devices": 2, "strategy": DDPStrategy(process_group_backend="gloo")}
        engine = trainer(
            folder, max_epochs=3, **devices, use_distributed_sampler=False, callbacks=[SaveAfter(folder, {(1, 1)})]
        )
        engine.fit(witness, datamodule=numbered(num_workers=2), ckpt_path=ckpt)
        engine.test(witness, datamodule=numbered(), verbose=False)
        number = engine.global_rank
        saw = {"seen": witness.seen, "validated": witness.validated, "tested": witness.tested}
        (folder / f"{'resumed' if ckpt else 'whole'}-{number}.json").write_text(json.dumps(saw))
        return witness

    fit(None)
    fit(folder / "1-1.ckpt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    rank(Path(sys.argv[1]))

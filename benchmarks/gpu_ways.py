"""The loops that `benchmarks/gpu.py` compares: each trains all of a network, and times each epoch."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

RATE, DECAY, CLASSES = 1e-3, 0.05, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Epochs:
    """Seconds of each epoch's training, and of those the ones in which the loop waits for a batch."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.epoch_s: list[float] = []
        self.wait_s: list[float] = []
        self._began, self._waited = 0.0, 0.0

    def begin(self) -> None:
        self._waited, self._began = 0.0, self._now()

    def end(self) -> None:
        self.epoch_s.append(self._now() - self._began)
        self.wait_s.append(self._waited)

    def waiting(self, loader: Any) -> Iterator[Any]:
        """The batches of a loader; waiting for each is counted."""
        batches = iter(loader)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def said(self) -> dict[str, Any]:
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else 0.0
        return {"epoch_s": self.epoch_s, "wait_s": self.wait_s, "peak_mib": peak}

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def headstart(given: argparse.Namespace) -> dict[str, Any]:
    """The command itself, as a user writes it; its own account of waiting."""
    from headstart.cli import main

    command = [
        "data@target=image_folder", f"target.root={given.root}", f"target.batch_size={given.batch}",
        f"target.num_workers={given.workers}", f"target.resize={given.size}", f"backbone={given.model}",
        f"backbone.size={given.size}", "mode=scratch", "optimizer=adamw", f"optimizer.lr={RATE}",
        f"optimizer.weight_decay={DECAY}", "scheduler=constant", "trainer.precision=bf16-mixed",
        f"trainer.accelerator={'gpu' if given.device == 'cuda' else 'cpu'}", f"trainer.max_epochs={given.epochs}",
        "hydra.run.dir=run", "+callbacks.bench._target_=gpu_ways.EpochSeconds", "+callbacks.bench.path=epochs.json",
    ]  # fmt: skip
    if main(command):
        raise SystemExit("the command failed")
    result = json.loads(Path("run/result.json").read_text(encoding="utf-8"))
    said: dict[str, Any] = json.loads(Path("epochs.json").read_text(encoding="utf-8"))
    waited = sum(phase["wait_s"] for phase in result["phases"])
    whole = sum(phase["train_s"] for phase in result["phases"])
    return said | {"wait_s": [seconds * waited / whole for seconds in said["epoch_s"]]}


def lightning(given: argparse.Namespace) -> dict[str, Any]:
    """A LightningModule and torch's loader, the trainer as it comes."""
    import pytorch_lightning as pl

    epochs, (train, _) = Epochs(given.device), _loaders(given)

    class Whole(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = _network(given)

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            loss = cross_entropy(self.network(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY)

    class Times(pl.Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            epochs.begin()

        def on_train_epoch_end(self, *_: Any) -> None:
            epochs.end()

    trainer = pl.Trainer(
        max_epochs=given.epochs, accelerator="gpu" if given.device == "cuda" else "cpu", devices=1,
        precision="bf16-mixed", callbacks=[Times()], logger=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Whole(), _Waiting(train, epochs))
    return epochs.said()


def fastai(given: argparse.Namespace) -> dict[str, Any]:
    """A Learner on torch's loaders, with fastai's mixed precision in bfloat16."""
    from fastai.callback.fp16 import MixedPrecision
    from fastai.data.core import DataLoaders
    from fastai.learner import Callback, Learner
    from fastai.optimizer import OptimWrapper

    epochs, (train, val) = Epochs(given.device), _loaders(given)

    class Times(Callback):
        def before_train(self) -> None:
            epochs.begin()

        def after_train(self) -> None:
            epochs.end()

    def adamw(groups: Any, **settings: Any) -> Any:
        return OptimWrapper(groups, torch.optim.AdamW, **settings)

    learner = Learner(
        DataLoaders(_Waiting(train, epochs), val, device=given.device), _network(given).to(given.device),
        loss_func=nn.CrossEntropyLoss(), opt_func=adamw, lr=RATE, wd=DECAY,
        cbs=[Times(), MixedPrecision(amp_mode="bf16")] if given.device == "cuda" else [Times()],
    )  # fmt: skip
    learner.fit(given.epochs)
    return epochs.said()


def timm(given: argparse.Namespace) -> dict[str, Any]:
    """The parts of timm's train.py: its dataset, its loader with the prefetcher, its optimizer, autocast."""
    from timm import create_model
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    epochs, device = Epochs(given.device), torch.device(given.device)
    model = create_model(given.model, num_classes=CLASSES).to(device)
    loader = create_loader(
        create_dataset("", root=str(Path(given.root, "train"))), input_size=(3, given.size, given.size),
        batch_size=given.batch, is_training=True, no_aug=True, num_workers=given.workers, mean=MEAN, std=STD,
        use_prefetcher=given.device == "cuda", device=device, persistent_workers=given.workers > 0,
    )  # fmt: skip
    optimizer = create_optimizer_v2(model, opt="adamw", lr=RATE, weight_decay=DECAY)
    model.train()
    for _ in range(given.epochs):
        epochs.begin()
        for image, label in epochs.waiting(loader):
            with torch.autocast(device.type, torch.bfloat16):
                loss = cross_entropy(model(image.to(device)), label.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epochs.end()
    return epochs.said()


LOOPS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "headstart": headstart, "lightning": lightning, "fastai": fastai, "timm": timm,
}  # fmt: skip


class _Waiting:
    """A loader whose waiting is counted."""

    def __init__(self, loader: DataLoader[Any], epochs: Epochs) -> None:
        self.loader, self.epochs = loader, epochs

    def __iter__(self) -> Iterator[Any]:
        return self.epochs.waiting(self.loader)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["loader"], name)


def _network(given: argparse.Namespace) -> nn.Module:
    from torchvision import models

    network: nn.Module = getattr(models, given.model)(weights=None, num_classes=CLASSES)
    return network


def _loaders(given: argparse.Namespace) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Training and validation images as torchvision's references load them; no change of an image is drawn."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    looks = [transforms.Resize((given.size, given.size)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    train, val = (
        DataLoader(
            ImageFolder(str(Path(given.root, split)), transforms.Compose(looks)), batch_size=given.batch,
            shuffle=split == "train", num_workers=given.workers, persistent_workers=given.workers > 0,
            pin_memory=given.device == "cuda", drop_last=False,
        )
        for split in ("train", "val")
    )  # fmt: skip
    return train, val


try:
    from pytorch_lightning import Callback
except ImportError:  # a machine that has timm alone
    Callback = object


class EpochSeconds(Callback):
    """Writes the seconds of each epoch's training.

    Args:
        path: Of the file.
    """

    def __init__(self, *, path: str) -> None:
        self.path = Path(path).absolute()
        self.epochs = Epochs("cuda" if torch.cuda.is_available() and not os.environ.get("GPU_TESTS_ON") else "cpu")

    def on_train_epoch_start(self, *_: Any) -> None:
        self.epochs.begin()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.epochs.end()
        self.path.write_text(json.dumps(self.epochs.said()), encoding="utf-8")

"""How good is the model before its first step?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from headstart.modules.classifier import Classifier
from headstart.modules.head import LinearHead
from headstart.sharding import load_whole
from headstart.types import Batch


class Start(Callback):
    """Sets a closed-form head, lets the regularizer look at the data, then validates before the first optimizer step.

    train, val: loaders in order, without augmentation, of all images on every rank: each measures the same. head: a
    head like the module's, for the measurement alone. class_means_score: the monitored figure of val, the head set
    in closed form on the train features, whatever head the run itself starts with: so that starts can be compared
    that a random head would leave at chance; NaN where train is None, as its labels are not to be read or nobody asks
    for it. val is None where there are no such images: then nothing is measured. data: that the regularizer looks at.
    """

    def __init__(
        self, *, train: DataLoader[Batch] | None, val: DataLoader[Batch] | None, head: LinearHead, data: Any
    ) -> None:
        self.train, self.val, self.head, self.data = train, val, head, data
        self.class_means_score = float("nan")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        if trainer.global_step > 0:  # a resumed run has had its start
            return
        if self.train is not None:
            self._measure_class_means(trainer, pl_module, self.train)
        _look(pl_module, self.data)
        if self.val is not None:
            _validate(trainer)

    def state_dict(self) -> dict[str, float]:
        return {"class_means_score": self.class_means_score}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.class_means_score = state_dict["class_means_score"]

    def _measure_class_means(self, trainer: Trainer, module: Classifier, train: DataLoader[Batch]) -> None:
        head = self.head.to(module.device)
        convert = trainer.precision_plugin.convert_input
        head.set_class_means(*features_of(module, train, convert))
        if self.val is not None:
            features, labels = features_of(module, self.val, convert)
            self.class_means_score = float(module.labels.score(head(features), labels))
        if module.head.init == "class_means":
            own = {name: tensor.cpu() for name, tensor in head.state_dict().items()}  # or it arrives on rank 0's GPU
            state = trainer.strategy.broadcast(own)  # two GPUs may round differently
            load_whole(module.head, state)
        for logger in trainer.loggers if self.val is not None else ():
            logger.log_metrics({"start/class_means": self.class_means_score}, step=0)


@torch.no_grad()
def features_of(
    module: Classifier, loader: DataLoader[Batch], convert: Callable[[Batch], Batch]
) -> tuple[Tensor, Tensor]:
    """Features (N, D), float32 as the head is that is measured, and labels (N,) of all images of a loader, in eval().

    convert: makes batches what the weights compute with, which are bfloat16 with trainer.precision=bf16-true.
    """
    training = module.training
    module.eval()
    features, labels = [], []
    for batch in loader:
        image = convert(batch).image.to(module.device)
        features.append(module.backbone(image, start=batch.start).float())
        labels.append(batch.label.to(module.device))
    module.train(training)
    return torch.cat(features), torch.cat(labels)


def _look(module: Classifier, data: Any) -> None:
    """Let the regularizer look at the data; all ranks have what rank 0 saw, as two GPUs may round differently."""
    module.look(data)
    if module.regularizer is not None and dist.is_initialized():
        for buffer in module.regularizer.buffers():
            dist.broadcast(buffer, src=0)


def _validate(trainer: Trainer) -> None:
    """Run fit's own validation loop now, as Lightning does between epochs, so that it is logged and checkpointed."""
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True

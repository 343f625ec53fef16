"""How good is the model before its first step?"""

from __future__ import annotations

import copy

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from headstart.modules.classifier import Classifier
from headstart.types import Batch


class Start(Callback):
    """Sets a closed-form head, then validates before the first optimizer step.

    train, val: loaders in order, without augmentation. class_means_accuracy: of val, with the head set in
    closed form on the train features, whatever head the run itself starts with: so that starts can be
    compared that a random head would leave at chance.
    """

    def __init__(self, *, train: DataLoader[Batch], val: DataLoader[Batch]) -> None:
        self.train, self.val = train, val
        self.class_means_accuracy = float("nan")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        if trainer.global_step > 0:  # a resumed run has had its start
            return
        self._measure_class_means(trainer, pl_module)
        _validate(trainer)

    def _measure_class_means(self, trainer: Trainer, module: Classifier) -> None:
        head = copy.deepcopy(module.head)
        head.set_class_means(*_features(module, self.train))
        features, labels = _features(module, self.val)
        self.class_means_accuracy = float((head(features).argmax(dim=1) == labels).float().mean())
        if module.head.init == "class_means":
            module.head.load_state_dict(head.state_dict())
        for logger in trainer.loggers:
            logger.log_metrics({"start/class_means": self.class_means_accuracy}, step=0)


@torch.no_grad()
def _features(module: Classifier, loader: DataLoader[Batch]) -> tuple[Tensor, Tensor]:
    """Features (N, D) and labels (N,) of all images of a loader, the model in eval()."""
    training = module.training
    module.eval()
    batches = [Batch(image.to(module.device), label.to(module.device)) for image, label in loader]
    features = torch.cat([module.backbone(batch.image) for batch in batches])
    module.train(training)
    return features, torch.cat([batch.label for batch in batches])


def _validate(trainer: Trainer) -> None:
    """Run fit's own validation loop now, as Lightning does between epochs, so that it is logged and checkpointed."""
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True

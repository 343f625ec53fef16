"""Metrics of images of one class, by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)

from headstart.modules.metrics.ranking_metrics import AreaUnderRoc
from headstart.types import UserError

TOP = re.compile(r"top(\d+)_accuracy")
NAMES = ("accuracy", "balanced_accuracy", "f1", "auroc", "cohen_kappa", "matthews", "top5_accuracy")


class BalancedAccuracy(MulticlassAccuracy):
    """The mean recall of the classes that some image has, as scikit-learn has it.

    torchmetrics counts a class that no image has with a recall of 0 as soon as one is taken for it.

    Args:
        num_classes: The classes.
    """

    def __init__(self, num_classes: int) -> None:
        # unchecked: the data say what labels there are, and to look for others in each batch makes a GPU wait
        super().__init__(num_classes, average="macro", validate_args=False)

    def compute(self) -> Tensor:
        right, missed = cast(Tensor, self.tp).float(), cast(Tensor, self.fn).float()  # of each class
        images = right + missed
        return (right / images.clamp(min=1)).sum() / (images > 0).sum().clamp(min=1)


def single_label_metric(name: str, classes: int) -> Metric | None:
    """The metric of this name, None where there is none.

    Args:
        name: One of NAMES, or another number in the place of the 5.
        classes: How many classes there are.

    Raises:
        UserError: If so many predictions of an image are always right.
    """
    # unchecked: the data say what labels there are, and to look for others in each batch makes a GPU wait
    if top := TOP.fullmatch(name):
        count = int(top[1])
        if not 0 < count < classes:
            raise UserError(f"module.metric={name} needs more than {count} classes, there are {classes}; try accuracy")
        return MulticlassAccuracy(classes, average="micro", top_k=count, validate_args=False)
    if name == "auroc":
        return AreaUnderRoc(classes, softmax=True)
    makers: dict[str, Callable[[], Metric]] = {
        "accuracy": lambda: MulticlassAccuracy(classes, average="micro", validate_args=False),
        "balanced_accuracy": lambda: BalancedAccuracy(classes),
        "f1": lambda: MulticlassF1Score(classes, average="macro", validate_args=False),
        "cohen_kappa": lambda: MulticlassCohenKappa(classes, validate_args=False),
        "matthews": lambda: MulticlassMatthewsCorrCoef(classes, validate_args=False),
    }
    return makers[name]() if name in makers else None

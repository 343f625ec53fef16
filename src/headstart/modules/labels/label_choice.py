"""The kind of labels of a run: its loss, its metrics and the metric that is followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.number_targets import NumberTargets
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.losses.training_loss import TrainingLoss
from headstart.types import UserError


def labels_of(
    num_classes: int,
    *,
    multi_label: bool,
    regression: bool = False,
    metric: str | None = None,
    loss: Callable[..., Any] | None = None,
    is_weighted: bool = False,
) -> Labels:
    """The kind of labels that the data have.

    Args:
        num_classes: The classes of the labels.
        multi_label: Whether an image may have several labels.
        regression: Whether the targets are numbers.
        metric: The metric that is followed; None is the kind's own.
        loss: In the place of the kind's own loss of training.
        is_weighted: Whether training weights the classes or smooths the labels.

    Raises:
        UserError: If numbers, or a loss that says no terms by class, are to be weighted or smoothed.
    """
    if is_weighted and regression:
        raise UserError(
            "module.class_weights and module.label_smoothing are of classes, and the target has numbers; try "
            "module.class_weights=null module.label_smoothing=0"
        )
    if is_weighted and loss is not None and not isinstance(loss, TrainingLoss):
        raise UserError(
            f"module.loss {type(loss).__name__} is no TrainingLoss, so it can have neither module.class_weights nor "
            "module.label_smoothing; give it its own settings, or try loss@module.loss=focal"
        )
    kind = NumberTargets if regression else SeveralLabels if multi_label else OneLabel
    return kind(num_classes, metric=metric, loss=loss)

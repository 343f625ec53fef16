"""The metrics that a classifier logs, of logits that are at hand."""

from __future__ import annotations

from torch import Tensor

from headstart.modules.labels.label_kinds import Labels


def answer_metrics(labels: Labels, logits: Tensor, label: Tensor, tag: str) -> dict[str, float]:
    """The metrics of such labels, named <tag>/<metric>; the loss is without class weights and label smoothing.

    Args:
        labels: The kind of labels.
        logits: (N, classes), on the CPU.
        label: (N,), or of several labels an image (N, classes), 0 or 1.
        tag: What the names begin with.
    """
    metrics = labels.training_metrics() | labels.evaluation_metrics()
    values = {name: metric(logits, labels.decided(label)) for name, metric in metrics.items()}
    values["loss"] = labels.loss(logits, label)
    return {f"{tag}/{name}": float(value) for name, value in values.items()}

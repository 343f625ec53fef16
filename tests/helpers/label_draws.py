"""Logits and labels of images with several labels, and the metrics of a kind of labels."""

import numpy as np
import torch
from torchmetrics import MetricCollection


def several(rng, images=60, classes=4):
    """Logits, rounded so that some are equal, and labels of which the last class is rare."""
    label = (rng.random((images, classes)) < [0.6, 0.4, 0.3, 0.1][:classes]).astype(np.float32)
    logits = np.round(label + rng.normal(-0.3, 1, (images, classes)), 1).astype(np.float32)
    return torch.from_numpy(logits), torch.from_numpy(label)


def measured(kind, batches):
    """The metrics that training and evaluation log, over batches of logits and labels."""
    metrics = MetricCollection(kind.training_metrics() | kind.evaluation_metrics())
    for logits, label in batches:
        metrics.update(logits, label)
    return {name: value.item() for name, value in metrics.compute().items()}

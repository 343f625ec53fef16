"""Predictions for the explained images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from headstart.explain.picture_protocol import Subject


class ExplainedPrediction(NamedTuple):
    """Of one image: the name, the true class or labels, and what the network says."""

    name: str
    label: str | None  # None: nobody knows
    said: str
    right: bool | None  # None: nobody knows


def explained_predictions(subject: Subject) -> list[ExplainedPrediction]:
    """One for each image, in their order; to be called within network.at_rest().

    Of one class: the likeliest and its probability. Of several labels: those with a probability above 1/2.
    """
    network, images = subject.network, subject.images
    predictions = []
    for at in range(0, len(images), subject.batch_size):
        part = slice(at, at + subject.batch_size)
        with torch.no_grad():
            probabilities = network.probabilities(network.entering(images.pixels[part])).cpu()
        labels = [None] * len(probabilities) if images.label is None else images.label[part].cpu()
        of = _several if network.several else _single
        predictions += [
            of(subject, name, row, label)
            for name, row, label in zip(images.names[part], probabilities, labels, strict=True)
        ]
    return predictions


def _single(subject: Subject, name: str, probabilities: Tensor, label: Tensor | None) -> ExplainedPrediction:
    best = int(probabilities.argmax())
    predicted = f"{subject.called(best)} ({float(probabilities[best]):.2f})"
    return (
        ExplainedPrediction(name, None, predicted, None)
        if label is None
        else ExplainedPrediction(name, subject.called(int(label)), predicted, best == int(label))
    )


def _several(subject: Subject, name: str, probabilities: Tensor, label: Tensor | None) -> ExplainedPrediction:
    above = probabilities > 0.5
    predicted = _listed(subject, above)
    return (
        ExplainedPrediction(name, None, predicted, None)
        if label is None
        else ExplainedPrediction(name, _listed(subject, label > 0), predicted, bool((above == (label > 0)).all()))
    )


def _listed(subject: Subject, chosen: Tensor) -> str:
    return ", ".join(subject.called(int(number)) for number in chosen.nonzero().flatten()) or "none"

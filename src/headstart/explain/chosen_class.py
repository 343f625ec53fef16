"""The class for which an image is explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from headstart.explain.picture_protocol import Subject

Of = Literal["label", "prediction"]


class ExplainedClass(NamedTuple):
    """An image as it enters the network, and the class of which it is explained."""

    position: int  # of the image among those that are explained
    x: Tensor  # (1, C, H, W), normalised
    number: int  # of the class
    said: str  # image and class, to begin a caption with

    @property
    def name(self) -> str:
        """Of a file."""
        return f"{self.position + 1:03d}"


def explained(subject: Subject, *, of: Of, title: str) -> Iterator[ExplainedClass]:
    """Each image with its class, one at a time, under a bar with that title.

    of: label = the true class, where it is known and there is one; else, and with prediction, the likeliest.
    """
    network, images = subject.network, subject.images
    for n in subject.progress(range(len(images)), title=title):
        x = network.entering(images.pixels[n : n + 1])
        with torch.no_grad():
            likeliest = int(network.logits(x).argmax())
        known = of == "label" and images.label is not None and images.label.ndim == 1
        number = int(images.label[n]) if known and images.label is not None else likeliest
        meaning = "the true class" if known else "the predicted class"
        if known:
            meaning += ", as predicted" if number == likeliest else f"; predicted is {subject.called(likeliest)}"
        yield ExplainedClass(n, x, number, f"{images.names[n]}, the logit of {subject.called(number)} ({meaning})")

"""Gradient of a class's logit with respect to the pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from headstart.explain.chosen_class import Of, explained
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.rendering import map_rendering

PEAK = 0.99  # of the values that a map is scaled by; single pixels are far above the others


class Gradient:
    """The gradient of a class's logit with respect to the image.

    Args:
        of: The class: `label` takes the true one where it is known, else the predicted one; `prediction` always takes
            the predicted one.
    """

    title = "Gradients"
    about = (
        "Beside the image the gradient of a class's logit in the image's own colours (middle grey is 0), and its "
        "largest magnitude among the colours (Simonyan et al. 2013): bright pixels are those by which the logit would "
        "change most, whichever way. Noise is what gradients of deep networks look like; smooth_grad takes it away."
    )

    def __init__(self, *, of: Of) -> None:
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image."""
        for explained_class in explained(subject, of=self.of, title="gradient"):
            signal = gradient(subject.network, explained_class.x, index=torch.tensor([explained_class.number]))[0].cpu()
            image = beside(subject.images.pixels[explained_class.position], signal)
            yield Shown(explained_class.name, image, f"{explained_class.said}: image, gradient, its magnitude", ALT)


ALT = "The image, a grey picture of the same size with coloured grains, and a dark one with the brightest of them."


def gradient(network: Network, x: Tensor, *, index: Tensor) -> Tensor:
    """The derivatives of the logits of classes index (B,) with respect to normalised images x (B, C, H, W), as x.

    Simonyan, Vedaldi & Zisserman 2013 (arXiv:1312.6034), eq. 4. To be called within network.at_rest().
    """
    leaf = x.detach().clone().requires_grad_()
    logits = network.logits(leaf.clone())  # a copy: what works in place must not meet a leaf
    return of_classes(logits, leaf, index)


def of_classes(logits: Tensor, leaf: Tensor, index: Tensor) -> Tensor:
    """The derivatives of logits (B, classes) of classes index (B,) with respect to what they were computed of."""
    chosen = logits.gather(1, index.to(logits.device)[:, None])
    (signal,) = torch.autograd.grad(chosen.sum(), leaf)
    return signal


def magnitude(signal: Tensor) -> Tensor:
    """The largest magnitude among the channels: (B, C, H, W) -> (B, H, W), or without the B.

    Simonyan et al. 2013 (arXiv:1312.6034), section 3.1.
    """
    return signal.abs().amax(dim=-3)


def beside(image: Tensor, signal: Tensor) -> map_rendering.RgbImage:
    """An image (C, H, W), uint8, beside what lies around 0 of the same shape, in its colours and as magnitudes."""
    size = magnitude(signal)
    most = peak(size)
    tiles = [
        map_rendering.photo(image),
        map_rendering.projection(signal, scale=most),
        map_rendering.heat(size, low=0.0, high=most, colours="inferno"),
    ]
    return map_rendering.sheet([map_rendering.larger(tile) for tile in tiles], columns=3)


def peak(size: Tensor) -> float:
    """A magnitude (H, W) that one pixel in a hundred exceeds, the largest where that is 0."""
    values = size.flatten().float()
    return float(values.quantile(PEAK)) or float(values.max())

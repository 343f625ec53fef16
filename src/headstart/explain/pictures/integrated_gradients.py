"""Integrated gradients: each pixel's part in a class's logit, relative to a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge
from captum.attr import IntegratedGradients as OfCaptum
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from headstart.explain.chosen_class import Of, explained
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.rendering import map_rendering

Baseline = Literal["black", "grey", "blurred"]
BLUR = 0.1  # the standard deviation of a blurred baseline, of the image's side


class PixelShares(NamedTuple):
    """What each value of an image added to a logit."""

    values: Tensor  # (C, H, W)
    difference: float  # the image's logit less the baseline's, which the values should sum to
    gap: float  # their sum less that


class IntegratedGradients:
    """The mean gradient of a class's logit between a baseline and the image, times the difference of the two.

    Args:
        baseline: black; grey, the mean of the backbone's pixels; or blurred, the image without small details.
        steps: Gradients between the two.
        of: The class: `label` takes the true one where it is known, else the predicted one; `prediction` always takes
            the predicted one.
    """

    title = "Integrated gradients"
    about = (
        "Beside the image what each pixel added to a class's logit (red) or took from it (blue), counted from a "
        "baseline (Sundararajan et al. 2017). All together are the difference of the two logits; the caption says how "
        "far from it this sum is, which more steps make smaller. Where the image is as the baseline, nothing is "
        "counted: with black, what is dark can say nothing."
    )

    def __init__(self, *, baseline: Baseline, steps: Annotated[int, Ge(1)], of: Of) -> None:
        self.baseline: Baseline = baseline
        self.steps = steps
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image."""
        network = subject.network
        for explained_class in explained(subject, of=self.of, title="integrated gradients"):
            integrated = integrated_gradients(
                network,
                explained_class.x,
                baseline(network, explained_class.x, kind=self.baseline),
                index=explained_class.number,
                steps=self.steps,
                batch_size=subject.batch_size,
            )
            shares = integrated.values.sum(dim=0).cpu()
            photo = map_rendering.photo(subject.images.pixels[explained_class.position])
            faint = map_rendering.photo(
                subject.images.pixels[explained_class.position].float().mean(0, keepdim=True).byte()
            )
            painted = map_rendering.signed(shares)
            tiles = [photo, painted, map_rendering.over(faint, painted, opacity=0.7)]
            caption = (
                f"{explained_class.said}: {integrated.difference:+.3g} from a {self.baseline} image to this one; "
                f"the pixels sum to {integrated.difference + integrated.gap:+.3g} in {self.steps} steps"
            )
            yield Shown(
                explained_class.name,
                map_rendering.sheet([map_rendering.larger(tile) for tile in tiles], columns=3),
                caption,
                ALT,
            )


ALT = "The image, a white picture with red and blue grains where pixels spoke for and against the class, and both."


def integrated_gradients(
    network: Network, x: Tensor, start: Tensor, *, index: int, steps: int, batch_size: int
) -> PixelShares:
    """(x - start) times the mean of the logit's gradients on the straight way from start to x, (1, C, H, W) both.

    index: the class. The integral is a Gauss-Legendre sum of so many steps, batch_size of them at once at most.
    Sundararajan, Taly & Yan 2017 (arXiv:1703.01365), eq. 1. To be called within network.at_rest().
    """
    captum = OfCaptum(lambda images: network.logits(images.clone()))
    values, gap = captum.attribute(
        x.detach().clone().requires_grad_(),
        start,
        target=index,
        n_steps=steps,
        internal_batch_size=batch_size,
        return_convergence_delta=True,
    )
    values = values.detach()[0]
    return PixelShares(values, float(values.double().sum()) - float(gap), float(gap))


def baseline(network: Network, x: Tensor, *, kind: Baseline) -> Tensor:
    """An image (1, C, H, W), normalised, that says nothing, or little, of a normalised x of that shape.

    grey is 0: the mean of the data that the network was made for. Edges of what is blurred are mirrored.
    """
    if kind == "grey":
        return torch.zeros_like(x)
    if kind == "black":
        return network.entering(torch.zeros_like(x, dtype=torch.uint8))
    sigma = [BLUR * side for side in x.shape[2:]]
    reach = [min(math.ceil(3 * radius), side - 1) for radius, side in zip(sigma, x.shape[2:], strict=True)]
    blurred: Tensor = gaussian_blur(x, [2 * radius + 1 for radius in reversed(reach)], sigma[::-1])
    return blurred

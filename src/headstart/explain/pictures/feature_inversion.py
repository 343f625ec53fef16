"""Images that have the same features after a stage as a given one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from headstart.backbones.denormalise import eight_bit
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.rendering.map_rendering import enlarged, photo, sheet
from headstart.types import Pixels

NOISE = 0.1  # standard deviation of the noise that an image starts from, in that of the pixels


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """Optimization of an image towards given features.

    Args:
        steps: Of Adam.
        lr: Of Adam at the first step; it falls to 0.
        alpha: Power of the norm.
        alpha_weight: Weight of the norm.
        beta: Power of the total variation.
        variation_weight: Weight of the total variation.
    """

    steps: int
    lr: float
    alpha: float
    alpha_weight: float
    beta: float
    variation_weight: float


class FeatureInversion:
    """Images optimized from noise until a stage gives the same features for them as for the given image.

    Args:
        stages: Names of stages; None means all.
        images: How many of the explained images.
        steps: Of Adam.
        lr: Of Adam at the first step; it falls to 0.
        alpha: Power of the norm.
        alpha_weight: Weight of the norm.
        beta: Power of the total variation.
        variation_weight: Weight of the total variation.
        seed: Of the noise.
        side: Pixels of a tile.
    """

    title = "Feature inversion"
    about = (
        "The image, and then for each stage an image made from noise to which that stage gives the same answer, as far "
        "as it was found (Mahendran & Vedaldi 2015). What is missing from it the network has left behind by then. The "
        "error is the distance of the two answers over the length of the image's own."
    )

    def __init__(
        self,
        *,
        stages: Sequence[str] | None,
        images: Annotated[int, Ge(1)],
        steps: Annotated[int, Ge(1)],
        lr: Annotated[float, Gt(0)],
        alpha: Annotated[float, Ge(1)],
        alpha_weight: Annotated[float, Ge(0)],
        beta: Annotated[float, Ge(1)],
        variation_weight: Annotated[float, Ge(0)],
        seed: int,
        side: Annotated[int, Ge(8), Le(1024)],
    ) -> None:
        self.stages, self.images, self.seed, self.side = stages, images, seed, side
        self.settings = InversionSettings(
            steps=steps, lr=lr, alpha=alpha, alpha_weight=alpha_weight, beta=beta, variation_weight=variation_weight
        )

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """A row for each image: the image, and the inverted features of each stage."""
        network, pixels = subject.network, subject.network.backbone.pixels
        chosen = network.chosen(self.stages)
        count = min(self.images, len(subject.images))
        for start in range(0, count, subject.batch_size):
            images = subject.images.pixels[start : min(start + subject.batch_size, count)]
            x = network.entering(images)
            start_image = torch.stack([noise(x.shape[1:], seed=self.seed + start + nth) for nth in range(len(x))]).to(x)
            inversions, errors = [], []
            for stage in chosen:
                progress = partial(subject.progress, title=f"inverting {stage}")
                inversion, error = inverted(network, x, start_image, stage, self.settings, progress=progress)
                inversions.append(eight_bit(inversion.float().cpu(), pixels))
                errors.append(error)
            for nth, image in enumerate(images):
                tiles = [photo(image), *(photo(inversion[nth]) for inversion in inversions)]
                name = subject.images.names[start + nth]
                listed = ", ".join(f"{stage} {float(e[nth]):.2g}" for stage, e in zip(chosen, errors, strict=True))
                yield Shown(
                    f"{start + nth:03d}",
                    sheet([enlarged(tile, self.side, smooth=True) for tile in tiles], columns=4),
                    f"{name}, then what {', '.join(chosen)} have kept of it. Relative errors after "
                    f"{self.settings.steps} steps: {listed}.",
                    f"{name} and {len(chosen)} images made from its features.",
                )


def noise(shape: Sequence[int], *, seed: int) -> Tensor:
    """An image (C, H, W) of normal noise, without a draw from torch's global RNG."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * NOISE


def inverted(
    network: Network,
    x: Tensor,
    start_image: Tensor,
    stage: str,
    settings: InversionSettings,
    *,
    progress: Callable[[Iterable[int]], Iterable[int]],
) -> tuple[Tensor, Tensor]:
    """Images z whose features f(z) after a stage are nearly the features f(x) of given images.

    Adam minimises |f(z) - f(x)|^2 / |f(x)|^2 + alpha_weight norm(z, alpha) + variation_weight stride variation(z, beta)
    of each image, stride = pixels from one place of the stage to the next: the fewer the places, the less they say
    about a pixel. Mahendran & Vedaldi 2015 (arXiv:1412.0035), eq. 3, who choose the weight by layer and take momentum
    in place of Adam; here each value stays in the range of a pixel. To be called within network.at_rest().

    Args:
        network: That has the stage.
        x: Normalised images (B, C, H, W).
        start_image: Where the optimization begins, like x.
        stage: Whose features are inverted.
        settings: Of the optimization.
        progress: Shows the steps.

    Returns:
        The images, like x, and the errors |f(z) - f(x)| / |f(x)| at the end (B,).

    Raises:
        UserError: There is no such stage.
    """
    with torch.no_grad():
        target = network.activations(x, stage).float()
        length = target.flatten(1).square().sum(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    weight = settings.variation_weight * stride_of(x, target)
    low, high = _range(network.backbone.pixels, x)

    def distance(z: Tensor) -> Tensor:
        """The squared relative error (B,)."""
        return (network.activations(z, stage).float() - target).flatten(1).square().sum(dim=1) / length

    z = start_image.clamp(low, high).requires_grad_()
    adam = torch.optim.Adam([z], lr=settings.lr)
    for step in progress(range(settings.steps)):
        adam.param_groups[0]["lr"] = settings.lr * (1 + math.cos(math.pi * step / settings.steps)) / 2
        loss = distance(z.clone())  # a copy: an in-place operation on a leaf is an error
        loss = loss + settings.alpha_weight * norm(z, settings.alpha) + weight * variation(z, settings.beta)
        (z.grad,) = torch.autograd.grad(loss.sum(), z)
        adam.step()
        with torch.no_grad():
            z.clamp_(low, high)
    with torch.no_grad():
        return z.detach(), distance(z.clone()).sqrt()


def stride_of(x: Tensor, activations: Tensor) -> float:
    """The root of how many pixels of images (B, C, H, W) there are for each place of a stage; features have one."""
    placed = activations.flatten(2).shape[2] if activations.ndim == 4 else math.prod(activations.shape[1:-1])
    return math.sqrt(x.shape[2] * x.shape[3] / placed)


def norm(x: Tensor, alpha: float) -> Tensor:
    """Mean over an image's values of |x|^alpha: (B, C, H, W) -> (B,); the paper has the sum, which grows with size."""
    return x.abs().pow(alpha).flatten(1).mean(dim=1)


def variation(x: Tensor, beta: float) -> Tensor:
    """Mean over places and channels of ((right - here)^2 + (below - here)^2)^(beta / 2): (B, C, H, W) -> (B,).

    Mahendran & Vedaldi 2015, section 3, which has the sum; of the places that have both neighbours.
    """
    corner, right, below = x[..., :-1, :-1], x[..., :-1, 1:], x[..., 1:, :-1]
    squares = (right - corner).square() + (below - corner).square()
    tiny = torch.finfo(x.dtype).tiny  # a root has no finite slope at 0
    return squares.clamp_min(tiny).pow(beta / 2).flatten(1).mean(dim=1)


def _range(pixels: Pixels, x: Tensor) -> tuple[Tensor, Tensor]:
    """The normalised values of black and white, each (C, 1, 1)."""
    mean, std = (torch.tensor(values).to(x)[:, None, None] for values in (pixels.mean, pixels.std))
    return -mean / std, (1 - mean) / std

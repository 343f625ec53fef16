"""What of an image is still there after a stage?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from headstart.backbones.denormalise import eight_bit
from headstart.explain.explained_network import Network
from headstart.explain.map_rendering import enlarged, photo, sheet
from headstart.explain.picture_protocol import Shown, Subject
from headstart.types import Pixels

NOISE = 0.1  # standard deviation of the noise that an image starts from, in that of the pixels


class FeatureInversion:
    """Images made from noise until a stage answers to them as it does to the given one.

    stages: null = all. images: so many of the explained ones. steps, lr: of Adam, whose rate falls to 0. alpha, beta:
    powers of the norm and of the total variation, alpha_weight, variation_weight: how much these count.
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
        self.stages, self.images, self.steps, self.lr, self.seed, self.side = stages, images, steps, lr, seed, side
        self.alpha, self.alpha_weight = alpha, alpha_weight
        self.beta, self.variation_weight = beta, variation_weight

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """A row for each image: itself, and what came out of each stage."""
        network, pixels = subject.network, subject.network.backbone.pixels
        chosen = network.chosen(self.stages)
        count = min(self.images, len(subject.images))
        for start in range(0, count, subject.batch_size):
            images = subject.images.pixels[start : min(start + subject.batch_size, count)]
            x = network.entering(images)
            begun = torch.stack([noise(x.shape[1:], seed=self.seed + start + nth) for nth in range(len(x))]).to(x)
            made, errors = [], []
            for stage in chosen:
                found, error = inverted(
                    network, x, begun, stage=stage, steps=self.steps, lr=self.lr, alpha=self.alpha,
                    alpha_weight=self.alpha_weight, beta=self.beta, variation_weight=self.variation_weight,
                    progress=partial(subject.progress, title=f"inverting {stage}"),
                )  # fmt: skip
                made.append(eight_bit(found.float().cpu(), pixels))
                errors.append(error)
            for nth, image in enumerate(images):
                tiles = [photo(image), *(photo(one[nth]) for one in made)]
                name = subject.images.names[start + nth]
                told = ", ".join(f"{stage} {float(e[nth]):.2g}" for stage, e in zip(chosen, errors, strict=True))
                yield Shown(
                    f"{start + nth:03d}",
                    sheet([enlarged(tile, self.side, smooth=True) for tile in tiles], columns=4),
                    f"{name}, then what {', '.join(chosen)} have kept of it. Relative errors after {self.steps} steps: "
                    f"{told}.",
                    f"{name} and {len(chosen)} images made from its features.",
                )


def noise(shape: Sequence[int], *, seed: int) -> Tensor:
    """An image (C, H, W) of normal noise, without a draw from torch's own random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * NOISE


def inverted(
    network: Network,
    x: Tensor,
    begun: Tensor,
    *,
    stage: str,
    steps: int,
    lr: float,
    alpha: float,
    alpha_weight: float,
    beta: float,
    variation_weight: float,
    progress: Callable[[Iterable[int]], Iterable[int]],
) -> tuple[Tensor, Tensor]:
    """Images whose features are nearly those of normalised images x (B, C, H, W) -> them, like x, and errors (B,).

    From begun, like x, so many steps of Adam on
    |f(z) - f(x)|^2 / |f(x)|^2 + alpha_weight norm(z, alpha) + variation_weight stride variation(z, beta)
    of each image, f = what the stage gives, stride = pixels from one of its places to the next: the fewer the places,
    the less they say of a pixel. Mahendran & Vedaldi 2015 (arXiv:1412.0035), eq. 3, who choose the weight by layer;
    by Adam in place of momentum, and z is held to what a pixel can be. The error is |f(z) - f(x)| / |f(x)| at the end.
    To be called within network.at_rest(). Raises UserError where there is no such stage.
    """
    with torch.no_grad():
        target = network.activations(x, stage).float()
        length = target.flatten(1).square().sum(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    weight = variation_weight * stride_of(x, target)
    low, high = _range(network.backbone.pixels, x)

    def distance(z: Tensor) -> Tensor:
        """Squared and relative, (B,)."""
        return (network.activations(z, stage).float() - target).flatten(1).square().sum(dim=1) / length

    z = begun.clamp(low, high).requires_grad_()
    adam = torch.optim.Adam([z], lr=lr)
    for step in progress(range(steps)):
        adam.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        whole = distance(z.clone())  # a copy: what works in place must not meet a leaf
        whole = whole + alpha_weight * norm(z, alpha) + weight * variation(z, beta)
        (z.grad,) = torch.autograd.grad(whole.sum(), z)
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
    here, right, below = x[..., :-1, :-1], x[..., :-1, 1:], x[..., 1:, :-1]
    squares = (right - here).square() + (below - here).square()
    tiny = torch.finfo(x.dtype).tiny  # a root has no finite slope at 0
    return squares.clamp_min(tiny).pow(beta / 2).flatten(1).mean(dim=1)


def _range(pixels: Pixels, x: Tensor) -> tuple[Tensor, Tensor]:
    """What black and white are to the network, each (C, 1, 1)."""
    mean, std = (torch.tensor(one).to(x)[:, None, None] for one in (pixels.mean, pixels.std))
    return -mean / std, (1 - mean) / std

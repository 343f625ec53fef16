"""A random part of each training image, at the size of the whole."""

from __future__ import annotations

from math import log
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.types import UserError

TRIES = 10  # torchvision's
Part = Annotated[float, Interval(gt=0, le=1)]
Positive = Annotated[float, Interval(gt=0)]


class RandomResizedCrop:
    """A random part of each image, bilinearly resized to the size of the whole.

    Szegedy et al. 2015 (arXiv:1409.4842), drawn as torchvision's RandomResizedCrop draws: a part that does not fit is
    drawn anew, and the tenth time the whole image is taken. Where torchvision's usually cuts from the photo as it was
    taken, this one cuts from what the backbone would see of it, which is already resized and centre-cropped: what lies
    outside of the centre is never seen, and a small part is enlarged, with less detail than the photo may have had.

    Args:
        scale: The part's area as a share of the image's, from and to, uniform.
        ratio: The part's width over its height, from and to, uniform in its logarithm.

    Raises UserError where a range is upside down.
    """

    def __init__(self, *, scale: tuple[Part, Part], ratio: tuple[Positive, Positive]) -> None:
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if low > high:
                raise UserError(f"a crop's {name} must be from the smaller to the larger, got [{low}, {high}]")
        self.scale, self.ratio = (scale[0], scale[1]), (ratio[0], ratio[1])

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        left, top, width, height = boxes(rng, size=image.shape[-1], scale=self.scale, ratio=self.ratio)
        return resized_crop(image, left=left, top=top, width=width, height=height)


def boxes(
    rng: ImageRng, *, size: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each image's part as left, top, width and height in whole pixels, (B,) each; size: of the square images.

    Where no try fits: the whole image, or as much of its middle as the nearest ratio lets be seen.
    """
    area, aspect = rng.uniform(2 * TRIES).view(-1, 2, TRIES).unbind(1)  # (B, TRIES)
    area = size**2 * (scale[0] + (scale[1] - scale[0]) * area)
    aspect = (log(ratio[0]) + (log(ratio[1]) - log(ratio[0])) * aspect).exp()
    width, height = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (width > 0) & (width <= size) & (height > 0) & (height <= size)
    # what is taken where nothing fits stands behind the tries
    last = min(max(1.0, ratio[0]), ratio[1])
    everyone = torch.ones(len(fits), 1, dtype=torch.long)
    width = torch.cat([width, everyone * max(1, round(size * min(1.0, last)))], dim=1)
    height = torch.cat([height, everyone * max(1, round(size / max(1.0, last)))], dim=1)
    fits = torch.cat([fits, everyone.bool()], dim=1)
    first = fits.int().argmax(1, keepdim=True)
    width, height = width.gather(1, first).squeeze(1), height.gather(1, first).squeeze(1)
    place = rng.uniform(2)
    left, top = (place[:, 0] * (size - width + 1)).long(), (place[:, 1] * (size - height + 1)).long()
    nothing_fits = ~fits[:, :-1].any(1)
    left, top = left.where(~nothing_fits, (size - width) // 2), top.where(~nothing_fits, (size - height) // 2)
    return left, top, width, height


def resized_crop(image: Tensor, *, left: Tensor, top: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Each image's own part, bilinearly resized to the size of the whole; nothing outside of the part is looked at.

    image (B, channels, H, W), the others (B,) in whole pixels -> (B, channels, H, W).
    """
    return _stretched(_stretched(image, top, height, dim=-2), left, width, dim=-1)


def _stretched(image: Tensor, begin: Tensor, length: Tensor, *, dim: int) -> Tensor:
    """begin to begin + length of each image along an axis, stretched to all of that axis."""
    size = image.shape[dim]
    centre = (torch.arange(size) + 0.5) * (length / size)[:, None] - 0.5  # (B, size), in pixels of the part
    centre = torch.minimum(centre.clamp(min=0), (length - 1)[:, None])
    low = centre.floor()
    share = centre - low
    low = low.long()
    high = torch.minimum(low + 1, (length - 1)[:, None])
    across = (-1, 1, 1, size) if dim == -1 else (-1, 1, size, 1)
    lower, upper = (image.gather(dim, (begin[:, None] + at).view(across).expand_as(image)) for at in (low, high))
    return torch.lerp(lower, upper, share.view(across))  # exact where nothing is stretched

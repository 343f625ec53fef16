"""The other image of its batch that each image is mixed with."""

from __future__ import annotations

from torch import Tensor

from headstart.data.loading.image_seed import ImageRng


def places(count: int, rng: ImageRng) -> int:
    """So many places before it lies the partner of each image of a batch: each of the others is as likely.

    An image that is alone is its own partner.
    """
    return 1 + int(float(rng.uniform(1)) * (count - 1))


def partner(rows: Tensor, places: int) -> Tensor:
    """Rows (B, ...) -> for each of them the one so many places before it, around the beginning."""
    return rows.roll(places, dims=0)

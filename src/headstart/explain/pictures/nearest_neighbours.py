"""Nearest neighbours of images in a network's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import normalize

from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering import map_rendering
from headstart.explain.searched_features import passed, searched

SIDE = 112  # pixels of a tile
APART = 10  # pixels between the image and its neighbours
EVERYTHING = 2**62  # as many images as there are


class Nearest(NamedTuple):
    """Of each image the nearest others, the nearest first."""

    position: Tensor  # (M, k), int64, among those that were searched
    cosine: Tensor  # (M, k)


class NearestNeighbours:
    """For each image the images of the searched split with the largest cosine similarity of features.

    An image of the same name is the image itself, and left out.

    Args:
        stage: Whose features are compared; None means the last one.
        k: Neighbours of each image.
    """

    title = "Nearest neighbours"
    about = (
        "Beside each image those of the searched split that are nearest to it in the features of a stage, by the "
        "cosine between them. Neighbours that share the class say that the features tell classes apart; what else "
        "they share (a background, a pose) is what the features see, too."
    )

    def __init__(self, *, stage: str | None, k: Annotated[int, Ge(1)]) -> None:
        self.stage, self.k = stage, k

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One row an image. Raises UnfitError where no other image is searched, UserError for a wrong stage."""
        network, images, names = subject.network, subject.images, subject.searched_names()
        stage = network.stages[-1] if self.stage is None else self.stage
        network.check(stage)
        searched_features = searched(subject, (network,), (stage,), most=EVERYTHING, title="nearest neighbours")
        explained_features = []
        for batch in torch.split(images.pixels, subject.batch_size):
            explained_features += [rows for _, rows in passed(network, batch, (stage,))]
        numbers = {name: number for number, name in enumerate(names)}
        itself = [numbers.get(name) for name in images.names]
        others = len(names) - any(position is not None for position in itself)
        if others < 1:
            raise UnfitError("nearest_neighbours need other images to be searched, and there are none")
        near = nearest(
            torch.cat(explained_features), searched_features.features[0][stage], k=min(self.k, others), itself=itself
        )
        tiles = _pictures(subject, torch.unique(near.position).tolist())
        for n, name in enumerate(images.names):
            at = near.position[n].tolist()
            photos = [_tile(images.pixels[n]), *(tiles[position] for position in at)]
            words = [
                f"{names[position]}{_of_class(subject, searched_features.label, position)}, {cosine:.3f}"
                for position, cosine in zip(at, near.cosine[n].tolist(), strict=True)
            ]
            caption = f"{name}{_of_class(subject, images.label, n)}, by the features of {stage}: {'; '.join(words)}"
            alt = f"An image, and the {len(at)} that are nearest to it, the nearest first."
            yield Shown(f"{n + 1:03d}", map_rendering.sheet(photos, columns=len(photos), gap=APART), caption, alt)


def nearest(query: Tensor, among: Tensor, *, k: int, itself: Sequence[int | None]) -> Nearest:
    """The k of `among` (N, D) whose cosine with each of query (M, D) is the largest; of equal ones the first.

    itself: which of them each of query is, and is left out for it; None: none of them.
    """
    cosine = normalize(query) @ normalize(among).T
    for row, neighbour in enumerate(itself):
        if neighbour is not None:
            cosine[row, neighbour] = -torch.inf
    value, position = cosine.sort(dim=1, descending=True, stable=True)
    return Nearest(position[:, :k], value[:, :k])


def _pictures(subject: Subject, wanted: Sequence[int]) -> dict[int, map_rendering.RgbImage]:
    """Tiles of the images at these positions of the searched split, in one pass more."""
    tiles, begin, left = {}, 0, set(wanted)
    for batch in subject.searched():
        for position in [
            position_left for position_left in sorted(left) if begin <= position_left < begin + len(batch.image)
        ]:
            tiles[position] = _tile(batch.image[position - begin])
            left.discard(position)
        begin += len(batch.image)
        if not left:
            break
    return tiles


def _tile(image: Tensor) -> map_rendering.RgbImage:
    return map_rendering.enlarged(map_rendering.photo(image), SIDE, smooth=max(image.shape[1:]) > SIDE)


def _of_class(subject: Subject, label: Tensor | None, position: int) -> str:
    """The class or labels of an image in brackets; nothing where nobody knows them."""
    if label is None:
        return ""
    true = label[position]
    numbers = [int(true)] if true.ndim == 0 else true.nonzero().flatten().tolist()
    return f" ({', '.join(subject.called(number) for number in numbers) or 'no label'})"

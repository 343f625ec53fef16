"""Features of the images that are searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.backbones.stages import pooled
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Subject


class SearchedFeatures(NamedTuple):
    """The features of some images, on the CPU, in the order of the split."""

    features: tuple[dict[str, Tensor], ...]  # of each network: stage -> (N, D), float32
    label: Tensor | None  # (N,), or (N, classes) of several; None where nobody knows them or they are hidden

    def __len__(self) -> int:
        return len(next(iter(self.features[0].values()))) if self.features[0] else 0


def searched(
    subject: Subject, networks: Sequence[Network], stages: Sequence[str], *, most: int, title: str
) -> SearchedFeatures:
    """The features after these stages, pooled over space, of the first `most` images that are searched.

    title: of the bar. One pass through the images for all networks.
    """
    of_networks: list[dict[str, list[Tensor]]] = [{stage: [] for stage in stages} for _ in networks]
    labels: list[Tensor] = []
    count, known = 0, True
    for batch in subject.searching(title=title):
        image = batch.image[: most - count]
        for of_stage, network in zip(of_networks, networks, strict=True):
            for stage, rows in passed(network, image, stages):
                of_stage[stage].append(rows)
        known = known and isinstance(batch.label, Tensor)  # what stands for hidden labels is none
        if known:
            labels.append(batch.label[: most - count].cpu())
        count += len(image)
        if count >= most:
            break
    features = tuple(
        {stage: torch.cat(parts) for stage, parts in of_network.items() if parts} for of_network in of_networks
    )
    return SearchedFeatures(features, torch.cat(labels) if known and labels else None)


@torch.no_grad()
def passed(network: Network, images: Tensor, stages: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Each of these stages and what it makes of images (B, C, H, W), pooled: (B, D), float32, on the CPU."""
    for stage, x in network.passing(network.entering(images), stages):
        yield stage, pooled(x).float().cpu()

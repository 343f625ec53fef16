"""SHOT: adaptation to a target without source images, under the frozen head of the source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from headstart.adaptation.adaptation import Adaptation, DevicePredictions, Head, Ramp, Side, Stages
from headstart.adaptation.cdan import entropy_of
from headstart.backbones.batch_norm_statistics import norms_of

log = logging.getLogger(__name__)
WITHOUT_NORM = (
    "adaptation=shot without BatchNorm: on digits its pseudo-labels got worse with each epoch; try experiment=shot, "
    "which has the bottleneck of the paper, or backbone.bottleneck=256"
)


class SHOT(Adaptation):
    """strength * (mean entropy - entropy of the mean + beta * the cross-entropy with pseudo-labels).

    Liang et al. 2020, Do We Really Need to Access the Source Data? (arXiv:2002.08546), eqs. 3 to 7: the source's head
    is frozen; the backbone learns features by which each target image is certainly of one class, and all together are
    of many.
    The pseudo-labels of all training images are made anew before each epoch. There, the source's model has a
    bottleneck with BatchNorm and a weight-normalised head; here it is the backbone and the head of the run, which
    experiment=shot makes so. Without any BatchNorm there is a warning: labels got worse each epoch in a trial.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        beta: The factor of the cross-entropy with pseudo-labels.
    """

    main = "unlabelled"
    reads_paired = False
    looks = True
    measures = ("entropy", "mean_entropy", "pseudo_loss", "pseudo_agreement")
    pseudo_label: Tensor  # (images,), int64, empty before the first look

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, beta: Annotated[float, Ge(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.beta = beta
        self.register_buffer("pseudo_label", torch.empty(0, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_expect_labels)  # type: ignore[no-untyped-call]

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        if not norms_of(stages):
            log.warning("%s", WITHOUT_NORM)

    def look(self, seen: DevicePredictions) -> None:
        labels = torch.zeros(seen.images, dtype=torch.int64, device=seen.position.device)
        labels[seen.position] = centroid_labels(seen.features, seen.logits.float().softmax(dim=1), seen.total)
        self.pseudo_label = seen.total(labels)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        assert target.position is not None
        label = self.pseudo_label[target.position]
        probability = target.logits.float().softmax(dim=1)
        entropy, mean_entropy = information(probability)
        pseudo = cross_entropy(target.logits.float(), label)
        self.metrics = {
            "entropy": entropy.detach(),
            "mean_entropy": mean_entropy.detach(),
            "pseudo_loss": pseudo.detach(),
            "pseudo_agreement": (probability.argmax(dim=1) == label).float().mean(),
        }
        return strength * (entropy - mean_entropy + self.beta * pseudo)


def _expect_labels(shot: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Make room for a checkpoint's labels, which say how many images there are; torch's hook before tensors load."""
    assert isinstance(shot, SHOT)
    if (labels := state_dict.get(f"{prefix}pseudo_label")) is not None:
        shot.pseudo_label = torch.empty_like(labels, device=shot.pseudo_label.device)


def information(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (B, C) -> the mean of their entropies and the entropy of their mean, scalars, in nats.

    The second less the first is what an image says of its class. Liang et al. 2020, eq. 3: L_ent and -L_div.
    """
    return entropy_of(probability).mean(), entropy_of(probability.mean(dim=0, keepdim=True))[0]


def centroid_labels(features: Tensor, probability: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
    """Features (n, D) and probabilities (n, C) of one device's images -> the class of the nearest centroid (n,).

    Liang et al. 2020, eqs. 4 to 6: the centroids are the means of all images' features, weighted by probabilities, near
    is what has a small angle; then once more, weighted by the labels that this gave. A class that has lost all of its
    images is none of a label. total: sums a tensor over the devices.
    """
    features = features.float()
    share = probability
    for _ in range(2):
        mass = total(share.sum(dim=0))  # (C,)
        centroid = total(share.T @ features) / mass.clamp(min=1e-12)[:, None]
        nearness = normalize(features, dim=1) @ normalize(centroid, dim=1).T  # (n, C)
        label = nearness.masked_fill(mass == 0, float("-inf")).argmax(dim=1)
        share = one_hot(label, probability.shape[1]).to(features.dtype)
    return label

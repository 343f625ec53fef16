"""Bi-tuning: contrastive losses of the head and of a projection of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import torch
import torch.distributed as dist
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.nn.functional import normalize

from headstart.backbones.frozen_copy import FrozenCopies
from headstart.backbones.stages import pooled
from headstart.regularizers.regularizer import Regularizer, Stages, check_one_class, check_whole
from headstart.types import Batch, UserError


class BiTuning(Regularizer):
    """weight * (contrastive cross-entropy of the head + categorical contrastive loss of a projector).

    Bi-Tuning, Zhong et al. 2020 (arXiv:2011.06182). Both are `contrast` of an image with the keys of earlier ones: for
    the head its class's weights against the features (with a 1 for the bias) of this image and of the keys, for the
    projector its projection against its own key and the others. All vectors have length 1. Keys come from a
    momentum encoder (He et al. 2020, MoCo, arXiv:1911.05722): stages and projector that begin as the model's and follow
    these before each batch. The projector is trainable with the head.

    Other than in the authors' code an image and its key are the same view, as a batch has one; the head's weights learn
    by the first loss, too; and places of keys that have not come yet are empty, not random. On several devices each
    one's keys go to all, so that all have the same.

    Args:
        weight: The factor of both losses.
        temperature: Divides the similarities.
        keys: How many keys of each class are stored, the last ones; at the beginning there are none.
        momentum: The share of the momentum encoder that stays before each batch.
        projection: The width of the projector.

    Raises:
        UserError: If the head is not one linear layer, an image has several classes, or the weights are sharded.
    """

    runs_copies = True
    needs_labels = True
    features: Tensor  # (classes, keys, D + 1), of length 1
    projections: Tensor  # (classes, keys, P), of length 1
    counts: Tensor  # (classes,), keys that have come

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        temperature: Annotated[float, Gt(0)],
        keys: Annotated[int, Ge(1)],
        momentum: Annotated[float, Interval(ge=0, le=1)],
        projection: Annotated[int, Ge(1)],
    ) -> None:
        super().__init__()
        self.weight, self.temperature, self.momentum = weight, temperature, momentum
        self.keys, self.projection = keys, projection

    def prepare(self, stages: Stages) -> None:
        linear = _linear(stages)
        classes, width = linear.weight.shape
        self.projector = nn.Linear(width, self.projection)
        self.encoder = FrozenCopies(self._followed(stages))
        self.register_buffer("features", torch.zeros(classes, self.keys, width + 1))
        self.register_buffer("projections", torch.zeros(classes, self.keys, self.projection))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.int64))

    def begin(self, stages: Stages, from_source: object) -> None:
        self.encoder.take(self._followed(stages))

    def beside(self, stages: Stages) -> Mapping[str, nn.Module]:
        return {"head": self.projector}

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        check_whole(stages, "bi_tuning")
        check_one_class(batch, "bi_tuning")
        vectors = _Vectors.of(features, self.projector)
        self.encoder.follow(self._followed(stages), self.momentum)
        keys = self._keys(batch)
        queues = (
            self.features.clone(),
            self.projections.clone(),
        )  # the backward pass reads them, and new ones come before
        linear = _linear(stages)
        rows = normalize(torch.cat([linear.weight, linear.bias[:, None]], dim=1).float(), dim=1)[batch.label]
        is_filled = torch.arange(self.keys, device=self.counts.device) < self.counts[:, None]  # (classes, keys)
        by_head = contrast(rows, vectors.features, queues[0], is_filled, batch.label, self.temperature)
        by_projector = contrast(
            vectors.projections, keys.projections, queues[1], is_filled, batch.label, self.temperature
        )
        self._remember(keys, batch.label)
        return self.weight * (by_head + by_projector)

    def _followed(self, stages: Stages) -> dict[str, nn.Module]:
        """What the momentum encoder follows: the stages, and in the head's place the projector."""
        return {**stages, "head": self.projector}

    @torch.no_grad()
    def _keys(self, batch: Batch) -> _Vectors:
        x = batch.image
        for stage in self.encoder.stages[batch.start : -1]:
            x = self.encoder.of(stage)(x)
        return _Vectors.of(pooled(x), self.encoder.of("head"))

    @torch.no_grad()
    def _remember(self, keys: _Vectors, label: Tensor) -> None:
        """Put all devices' keys into the place of the oldest ones of their classes."""
        label = of_all_devices(label)
        number = nn.functional.one_hot(label, len(self.counts)).cumsum(dim=0).gather(1, label[:, None])[:, 0] - 1
        new = torch.bincount(label, minlength=len(self.counts))
        last = number >= new[label] - self.keys  # of more than there is place for
        place = (self.counts[label] + number) % self.keys
        for queue, vectors in ((self.features, keys.features), (self.projections, keys.projections)):
            queue[label[last], place[last]] = of_all_devices(vectors)[last].to(queue.dtype)
        self.counts += new


class _Vectors(NamedTuple):
    """Of images, each of length 1."""

    features: Tensor  # (B, D + 1)
    projections: Tensor  # (B, P)

    @classmethod
    def of(cls, features: Tensor, projector: nn.Module) -> _Vectors:
        ones = features.new_ones(len(features), 1)
        return cls(
            normalize(torch.cat([features, ones], dim=1).float(), dim=1), normalize(projector(features).float(), dim=1)
        )


def contrast(query: Tensor, own: Tensor, keys: Tensor, is_filled: Tensor, label: Tensor, temperature: float) -> Tensor:
    """The mean over images of -1/|P| sum_{p in P} log(exp(q.p / t) / sum_{k in P and N} exp(q.k / t)).

    query, own (B, V): of each image, and what it must be close to besides the keys of its class, P; N are the keys of
    other classes. keys (classes, K, V), is_filled (classes, K): which of them exist. label (B,) -> scalar.
    """
    near = (query * own).sum(dim=1, keepdim=True)  # (B, 1)
    others = query @ keys.flatten(0, 1).T.to(query.dtype)  # (B, classes * K)
    others = others.masked_fill(~is_filled.flatten(), -torch.inf)
    likely = (torch.cat([near, others], dim=1) / temperature).log_softmax(dim=1)
    same = nn.functional.one_hot(label, len(keys)).bool()[:, :, None] & is_filled  # (B, classes, K)
    positive = torch.cat([same.new_ones(len(label), 1), same.flatten(1)], dim=1)
    return -(likely.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1)).mean()


def of_all_devices(rows: Tensor) -> Tensor:
    """The rows of every device, in the order of the devices, which may have unequal numbers; all must ask for it."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.zeros_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    numbers = [int(count) for count in counts]
    padded = rows.new_zeros(max(numbers), *rows.shape[1:])
    padded[: len(rows)] = rows
    gathered = [torch.zeros_like(padded) for _ in numbers]
    dist.all_gather(gathered, padded)
    return torch.cat([part[:number] for part, number in zip(gathered, numbers, strict=True)])


def _linear(stages: Stages) -> nn.Linear:
    linear = getattr(stages["head"], "linear", None)
    if not isinstance(linear, nn.Linear) or linear.bias is None:
        raise UserError(
            f"regularizer=bi_tuning needs a head of one linear layer with a bias, as head=linear, got "
            f"{type(stages['head']).__name__}"
        )
    return linear

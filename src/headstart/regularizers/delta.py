"""DELTA: attention-weighted distance of feature maps from those of the source."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from headstart.backbones.frozen_copy import FrozenCopies
from headstart.backbones.stages import pooled
from headstart.features.principal_axes import principal_axes
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.stacked_heads import StackedHeads
from headstart.regularizers.regularizer import Batches, Regularizer, Stages, check_one_class, check_whole
from headstart.types import Batch, UserError

log = logging.getLogger(__name__)
AT_ONCE = 64  # images
STRENGTH = 1.0  # scikit-learn's C of the probe that filters are judged by


class DELTA(Regularizer):
    """alpha * the distance of the maps from the source's, filter by filter, + (beta/2) |w|^2 of what no maps hold.

    Li et al. 2019, DELTA (arXiv:1901.09229). The source is the model as the run starts, in eval(). No maps hold the
    head, new stages and those behind the last one that is compared; the optimizer's own weight decay is off. Without a
    source nothing is compared, and the term is the weight decay of beta.

    Args:
        alpha: The factor of the distance of the maps.
        beta: The factor of the weight decay.
        at: The stages whose maps are compared; None means all that have the source's weights.
        attention_images: Training images on which the weights of the filters are computed, once, before the first
            step; with 0 all filters weigh the same.
        temperature: Of the softmax over the filters (`attention`).

    Raises:
        UserError: Before training, if `at` names a stage without the source's weights, or the weights are sharded.
    """

    replaces_weight_decay = True
    reads_outputs = True
    runs_copies = True
    needs_labels = True
    compared: Tensor  # (parts,), whether a part's maps are compared with the source's
    held: Tensor  # (parts,), whether its weights decide maps that are

    def __init__(
        self,
        *,
        alpha: Annotated[float, Ge(0)],
        beta: Annotated[float, Ge(0)],
        at: Sequence[str] | None,
        attention_images: Annotated[int, Ge(0)],
        temperature: Annotated[float, Gt(0)],
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.at = alpha, beta, at
        self.attention_images, self.temperature = attention_images, temperature
        self._known: tuple[list[bool], list[bool]] | None = None  # compared, held: to read a GPU's is to wait for it

    def prepare(self, stages: Stages) -> None:
        names = list(stages)[:-1]
        if unknown := [name for name in self.at or () if name not in names]:
            raise UserError(f"regularizer.at must be of the stages {', '.join(names)}, got {', '.join(unknown)}")
        self.sized_later = tuple(_attention(name) for name in names)
        for name in self.sized_later:
            self.register_buffer(name, torch.empty(0))
        for name in ("compared", "held"):
            self.register_buffer(name, torch.zeros(len(stages), dtype=torch.bool))
        last = max((names.index(name) for name in self.at or names), default=-1)
        self.source = FrozenCopies({name: stages[name] for name in names[: last + 1]})

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        if fresh := [name for name in self.at or () if from_source and name not in from_source]:
            raise UserError(f"regularizer.at must be of the source's stages; {', '.join(fresh)} start afresh")
        names = list(stages)[:-1]
        compared = [name in from_source and name in (self.at or names) for name in names]
        held = [name in from_source and any(compared[place:]) for place, name in enumerate(names)]
        self.compared.copy_(torch.tensor([*compared, False]))
        self.held.copy_(torch.tensor([*held, False]))
        self._known = None
        self.source.take({name: stages[name] for name in self.source.stages})

    def look(self, stages: Stages, batches: Batches) -> None:
        check_whole(stages, "delta")
        chosen = [name for name, is_compared in zip(stages, self._of_parts()[0], strict=True) if is_compared]
        if not chosen or self.attention_images == 0:
            return
        image, label = _first_images(batches("train", stored=False), self.attention_images)
        probe = _probe(stages, batches("train", stored=True))
        for name in tqdm(chosen, desc="delta: filters", unit="stage", leave=False, disable=not sys.stderr.isatty()):
            weights = attention(rises(stages, name, image, label, probe), self.temperature)
            setattr(self, _attention(name), weights)
        log.info("delta: what the filters of %s weigh, seen on %d images", ", ".join(chosen), len(image))

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        check_whole(stages, "delta")
        compared, held = self._of_parts()
        term = features.new_zeros((), dtype=torch.float32)
        if any(compared):
            sources = self.source.outputs(batch.image, batch.start)
            for name, is_compared in zip(stages, compared, strict=True):
                if is_compared and name in outputs:  # a stage before batch.start has never been trainable
                    weights = self.get_buffer(_attention(name))
                    term = term + self.alpha * distance(outputs[name], sources[name], weights if len(weights) else None)
        for stage, is_held in zip(stages.values(), held, strict=True):
            if not is_held:
                term = term + self.beta / 2 * _square(stage, term)
        return term

    def _of_parts(self) -> tuple[list[bool], list[bool]]:
        if self._known is None:
            self._known = self.compared.tolist(), self.held.tolist()
        return self._known

    def expect(self, state: Mapping[str, Tensor]) -> None:
        super().expect(state)
        self._known = None


def distance(maps: Tensor, source: Tensor, weights: Tensor | None) -> Tensor:
    """Half the mean over images of the sum over filters of C * weight * the mean over places of the squared difference.

    Maps (B, C, H, W), tokens (B, N, C) or features (B, C), both of the same images; weights (C,), None = 1/C each
    -> scalar >= 0. As in the authors' code, which takes the sum over images; the paper has neither C nor the number of
    places.
    """
    square = (maps - source).float().square()
    by_filter = pooled(square)  # (B, C)
    if weights is not None:
        by_filter = by_filter * weights * len(weights)
    return by_filter.sum(dim=1).mean() / 2


def attention(risen: Tensor, temperature: float) -> Tensor:
    """What each filter of a stage weighs (C,), 1 in all, by how much the loss rises without it (C,).

    The paper's softmax of the rises, standardised and over a temperature as in the authors' code: by themselves they
    are so small that all filters would weigh the same.
    """
    spread = risen.std(correction=0)
    return ((risen - risen.mean()) / torch.where(spread > 0, spread, 1.0) / temperature).softmax(dim=0)


@torch.no_grad()
def rises(stages: Stages, name: str, image: Tensor, label: Tensor, probe: StackedHeads) -> Tensor:
    """How much the cross-entropy of a probe rises where a filter of stage `name` gives 0, for each filter (C,).

    image (N, ...): what enters the first stage; label (N,).
    """
    modules = list(stages.values())[:-1]
    after = list(stages).index(name) + 1
    total: Tensor | None = None
    for x, y in zip(torch.split(image, AT_ONCE), torch.split(label, AT_ONCE), strict=True):
        for stage in modules[:after]:
            x = stage(x)
        channel = 2 if x.ndim == 3 else 1
        losses = [_loss(modules[after:], x, y, probe)]
        for number in range(x.shape[channel]):
            without = x.clone()
            without.select(channel, number).zero_()
            losses.append(_loss(modules[after:], without, y, probe))
        risen = torch.stack(losses[1:]) - losses[0]
        total = risen if total is None else total + risen
    assert total is not None
    return total / len(image)


def _loss(modules: Iterable[nn.Module], x: Tensor, label: Tensor, probe: StackedHeads) -> Tensor:
    """The sum over the images of the probe's cross-entropy."""
    for stage in modules:
        x = stage(x)
    logits = probe.logits(pooled(x).float())[0].T
    return cross_entropy(logits, label, reduction="sum").float()


def _probe(stages: Stages, batches: Iterable[Batch]) -> StackedHeads:
    """A linear head on the features of these images."""
    features, labels = [], []
    for batch in batches:
        check_one_class(batch, "delta with attention")
        x = batch.image
        for stage in list(stages.values())[batch.start : -1]:
            x = stage(x)
        features.append(pooled(x).float().cpu())
        labels.append(batch.label.cpu())
    label = torch.cat(labels)
    (weight, bias) = logistic(principal_axes(torch.cat(features)), label, int(label.max()) + 1, c=[STRENGTH])
    return StackedHeads(weight.float().to(batch.label.device), bias.float().to(batch.label.device))


def _first_images(batches: Iterable[Batch], count: int) -> tuple[Tensor, Tensor]:
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in batches:
        images.append(batch.image)
        labels.append(batch.label)
        if sum(map(len, labels)) >= count:
            break
    return torch.cat(images)[:count], torch.cat(labels)[:count]


def _square(stage: nn.Module, like: Tensor) -> Tensor:
    """|w|^2 of the trainable weights of a stage; frozen ones cannot move."""
    squares = [weight.float().square().sum() for weight in stage.parameters() if weight.requires_grad]
    return torch.stack(squares).sum() if squares else torch.zeros_like(like)


def _attention(stage: str) -> str:
    return f"attention:{stage}"

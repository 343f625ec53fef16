"""Evaluation with several views of each image."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headstart.evaluation.answer_metrics import answer_metrics
from headstart.evaluation.multi_label_evaluation import MultiLabelEvaluation
from headstart.evaluation.number_evaluation import NumberEvaluation
from headstart.evaluation.single_label_evaluation import SingleLabelEvaluation
from headstart.evaluation.views.view import Views, enlarged, views_of
from headstart.modules.labels.label_kinds import Labels
from headstart.types import Batch, Pixels

Evaluation = SingleLabelEvaluation | MultiLabelEvaluation | NumberEvaluation


def set_up_again(images: Any) -> Any:
    """The data, set up without a word: what there is was told of the images as they are."""
    teller = logging.getLogger("headstart.data")
    level = teller.level
    teller.setLevel(logging.WARNING)
    try:
        images.setup("test")
    finally:
        teller.setLevel(level)
    return images


class ViewLoader:
    """A loader that gives the views of each batch, one after the other; `count`: views of an image.

    Args:
        loader: Gives batches of images.
        views: Made of each batch.
        pixels: Of the backbone.
    """

    def __init__(self, loader: Any, views: Views, pixels: Pixels) -> None:
        self._loader, self._views, self._size = loader, views, pixels.size
        self.count = view_count(views, pixels)

    def __len__(self) -> int:
        return len(self._loader) * self.count

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            for view in views_of(self._views, batch.image, self._size):
                yield batch._replace(image=view)


def view_count(views: Views, pixels: Pixels) -> int:
    """How many views of an image there are, seen on a black one. Raises UserError where a backbone cannot take them."""
    larger = enlarged(pixels, views.larger, resize=None).size
    return len(views_of(views, torch.zeros(1, pixels.channels, larger, larger, dtype=torch.uint8), pixels.size))


def averaged(logits: Sequence[Tensor], count: int, *, several: bool) -> Tensor:
    """What was said of each batch's views, one after the other -> the mean probabilities (N, classes) as logits.

    Their softmax are those means; of several labels an image, their sigmoids.
    """
    batches = [torch.stack(list(logits[at : at + count])).double() for at in range(0, len(logits), count)]
    tiny = torch.finfo(torch.float32).tiny
    if several:
        return torch.cat([views.sigmoid().mean(dim=0).logit(eps=tiny) for views in batches]).float()
    return torch.cat([views.softmax(dim=-1).mean(dim=0).clamp(min=tiny).log() for views in batches]).float()


def averaged_numbers(numbers: Sequence[Tensor], count: int) -> Tensor:
    """The numbers (N, T) of each batch's views, one after the other -> their means over views."""
    batches = [torch.stack(list(numbers[at : at + count])).double() for at in range(0, len(numbers), count)]
    return torch.cat([views.mean(dim=0) for views in batches]).float()


def metrics_of(labels: Labels, answers: Evaluation, split: str) -> dict[str, float]:
    """The figures that the classifier logs of such labels, of these answers."""
    return answer_metrics(labels, answers.logits, answers.label, split)


def gain(single: Evaluation, several: Evaluation) -> dict[str, int]:
    """How many images only the views, and how many only the image as it is, got right; of numbers, came nearer to."""
    if isinstance(single, NumberEvaluation) and isinstance(several, NumberEvaluation):
        errors = [(each.logits - each.label).abs().mean(dim=1) for each in (single, several)]
        return {"gained": int((errors[1] < errors[0]).sum()), "lost": int((errors[1] > errors[0]).sum())}
    assert not isinstance(single, NumberEvaluation)
    assert not isinstance(several, NumberEvaluation)
    gained, lost = (int((a.right & ~b.right).sum()) for a, b in ((several, single), (single, several)))
    return {"gained": gained, "lost": lost}


def lines(
    single: Mapping[str, float],
    several: Mapping[str, float],
    count: int,
    gain: Mapping[str, int],
    *,
    nearer: bool = False,
) -> list[str]:
    """Both columns of figures side by side, for a terminal; nearer: gain counts numbers that come nearer."""
    views = f"{count} view{'' if count == 1 else 's'}"
    table = [f"{'':<26}{'one view':>10}{views:>10}  difference"]
    table += [
        f"{name:<26}{single[name]:>10.4f}{several[name]:>10.4f}  {several[name] - single[name]:+.4f}"
        for name in sorted(several)
        if name in single
    ]
    if nearer:
        return [*table, f"{gain['gained']} numbers are nearer with {views}, {gain['lost']} with one."]
    return [
        *table,
        f"{gain['gained']} images are right with {views} and wrong with one, {gain['lost']} the other way round.",
    ]

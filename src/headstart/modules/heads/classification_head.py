"""The contract of a head: features to logits, and the weights that it begins with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from headstart.types import UserError

Init = Literal["random", "class_means", "source", "zeros"]
PRIOR_IMAGES = 100  # images that are added to each variance, with the mean of all: few images know little of one


class ClassificationHead(nn.Module, ABC):
    """Features to logits.

    Args:
        init: What its weights are before the first step; `zeros` is set by the head itself, `class_means` and `source`
            by whoever trains it.
        standardise: Whether the last layer reads standardised numbers, by those of the training images at the start.
        summary_width: Of what the last layer reads.

    Attributes:
        last_layer: The names of the tensors that have a row for each class.
        several_labels: Whether an image may have several labels.
    """

    last_layer: ClassVar[tuple[str, ...]]
    several_labels: ClassVar[bool] = True

    def __init__(self, *, init: Init, standardise: bool, summary_width: int) -> None:
        super().__init__()
        self.init = init
        # with the source's head its own numbers are read
        self.standardise = standardise and init != "source"
        if self.standardise:
            self.register_buffer("mean", torch.zeros(summary_width))
            self.register_buffer("std", torch.ones(summary_width))

    @abstractmethod
    def summary(self, features: Tensor) -> Tensor:
        """What the backbone gives (B, ...) -> what the last layer reads (B, d)."""

    @abstractmethod
    def last(self, read: Tensor) -> Tensor:
        """The last layer: the summary (B, d), standardised where the head does so -> logits (B, num_classes)."""

    @abstractmethod
    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
        """Set the last layer in closed form, on what it reads (N, d) and labels (N,), or (N, classes)."""

    def forward(self, features: Tensor) -> Tensor:
        """What the backbone gives (B, ...) -> logits (B, num_classes)."""
        return self.last(self._scaled(self.summary(features)))

    @torch.no_grad()
    def set_class_means(self, summary: Tensor, labels: Tensor, all_labels: Tensor | None = None) -> None:
        """Set the scale and the last layer in closed form, on summaries (N, d) in eval() and their labels.

        Args:
            summary: Of some or all training images.
            labels: Theirs, (N,), or (N, classes) where an image may have several.
            all_labels: Of more images than there are summaries of, for the odds where an image has several labels.
        """
        self.set_scale(summary)
        self.fit_means(self._scaled(summary), labels, all_labels)

    @torch.no_grad()
    def set_scale(self, summary: Tensor) -> None:
        """Take mean and standard deviation of summaries (N, d), where the head standardises.

        The variance of each number is that of N images and of PRIOR_IMAGES more with the mean of all variances.
        """
        if not self.standardise:
            return
        variance, count = summary.var(dim=0, correction=0), len(summary)
        shrunk = (count * variance + PRIOR_IMAGES * variance.mean()) / (count + PRIOR_IMAGES)
        self.get_buffer("mean").copy_(summary.mean(dim=0))
        self.get_buffer("std").copy_(shrunk.sqrt().where(shrunk > 0, 1.0))

    @torch.no_grad()
    def stop_standardising(self) -> None:
        """Read numbers as they are from now on."""
        if self.standardise:
            self.get_buffer("mean").zero_()
            self.get_buffer("std").fill_(1.0)
        self.standardise = False

    def _scaled(self, summary: Tensor) -> Tensor:
        return (summary - self.get_buffer("mean")) / self.get_buffer("std") if self.standardise else summary

    def _without_scale(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A head's tensors, where it standardises what a linear last layer reads, of the same head without that."""
        if self.standardise or not {"mean", "std"} <= state.keys() or len(self.last_layer) != 2:
            return state
        weight, bias = self.last_layer
        scaled = state[weight].double() / state["std"].double()
        moved = state[bias].double() - scaled @ state["mean"].double()
        rest = {name: tensor for name, tensor in state.items() if name not in ("mean", "std")}
        return {**rest, weight: scaled.to(state[weight]), bias: moved.to(state[bias])}

    @torch.no_grad()
    def set_source(self, state: Mapping[str, Tensor], names: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        """Take a source's head, whose classes are `names`, with its rows in the order of the classes `wanted`.

        Raises UserError where there is no such head, or its classes, its width or its kind are others.
        """
        if not state or not names:
            raise UserError(
                "head.init=source needs source weights with a head whose classes are known; try weights=source"
            )
        check_source_classes(names, wanted)
        own = self.state_dict()
        state = self._without_scale(state)
        if own.keys() != state.keys():
            raise UserError(
                f"head.init=source needs a source with a head of the same kind, got one with {', '.join(state)} for "
                f"{', '.join(own)}; try head.init=class_means"
            )
        if other := next((name for name in own if own[name].shape != state[name].shape), None):
            raise UserError(
                f"the source's head reads {state[other].shape[-1]} features, this one "
                f"{own[other].shape[-1]}; head.init=source needs the whole backbone (backbone.keep=null)"
            )
        rows = [names.index(name) for name in wanted]
        for name, tensor in own.items():
            tensor.copy_(state[name][rows] if name in self.last_layer else state[name])


def check_source_classes(names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise UserError where a source's head, whose classes are `names`, is none for the classes `wanted`."""
    if sorted(names) != sorted(wanted):
        raise UserError(
            f"head.init=source needs the same classes; the source has {', '.join(names)}; "
            f"the target has {', '.join(wanted)}; try head.init=class_means, or name the target's classes as the "
            "source's: 'target.classes={...}'"
        )

"""The contract of an adaptation: a term of the loss by which a source and a target learn from each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Interval
from torch import Tensor, nn

from headstart.backbones.stages import Backbone
from headstart.types import Batch

Ramp = Literal["constant", "sigmoid", "linear"]
Head = Callable[[Tensor], Tensor]  # features (B, D) -> logits (B, classes)
Stages = Mapping[str, nn.Module]  # a model's parts from the input to the head, by name


class Side(NamedTuple):
    """Features, logits and labels of the images of one domain."""

    features: Tensor  # (B, D)
    logits: Tensor  # (B, classes), the model's own head's
    label: Tensor | None  # (B,), None where they are hidden
    position: Tensor | None = None  # (B,), of each image in its split, where that is known
    # (B, classes), logits of the same images augmented otherwise, where the method asks for it
    view: Tensor | None = None


class DevicePredictions(NamedTuple):
    """What the model, in eval(), makes of this device's share of the target's training images, before an epoch."""

    features: Tensor  # (n, D)
    logits: Tensor  # (n, classes)
    position: Tensor  # (n,), of each image in its split
    images: int  # in the whole split
    total: Callable[[Tensor], Tensor]  # a tensor of each device -> their sum


class Adaptation(nn.Module):
    """Gives a scalar for each pair of batches; networks that it trains besides are its own.

    `forward` is called in each training step, and leaves metrics for the logs in `metrics`. The other methods do
    nothing unless a subclass overrides them. What an adaptation remembers is a buffer, so that a resumed run equals one
    that was not stopped.

    Args:
        weight: How strongly it acts on the backbone.
        ramp: How the weight grows with the progress p of the run: `constant` has it in every step, `sigmoid` as
            2 / (1 + exp(-10 p)) - 1 (Ganin et al. 2016, section 5.2.2), `linear` as linear_ramp says.

    main: whose images the run is about. `source`: training batches, validation and the selection of the best are the
    source's, the test is the target's, whose training images come along with their labels hidden. `target`: all is the
    target's, and the source's labelled images come along. `unlabelled`: the run goes on from the source's whole model.
    Training batches are the target's with their labels hidden, the head stays as it is, and the model of the last epoch
    is the one to keep; validation is the source's, the test the target's.
    """

    main: Literal["source", "target", "unlabelled"] = "source"
    # False: images of the other data set are not looked at; forward is called where the main ones are unlabelled alone
    reads_paired = True
    learns_labels = True  # whether the cross-entropy of the main images is in the loss
    looks = False  # whether look is called
    finalizes = False  # whether finalize is called
    trains_norms_alone = False  # whether norms alone may learn
    reads_target_alone = (
        False  # whether forward looks at no image of the source, so that it may stand beside any other term
    )
    measures: tuple[str, ...] = ()  # their names
    view: Any = None  # augmentation of a second view of each target image, as a data set's `augment`; None = none
    least_images = 1  # that a batch of each of the two data sets must have

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp) -> None:
        super().__init__()
        self.weight, self.ramp = weight, ramp
        self.metrics: dict[str, Tensor] = {}

    @property
    def option(self) -> str:
        """What messages call it: its option in conf/adaptation/, or its class where it is from outside this package.

        The option is called as the module; a class of which this is not so overrides this.
        """
        package, _, module = type(self).__module__.rpartition(".")
        return module if package == Adaptation.__module__.rpartition(".")[0] else type(self).__name__

    @property
    def has_term(self) -> bool:
        """Whether forward is called."""
        return self.reads_paired or self.main == "unlabelled"

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        """Make the networks that need to know how many features and classes there are; called once."""

    def stand_beside(self, stages: Stages) -> None:
        """Make the networks that are as these stages are; called once, after prepare."""

    def check_stages(self, stages: Stages) -> None:
        """Raise UserError where a backbone of these stages is none for this method, whatever its weights."""

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        """Look at the weights that the run starts with; from_source: the stages that have the source's.

        Of a resumed run the checkpoint comes after it. Raises UserError where it is no model for this method.
        """

    def look(self, seen: DevicePredictions) -> None:
        """Look at the target's training images, without gradients; called once, before an epoch, even if resumed."""

    def paired_features(self, backbone: Backbone, batch: Batch) -> Tensor:
        """The features (B, D) of images of the other data set."""
        features: Tensor = backbone(batch.image, start=batch.start)
        return features

    def finalize(self, stages: Stages, run: Callable[[], None]) -> None:
        """Change the chosen model before it is tested and kept; run: lets all target training images go through it.

        The model is in eval(), without gradients; the images are as they are, without augmentation.
        """

    def strength(self, progress: Annotated[float, Interval(ge=0, le=1)]) -> float:
        """The weight at this share of the run's optimizer steps."""
        return self.weight * RAMPS[self.ramp](progress)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        """What a pair of batches adds to the loss, scalar; the two may have unequally many images.

        Where the source's images do not come along, `source` has none.
        """
        raise NotImplementedError


def constant_ramp(_: float) -> float:
    """1."""
    return 1.0


def sigmoid_ramp(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1: 0 at the beginning, 0.9999 at the end. Ganin et al. 2016 (arXiv:1505.07818)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def linear_ramp(progress: float) -> float:
    """0 up to a tenth of the run, 1 from six tenths on, a line between.

    Lee 2013, Pseudo-Label (ICML workshop), eq. 16, its epochs T1 = 100 and T2 = 600 taken as those of 1,000.
    """
    return min(1.0, max(0.0, (progress - 0.1) / 0.5))


RAMPS: Mapping[Ramp, Callable[[float], float]] = {
    "constant": constant_ramp, "sigmoid": sigmoid_ramp, "linear": linear_ramp,
}  # fmt: skip

"""Contracts of LightningModules that callbacks look at; a user's own module may meet them too."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from headstart.data.transforms.mix.batch_mixing import Mixing
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.number_targets import NumberTargets
from headstart.modules.measured_classifier import MeasuredClassifier
from headstart.regularizers.regularizer import Regularizer


@runtime_checkable
class HeadedModule(Protocol):
    """A module of a backbone, images to features, and a head, features to logits."""

    backbone: nn.Module
    head: nn.Module


@runtime_checkable
class MixingModule(Protocol):
    """A module that may mix its training images with each other."""

    mix: Mixing | None


@runtime_checkable
class RegularizedModule(Protocol):
    """A module that may add a regularizer to its loss."""

    regularizer: Regularizer | None


def mixes(module: nn.Module) -> bool:
    """Whether a module mixes its training images before they enter the backbone."""
    return isinstance(module, MixingModule) and module.mix is not None


def regularizer_of(module: nn.Module) -> Regularizer | None:
    """The regularizer of a module, if it has one."""
    return module.regularizer if isinstance(module, RegularizedModule) else None


def has_several_labels(module: nn.Module) -> bool:
    """Whether a module learns from images that may have several labels."""
    return isinstance(module, MeasuredClassifier) and isinstance(module.labels, SeveralLabels)


def number_units(module: nn.Module) -> Tensor | None:
    """The standard deviations of the numbers that a module learns (T,); None where it learns classes."""
    labels = module.labels if isinstance(module, MeasuredClassifier) else None
    return labels.std if isinstance(labels, NumberTargets) else None

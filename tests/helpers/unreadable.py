"""Digits whose test images and labels raise when anybody reads them."""

from functools import cached_property

from headstart.data.datasets.digits import Digits
from headstart.data.splits.hidden_labels import HiddenLabels


class ReadError(Exception):
    """Somebody has read test."""


class Unreadable:
    """As many images as a split has, none of which may be read."""

    def __init__(self, count):
        self.label = HiddenLabels(count)

    def at(self, positions):
        raise ReadError(positions)

    def contents(self):
        raise ReadError


class DigitsWithoutTest(Digits):
    @cached_property
    def splits(self):
        whole_splits = super().splits
        return {**whole_splits, "test": Unreadable(len(whole_splits["test"].label))}

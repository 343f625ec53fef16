"""Check that each image of the data has one class, for tasks that count or judge classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.types import UserError


def one_class_check(does: str, *, of_numbers: str, of_labels: str) -> Callable[[Any], None]:
    """A check of data that raises UserError where the labels are not one class an image.

    Args:
        does: What needs classes, as `task=probe compares classifiers`.
        of_numbers: What is possible with numbers as targets.
        of_labels: What is possible with several labels an image.
    """

    def check(data: Any) -> None:
        if is_regression(data):
            raise UserError(f"{does}, one an image, and these data have numbers; {of_numbers}")
        if is_multi_label(data):
            raise UserError(f"{does}, one an image, and these data may have several labels an image; {of_labels}")

    return check

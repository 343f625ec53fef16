"""Labels of other data as a finished run knows them: the same kind, its classes found by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.evaluation.class_indices import class_indices
from headstart.runs.saved.finished_run import SavedRun
from headstart.types import UserError


def class_places(images: Any, run: SavedRun) -> Tensor:
    """Where each class, or column of numbers, of the data is among those of the run (classes,).

    Args:
        images: The data.
        run: A finished run.

    Raises:
        UserError: If one is not there, or the run's metrics would mean something else on these data.
    """
    kinds = {True: "numbers", False: "classes"}
    if run.regression != is_regression(images):
        raise UserError(
            f"the run has {kinds[run.regression]} as targets, and evaluate.data {kinds[is_regression(images)]}; its "
            "columns of numbers are named by evaluate.data.target_column"
        )
    data_classes = tuple(images.class_names)
    places = class_indices(
        data_classes,
        run.class_names,
        lambda unknown: UserError(
            f"the run's classes are {', '.join(run.class_names)}; those of evaluate.data "
            f"are {', '.join(data_classes)}; the run does not know {', '.join(unknown)}: rename them, or leave them "
            f"out, as 'evaluate.data.classes={{{unknown[0]}: {run.class_names[0]}}}' or {{{unknown[0]}: null}}"
        ),
    )
    if not run.several and is_multi_label(images):
        raise UserError("the run tells one class an image, and evaluate.data may have several labels an image")
    needs_all = run.regression or (run.several and is_multi_label(images))
    if needs_all and len(places) < len(run.class_names):
        lacking = [name for at, name in enumerate(run.class_names) if at not in set(places.tolist())]
        demand = (
            "have all of the run's columns of numbers"
            if run.regression
            else "say of each of the run's classes whether an image has it"
        )
        raise UserError(f"evaluate.data must {demand}, not among them: {', '.join(lacking)}")
    return places

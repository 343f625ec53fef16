"""Evaluation of images with numbers as targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from headstart.evaluation.single_label_evaluation import LINE, WORST
from headstart.modules.metrics.number_metrics import mean_absolute_errors, r2_scores, root_mean_squared_errors


class ColumnScore(NamedTuple):
    """Errors of one column, in its units."""

    mae: float
    rmse: float
    r2: float
    mean_error: float  # predicted less true: above 0 too high
    least: float  # of the true numbers
    largest: float


@dataclass(frozen=True)
class NumberEvaluation:
    """Predictions for the images of a split whose targets are numbers, in the split's order.

    Args:
        logits: (N, columns), in their units.
        label: (N, columns).
        names: Of the images.
        class_names: The columns.
    """

    logits: Tensor
    label: Tensor
    names: Sequence[str]
    class_names: tuple[str, ...]

    @cached_property
    def columns(self) -> dict[str, ColumnScore]:
        """Of each column."""
        predicted, true = self.logits.double(), self.label.double()
        parts = (
            mean_absolute_errors(predicted, true), root_mean_squared_errors(predicted, true),
            r2_scores(predicted, true), (predicted - true).mean(dim=0), true.amin(dim=0), true.amax(dim=0),
        )  # fmt: skip
        rows = zip(*(part.tolist() for part in parts), strict=True)
        return {name: ColumnScore(*row) for name, row in zip(self.class_names, rows, strict=True)}

    @cached_property
    def _scaled_errors(self) -> Tensor:
        """The size of each error over the standard deviation of its column (N, columns)."""
        return (self.logits - self.label).abs() / self.label.std(dim=0, correction=0).clamp(min=1e-12)

    def worst(self, count: int) -> list[int]:
        """Positions of the images with the largest errors, in standard deviations of the column; the largest first."""
        error = self._scaled_errors.amax(dim=1)
        order = error.argsort(descending=True, stable=True)[:count].tolist()
        return [position for position in order if error[position] > 0]

    def content(self, worst: int) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            "class_names": list(self.class_names),
            "columns": {name: score._asdict() for name, score in self.columns.items()},
            "worst": [
                {
                    "file": self.names[position],
                    "true": self._named(self.label[position]),
                    "predicted": self._named(self.logits[position]),
                }
                for position in self.worst(worst)
            ],
        }

    def lines(self) -> list[str]:
        """The same in words, for a terminal of 120 characters."""
        width = max(6, *(len(name) for name in self.class_names))
        lines = [f"{'column':<{width}}        MAE       RMSE      R²  mean error  true numbers"]
        for name, score in self.columns.items():
            lines.append(
                f"{name:<{width}} {score.mae:>10.4g} {score.rmse:>10.4g} {score.r2:>7.3f}  {score.mean_error:>+10.3g}  "
                f"{score.least:.4g} to {score.largest:.4g}"
            )
        lines.append("Mean error: predicted less true; above 0 the model says too much on average.")
        positions = self.worst(WORST)
        lines += ["", "Largest errors:"] if positions else ["", "Every number was predicted exactly."]
        for position in positions:
            at = int(self._scaled_errors[position].argmax())
            true, predicted = float(self.label[position, at]), float(self.logits[position, at])
            mistake = f"{self.class_names[at]} {true:.4g} as {predicted:.4g}"
            name, room = self.names[position], LINE - len(mistake) - 2
            lines.append(f"{name if len(name) <= room else '...' + name[3 - room :]}  {mistake}")
        return lines

    def _named(self, numbers: Tensor) -> dict[str, float]:
        return dict(zip(self.class_names, numbers.tolist(), strict=True))

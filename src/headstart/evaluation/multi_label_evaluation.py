"""Evaluation of images with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.evaluation.confidence.calibration import Bin, expected_calibration_error, reliability
from headstart.evaluation.single_label_evaluation import LINE, LISTED, WORST, shortened
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.metrics.multi_label_metrics import LabelScore, label_scores


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """Predictions for the images of a split with several labels, in the split's order.

    Args:
        logits: (N, classes); above 0: the image has the class.
        label: (N, classes), 0 or 1.
        names: Of the images.
        class_names: Of the run.
    """

    logits: Tensor  # (N, classes); above 0: the image has the class
    label: Tensor  # (N, classes), 0 or 1
    names: Sequence[str]  # of the images
    class_names: tuple[str, ...]

    @cached_property
    def probability(self) -> NDArray[np.float32]:
        """Of each class (N, classes)."""
        probability: NDArray[np.float32] = self.logits.sigmoid().numpy()
        return probability

    @cached_property
    def true(self) -> NDArray[np.bool_]:
        """Whether the image has the class (N, classes)."""
        true: NDArray[np.bool_] = (self.label > 0.5).numpy()
        return true

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether all labels of the image are right (N,)."""
        right: NDArray[np.bool_] = ((self.probability > 0.5) == self.true).all(axis=1)
        return right

    @cached_property
    def classes(self) -> dict[str, LabelScore]:
        """Of each class."""
        return dict(zip(self.class_names, label_scores(self.logits, self.label), strict=True))

    @cached_property
    def bins(self) -> list[Bin]:
        """The reliability table of all labels together: what was said, and how many of them were true."""
        return reliability(self.probability.ravel(), self.true.ravel())

    @cached_property
    def calibration_error(self) -> float:
        """The expected one, of all labels together."""
        return expected_calibration_error(self.probability.ravel(), self.true.ravel())

    def worst(self, count: int) -> list[int]:
        """Positions of the images with the surest wrong labels, the surest first."""
        sureness = SeveralLabels.sureness(self.logits, self.label)
        order = sureness.argsort(descending=True, stable=True)[:count].tolist()
        return [position for position in order if sureness[position] > 0]

    def content(self, worst: int) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            "class_names": list(self.class_names),
            "classes": {
                name: score._asdict() | {"average_precision": score.average_precision if score.support else None}
                for name, score in self.classes.items()
            },
            "calibration": {"error": self.calibration_error, "bins": [part._asdict() for part in self.bins]},
            "worst": [
                {
                    "file": self.names[position],
                    "true": self._named(self.true[position]),
                    "predicted": self._named(self.probability[position] > 0.5),
                    "probabilities": dict(zip(self.class_names, self.probability[position].tolist(), strict=True)),
                }
                for position in self.worst(worst)
            ],
        }

    def lines(self) -> list[str]:
        """The same in words, for a terminal of 120 characters."""
        return [*self._class_lines(), "", *self._calibration_lines(), *self._worst_lines()]

    def _named(self, has_class: NDArray[np.bool_]) -> list[str]:
        return [self.class_names[at] for at in np.flatnonzero(has_class).tolist()]

    def _class_lines(self) -> list[str]:
        shown = list(self.class_names)
        more = len(shown) - LISTED
        if more > 0:
            shown = sorted(shown, key=lambda name: np.nan_to_num(self.classes[name].average_precision))[:LISTED]
        width = max(5, *(len(shortened(name)) for name in shown))
        lines = [f"{'class':<{width}}  images  average precision  recall  precision     F1"]
        for name in shown:
            score = self.classes[name]
            ranked = f"{score.average_precision:>17.3f}" if score.support else f"{'-':>17}"
            lines.append(
                f"{shortened(name):<{width}}  {score.support:>6}  {ranked}  {score.recall:>6.3f}  "
                f"{score.precision:>9.3f}  {score.f1:>5.3f}"
            )
        if more > 0:
            lines.append(f"These are the {LISTED} with the lowest average precision; the file has the other {more}.")
        lines.append(
            "Average precision: how well a class's images are ranked before the others. Recall: of how many of"
        )
        lines.append("its images it was said, with 0.5 at least; precision: how many of those of which it was have it.")
        return lines

    def _calibration_lines(self) -> list[str]:
        predicted, true = float(self.probability.mean(dtype=np.float64)), float(self.true.mean())
        verdict = "too often" if predicted > true else "not often enough"
        return [
            f"Of all labels {true:.3f} are true, and the model says {predicted:.3f} on average: {verdict}, by "
            f"{abs(predicted - true):.3f}.",
            f"Expected calibration error {self.calibration_error:.4f}.",
            "it says       labels  mean   is true",
            *(
                f"{part.lowest:.2f} to {part.highest:.2f}  {part.images:>6}  {part.probability:.3f}  "
                f"{part.accuracy:>7.3f}"
                for part in self.bins
                if part.images
            ),
        ]

    def _worst_lines(self) -> list[str]:
        positions = self.worst(WORST)
        if not positions:
            return ["", "Every label was predicted right."]
        lines = ["", "Surest wrong answers:"]
        for position in positions:
            mistake = SeveralLabels.mistake(self.logits[position], self.label[position], self.class_names)
            name, room = self.names[position], LINE - len(mistake) - 2
            lines.append(f"{name if len(name) <= room else '...' + name[3 - room :]}  {mistake}")
        return lines

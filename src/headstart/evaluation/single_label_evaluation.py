"""Evaluation of images with one class each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.evaluation.class_scores import ClassScore, class_scores, confusion_matrix
from headstart.evaluation.confidence.calibration import Bin, expected_calibration_error, reliability
from headstart.evaluation.confidence.risk_coverage import (
    SHARES,
    CoveragePoint,
    accuracy_at,
    area_under_risk,
    coverage_curve,
    least_area,
)

LISTED = 30  # classes in the terminal
WORST = 5  # images there
NAME = 28  # letters of a class's name there
LINE = 120


@dataclass(frozen=True)
class SingleLabelEvaluation:
    """Predictions for the images of a split with one class each, in the split's order.

    Args:
        logits: (N, classes).
        label: (N,), indices in class_names.
        names: Of the images.
        class_names: Of the run.
        asked: Indices in class_names of the classes that the data has.
    """

    logits: Tensor  # (N, classes)
    label: Tensor  # (N,): places in class_names
    names: Sequence[str]  # of the images
    class_names: tuple[str, ...]  # of the run
    asked: tuple[int, ...]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The likeliest class of each image (N,)."""
        predicted: NDArray[np.int64] = self.logits.argmax(dim=1).numpy()
        return predicted

    @cached_property
    def probability(self) -> NDArray[np.float32]:
        """Its probability (N,)."""
        probability: NDArray[np.float32] = self.logits.softmax(dim=1).amax(dim=1).numpy()
        return probability

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether it is the true one (N,)."""
        right: NDArray[np.bool_] = self.predicted == self.label.numpy()
        return right

    @cached_property
    def confusion(self) -> NDArray[Any]:
        """Counts: true classes in rows, predicted ones in columns, in the run's order."""
        return confusion_matrix(self.predicted, self.label.numpy(), len(self.class_names))

    @cached_property
    def classes(self) -> dict[str, ClassScore]:
        """Of each class that the data has."""
        every = class_scores(self.confusion)
        return {self.class_names[place]: every[place] for place in self.asked}

    @cached_property
    def bins(self) -> list[Bin]:
        """The reliability table."""
        return reliability(self.probability, self.right)

    @cached_property
    def calibration_error(self) -> float:
        """The expected one."""
        return expected_calibration_error(self.probability, self.right)

    @cached_property
    def coverage(self) -> list[CoveragePoint]:
        """What is right where only the surest answers are given, by the probability of the predicted class."""
        return coverage_curve(self.probability, self.right)

    @cached_property
    def risk_area(self) -> float:
        """The area under risk and coverage."""
        return area_under_risk(self.probability, self.right)

    def worst(self, count: int) -> list[int]:
        """Positions of the surest wrong answers, the surest first."""
        wrong = np.flatnonzero(~self.right)
        order = np.argsort(-self.probability[wrong], kind="stable")[:count]
        return [int(position) for position in wrong[order]]

    def content(self, worst: int) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            "class_names": list(self.class_names),
            "classes": {name: {"accuracy": score.recall, **score._asdict()} for name, score in self.classes.items()},
            "calibration": {"error": self.calibration_error, "bins": [part._asdict() for part in self.bins]},
            "abstention": {
                "aurc": self.risk_area,
                "least_aurc": least_area(self.right),
                "points": [accuracy_at(self.coverage, share)._asdict() for share in SHARES],
            },
            "confusion": self.confusion.tolist(),
            "worst": [
                {
                    "file": self.names[position],
                    "true": self.class_names[int(self.label[position])],
                    "predicted": self.class_names[self.predicted[position]],
                    "probability": float(self.probability[position]),
                }
                for position in self.worst(worst)
            ],
        }

    def lines(self) -> list[str]:
        """The same in words, for a terminal of 120 characters."""
        sections = self._class_lines(), self._calibration_lines(), self._abstention_lines()
        return [line for section in sections for line in (*section, "")][:-1] + self._worst_lines()

    def _class_lines(self) -> list[str]:
        shown = list(self.asked)
        scores = self.classes
        more = len(shown) - LISTED
        if more > 0:
            shown = sorted(shown, key=lambda place: scores[self.class_names[place]].f1)[:LISTED]
        width = max(5, *(len(shortened(self.class_names[place])) for place in shown))
        lines = [f"{'class':<{width}}  images  recall  precision     F1  most often taken for"]
        for place in shown:
            score = scores[self.class_names[place]]
            lines.append(
                f"{shortened(self.class_names[place]):<{width}}  {score.support:>6}  {score.recall:>6.3f}  "
                f"{score.precision:>9.3f}  {score.f1:>5.3f}  {self._taken_for(place)}".rstrip()
            )
        if more > 0:
            lines.append(f"These are the {LISTED} with the lowest F1; the file has the other {more}.")
        lines.append(
            "Recall, a class's accuracy: how many of its images were recognised. Precision: how many that were"
        )
        lines.append("taken for it are of it. F1: the harmonic mean of both.")
        return lines

    def _taken_for(self, place: int) -> str:
        others = self.confusion[place].copy()
        others[place] = 0
        most = int(others.argmax())
        return f"{shortened(self.class_names[most])} ({others[most]})" if others[most] else ""

    def _calibration_lines(self) -> list[str]:
        predicted, true = float(self.probability.mean(dtype=np.float64)), float(self.right.mean())
        verdict = "too sure" if predicted > true else "not sure enough"
        lines = [
            f"The model is right in {true:.3f} of the images and says {predicted:.3f} on average: {verdict} by "
            f"{abs(predicted - true):.3f}.",
            f"Expected calibration error {self.calibration_error:.4f}.",
            "it says       images  mean   is right",
        ]
        lines += [
            f"{part.lowest:.2f} to {part.highest:.2f}  {part.images:>6}  {part.probability:.3f}  {part.accuracy:>8.3f}"
            for part in self.bins
            if part.images
        ]
        return lines

    def _abstention_lines(self) -> list[str]:
        points = {share: accuracy_at(self.coverage, share) for share in SHARES}
        return [
            "answers given, the surest ones  " + "".join(f"{f'{point.coverage:.1%}':>9}" for point in points.values()),
            "accuracy on them                " + "".join(f"{point.accuracy:>9.3f}" for point in points.values()),
            "least probability of them       " + "".join(f"{point.threshold:>9.3f}" for point in points.values()),
            f"Area under risk and coverage (AURC) {self.risk_area:.4f}; with wrong answers the least sure it would be "
            f"{least_area(self.right):.4f}.",
        ]

    def _worst_lines(self) -> list[str]:
        positions = self.worst(WORST)
        if not positions:
            return ["", "No image was predicted wrong."]
        lines = ["", "Surest wrong answers:"]
        for position in positions:
            mistake = (
                f"{shortened(self.class_names[int(self.label[position])])} taken for "
                f"{shortened(self.class_names[self.predicted[position]])} with {self.probability[position]:.3f}"
            )
            room = LINE - len(mistake) - 2
            name = self.names[position]
            lines.append(f"{name if len(name) <= room else '...' + name[3 - room :]}  {mistake}")
        return lines


def shortened(name: str) -> str:
    """A class's name as a terminal has room for."""
    return name if len(name) <= NAME else name[: NAME - 3] + "..."

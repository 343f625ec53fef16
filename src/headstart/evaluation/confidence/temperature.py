"""Temperature scaling: one number by which logits are divided, so that probabilities are calibrated."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from headstart.evaluation.confidence.calibration import expected_calibration_error

LOWEST, HIGHEST = 0.05, 20.0  # beyond, probabilities are 0 or 1, or all alike


class CalibrationScore(NamedTuple):
    """How well probabilities are calibrated.

    Attributes:
        nll: The mean negative log-likelihood of the labels, in nats; of several labels an image the mean over classes.
        ece: The expected calibration error.
    """

    nll: float
    ece: float


class FittedTemperature(NamedTuple):
    """A temperature, and what it changes on the images that it was fitted on.

    Attributes:
        temperature: Above 1 makes probabilities less sure, below 1 surer.
        images: That it was fitted on.
        before: Their calibration at temperature 1.
        after: Their calibration at this temperature.
    """

    temperature: float
    images: int
    before: CalibrationScore
    after: CalibrationScore

    @property
    def is_at_bound(self) -> bool:
        """Whether the best temperature lies outside the range, as where every answer is right."""
        return self.temperature in (LOWEST, HIGHEST)

    def content(self) -> dict[str, Any]:
        """The same, for a JSON file."""
        plain = {"temperature": self.temperature, "images": self.images, "at_bound": self.is_at_bound}
        return plain | {"before": self.before._asdict(), "after": self.after._asdict()}


def fitted_temperature(logits: Tensor, label: Tensor) -> FittedTemperature:
    """The temperature with the least negative log-likelihood, in [0.05, 20].

    The likelihood is convex in 1 / temperature, so that its derivative has one zero, which is searched. The predicted
    classes stay the same. Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv:1706.04599), section 4.2.

    Args:
        logits: (N, classes).
        label: (N,), or of several labels an image (N, classes), 0 or 1.

    Raises:
        ValueError: There is no image, or logits are not finite.
    """
    if not len(logits) or not bool(torch.isfinite(logits).all()):
        raise ValueError(f"a temperature is fitted on finite logits of one image at least, got {len(logits)} images")
    wide = logits.double()
    coldest, hottest = (_slope(1 / bound, wide, label) for bound in (LOWEST, HIGHEST))
    if coldest <= 0:
        temperature = LOWEST
    elif hottest >= 0:
        temperature = HIGHEST
    else:
        temperature = 1 / brentq(_slope, 1 / HIGHEST, 1 / LOWEST, args=(wide, label), xtol=1e-12)
    before, after = (calibration_score(logits, label, each) for each in (1.0, temperature))
    return FittedTemperature(temperature, len(logits), before, after)


def _slope(inverse: float, logits: Tensor, label: Tensor) -> float:
    """The derivative of the mean negative log-likelihood by 1 / temperature."""
    scaled = logits * inverse
    if label.ndim > 1:
        return float(((scaled.sigmoid() - label) * logits).mean())
    expected = (scaled.softmax(dim=1) * logits).sum(dim=1)
    return float((expected - logits.gather(1, label[:, None])[:, 0]).mean())


def calibration_score(logits: Tensor, label: Tensor, temperature: float) -> CalibrationScore:
    """Calibration of the logits over a temperature; logits and label as of fitted_temperature."""
    scaled = logits.double() / temperature
    if label.ndim > 1:
        nll = binary_cross_entropy_with_logits(scaled, label.double())
        probability, right = scaled.sigmoid().ravel(), (label > 0.5).ravel()
    else:
        nll = cross_entropy(scaled, label)
        probability, right = scaled.softmax(dim=1).amax(dim=1), scaled.argmax(dim=1) == label
    return CalibrationScore(float(nll), expected_calibration_error(probability.float().numpy(), right.numpy()))


def calibration_lines(name: str, before: CalibrationScore, after: CalibrationScore, temperature: float) -> list[str]:
    """Calibration of some images without and with a temperature, for a terminal.

    Args:
        name: What the images are called.
        before: At temperature 1.
        after: At the temperature.
        temperature: By which logits are divided.
    """
    return [
        f"{'':<32}{'as it is':>10}{f'T = {temperature:.3f}':>12}",
        f"{name + ' nll':<32}{before.nll:>10.4f}{after.nll:>12.4f}",
        f"{name + ' calibration error':<32}{before.ece:>10.4f}{after.ece:>12.4f}",
    ]

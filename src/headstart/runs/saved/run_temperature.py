"""The temperature of a finished run's model, fitted on its own val images."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Gt
from omegaconf import DictConfig
from torch import Tensor

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.evaluation.confidence.temperature import (
    HIGHEST,
    LOWEST,
    CalibrationScore,
    FittedTemperature,
    calibration_lines,
    calibration_score,
    fitted_temperature,
)
from headstart.runs.folder.run_folder import write_json
from headstart.runs.model_parts.assembly import adaptation_of, drawn, images_seed
from headstart.runs.saved.finished_run import SavedRun
from headstart.runs.saved.weights_measurement import MeasuredWeights
from headstart.runs.training.missing_validation import has_no_val
from headstart.system.files.file_identity import sha256
from headstart.types import UserError

Temperature = Annotated[float, Gt(0)] | Literal["val"] | None


def chosen_temperature(setting: Temperature, run: SavedRun, trainer: DictConfig) -> float:
    """The number by which logits are divided.

    Args:
        setting: The number, `val` for the one that is fitted on the run's val images, None for 1.
        run: A finished run.
        trainer: The node that says where to compute.

    Raises:
        UserError: It is to be fitted, and there are no val images that it could be fitted on.
    """
    if setting is not None and run.regression:
        raise UserError("a temperature calibrates probabilities, and this run's targets are numbers; leave it null")
    if setting == "val":
        return run_temperature(run, trainer).temperature
    return 1.0 if setting is None else float(setting)


class EvaluatedTemperature(NamedTuple):
    """Calibration of a split without and with a temperature: for the evaluation's file, and for a terminal."""

    content: dict[str, Any]
    lines: list[str]


def evaluated_temperature(
    setting: Temperature, run: SavedRun, trainer: DictConfig, logits: Tensor, label: Tensor
) -> EvaluatedTemperature:
    """What a temperature does to the calibration of some images; where none can be fitted, a line says why.

    Args:
        setting: As of chosen_temperature; None for nothing at all.
        run: A finished run.
        trainer: The node that says where to compute.
        logits: (N, classes) of the images.
        label: (N,), or of several labels an image (N, classes).
    """
    if setting is None or run.regression:  # numbers have no probabilities
        return EvaluatedTemperature({}, [])
    try:
        fitted = run_temperature(run, trainer) if setting == "val" else None
    except UserError as error:
        return EvaluatedTemperature({}, ["", f"no temperature was fitted: {error}"])
    temperature = float(setting) if fitted is None else fitted.temperature
    before, after = (calibration_score(logits, label, each) for each in (1.0, temperature))
    content: dict[str, Any] = {"value": temperature, "fitted": None if fitted is None else fitted.content()}
    content |= {"before": before._asdict(), "after": after._asdict()}
    lines = ["", *calibration_lines("these images", before, after, temperature)]
    if fitted is not None:
        lines += calibration_lines("val", fitted.before, fitted.after, temperature)[1:]
        lines.append(
            f"T was fitted on the run's {fitted.images} val images; it changes no predicted class."
            + (" It is at the end of its range." if fitted.is_at_bound else "")
        )
    return EvaluatedTemperature({"temperature": content}, lines)


def run_temperature(run: SavedRun, trainer: DictConfig) -> FittedTemperature:
    """The temperature that suits the run's val images, from its file where there is one, else fitted and written there.

    The file is temperature-<checkpoint>.json in the run's folder; it counts for these weights alone. Test images have
    no part in it.

    Args:
        run: A finished run.
        trainer: The node that says where to compute.

    Raises:
        UserError: The run has no val images with labels of its target, or they cannot be read.
    """
    path = run.folder / f"temperature-{run.checkpoint.stem}.json"
    weights = sha256(run.checkpoint)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["weights_sha256"] == weights:
            return _read(stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        pass  # there is none, or it is damaged
    fitted = _fitted(run, trainer)
    metadata = {"run": run.folder.name, "checkpoint": run.checkpoint.stem, "split": "val", "weights_sha256": weights}
    write_json(path, metadata | fitted.content())
    return fitted


def _read(stored: dict[str, Any]) -> FittedTemperature:
    """The fit that a file holds. Raises ValueError, KeyError or TypeError where no fit gives such numbers."""
    before, after = (
        CalibrationScore(**{key: float(value) for key, value in stored[name].items()}) for name in ("before", "after")
    )
    temperature, images = float(stored["temperature"]), int(stored["images"])
    if not LOWEST <= temperature <= HIGHEST or images < 1 or not all(map(math.isfinite, (*before, *after))):
        raise ValueError(f"no fit gives the temperature {temperature} of {images} images")
    return FittedTemperature(temperature, images, before, after)


def _fitted(run: SavedRun, trainer: DictConfig) -> FittedTemperature:
    method = adaptation_of(run.cfg)
    if method is not None and method.main != "target":
        raise UserError(
            f"a temperature is fitted on labelled val images of the target, and {run.folder.name} adapts without them; "
            "give a number in the place of val"
        )
    model = MeasuredWeights(run, trainer)
    model.load(run.state())
    pixels = model.parts.backbone.pixels
    images = drawn(run.cfg, instantiate(run.cfg.target, pixels=pixels, seed=images_seed(run.cfg)))
    images.setup("fit")
    if has_no_val(images):
        raise UserError(f"a temperature is fitted on val images, and {run.folder.name} has none; give a number")
    features, label = model.features("val", images)
    with torch.no_grad():
        logits = model.parts.head(features)
    return fitted_temperature(logits.float().cpu(), label.cpu())

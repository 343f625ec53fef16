"""The task `more_labels`: accuracy over the number of labelled images, and what more of them would bring."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, MinLen
from omegaconf import DictConfig

from headstart.evaluation.forecast.accuracy_forecast import Forecast, forecast
from headstart.evaluation.forecast.error_power_law import FEWEST_SIZES
from headstart.features.probing.probes import LabelledFeatures, first_empty
from headstart.features.probing.shot_curve import CurveHead, CurvePoint, curve_sizes, shot_curve
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import write_pictures
from headstart.runs.probing.frozen_features import Frozen, fitting_device, frozen, result_origin
from headstart.runs.probing.one_class_check import one_class_check
from headstart.runs.training.missing_validation import check_chooses_on_val
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)
_RUNS = "for a curve of runs: headstart -m mode=feature_extraction target.fraction=0.25,0.5,1"
_check_labels = one_class_check("task=more_labels counts images of classes", of_numbers=_RUNS, of_labels=_RUNS)


def more_labels(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    data: DictConfig | None,
    stage: str | None,
    head: CurveHead,
    strengths: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
    shots: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)] | None,
    draws: Annotated[int, Ge(2)],
    more: Annotated[int, Ge(1)],
    replicates: Annotated[int, Ge(100)],
) -> float:
    """Measure a head on frozen features with ever more training images, and continue the curve -> the gain of `more`.

    Images are drawn from train and measured on val; test is never read. The table, a sentence and the picture are
    printed, drawn and written to result.json. Only the first of several ranks computes.

    Args:
        cfg: The composed config.
        run_dir: A finished run whose best weights make the features; None for the weights that the mode starts from.
        data: Data in the place of the target.
        stage: Whose features; None for the last.
        head: Ridge regression in closed form, or logistic regression.
        strengths: Of the head's penalty, of which val chooses.
        shots: Training images a class, on average; None: 1, 2, 4 and so on up to half of all.
        draws: Of the training images, at each number but that of all.
        more: Labelled images that the sentence is about.
        replicates: Of the bootstrap.

    Raises:
        UserError: Labels are not one class an image, a class has no training image, there is no val image, or there are
            too few training images for a curve.
    """
    if rank_environment.rank() > 0:
        return float("nan")
    if run_dir is None and data is None:
        check_chooses_on_val(cfg, "more_labels")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        settings = _CurveSettings(stage, head, strengths, shots, draws, more, replicates)
        return _measured(cfg, folder, frozen(cfg, run_dir, data, check=_check_labels), settings)

    result = finished_or(cfg, make, again="measures")
    tell(table(result))
    return float(result["gain"]["value"])


class _CurveSettings(NamedTuple):
    """How the curve is measured, as the task's settings say it."""

    stage: str | None
    head: CurveHead
    strengths: list[float]
    shots: list[int] | None
    draws: int
    more: int
    replicates: int


def _measured(cfg: DictConfig, folder: Path, model: Frozen, settings: _CurveSettings) -> dict[str, Any]:
    """The content of result.json, which is written, and the picture."""
    start, images = time.monotonic(), model.parts.data
    name = settings.stage or model.stages[-1]
    device = fitting_device(model.engine)
    train, val = (
        LabelledFeatures(stored.features[name].to(device), stored.label.to(device))
        for stored in (model.features(split, [name]) for split in ("train", "val"))
    )
    sizes = _checked_sizes(train, val, images, settings.shots)
    points = shot_curve(
        train, val, images.num_classes, sizes, head=settings.head, strengths=settings.strengths,
        draws=settings.draws, seed=int(cfg.seed),
    )  # fmt: skip
    correct = [point.correct for point in points]
    found = forecast(sizes, correct, more=settings.more, replicates=settings.replicates, seed=int(cfg.seed))
    result = {
        **result_origin(cfg, folder, model.facts),
        **_record(points, found, settings.more),
        "stage": name,
        "head": settings.head,
        "wall_s": time.monotonic() - start,
        "versions": versions(),
    }
    _draw(cfg, folder, result, points, found)
    write_json(folder / RESULT, result)
    return result


def _checked_sizes(train: LabelledFeatures, val: LabelledFeatures, data: Any, shots: list[int] | None) -> list[int]:
    empty = first_empty(train.labels, data.num_classes)
    if empty is not None:
        raise UserError(
            f"each class needs a training image, {data.class_names[empty]!r} has none of {len(train.labels)}; "
            "try data without the class (target.classes)"
        )
    if len(val.labels) < 2:
        raise UserError("accuracy is measured on val images, and these data have none; leave target.val_shots above 0")
    sizes = curve_sizes(train.labels, data.num_classes, shots)
    if len(sizes) < FEWEST_SIZES:
        raise UserError(
            f"a curve needs {FEWEST_SIZES} numbers of training images, got {', '.join(map(str, sizes))} of "
            f"{data.num_classes} classes; try more labelled images (target.shots=null takes all)"
        )
    return sizes


def _record(points: list[CurvePoint], found: Forecast, more: int) -> dict[str, Any]:
    accuracy = [point.correct.mean(axis=1) for point in points]
    return {
        "metrics": {"val/accuracy": float(accuracy[-1].mean())},
        "curve": [
            {
                "images": point.images,
                "draws": by_draw.tolist(),
                "mean": float(by_draw.mean()),
                "std": float(np.std(by_draw, ddof=1)) if len(by_draw) > 1 else None,
                "strengths": list(point.strengths),
            }
            for point, by_draw in zip(points, accuracy, strict=True)
        ],
        "val_images": points[0].correct.shape[1],
        "more": more,
        "law": {name: float(values[0]) for name, values in found.law._asdict().items()},
        "gain": found.gain._asdict(),
        "accuracy_with_more": found.accuracy._asdict(),
        "limit": found.limit._asdict(),
        "off_at_end": found.is_off,
        "backtest": found.backtest
        and {
            "images": found.backtest.images,
            "predicted": found.backtest.predicted._asdict(),
            "measured": found.backtest.measured,
            "holds": found.backtest.holds,
        },
    }


def _draw(cfg: DictConfig, folder: Path, result: dict[str, Any], points: list[CurvePoint], found: Forecast) -> None:
    from headstart.evaluation.forecast.accuracy_forecast_plot import (
        accuracy_forecast_figure,  # here: it needs matplotlib
    )

    sizes, correct = [point.images for point in points], [point.correct for point in points]
    title = f"{result['head']} on {result['stage']}, {result['val_images']} val images"
    write_pictures(
        cfg, folder, {"curve": accuracy_forecast_figure(sizes, correct, found, more=result["more"], title=title)}
    )


def table(result: dict[str, Any]) -> str:
    """A learning curve as lines: accuracy by images, and the sentences on what more of them would bring."""
    lines = [f"{result['head']} regression on frozen {result['stage']}, {result['val_images']} val images:"]
    lines.append("  images  accuracy  +- over draws")
    for point in result["curve"]:
        spread = "(all)" if point["std"] is None else f"{point['std']:.3f} ({len(point['draws'])})"
        lines.append(f"  {point['images']:>6}  {point['mean']:>8.3f}  {spread}")
    return "\n".join([*lines, *sentences(result)])


def sentences(result: dict[str, Any]) -> list[str]:
    """What more images would bring, what no number of them would, and how the curve predicted its own end.

    Args:
        result: The content of result.json.
    """
    total, more, gain, limit = result["curve"][-1]["images"], result["more"], result["gain"], result["limit"]
    said = [
        f"{more} more labelled images ({total} -> {total + more}, drawn as these are) would bring "
        f"{100 * gain['value']:+.1f} points of val accuracy [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}] "
        "to this head on these features, if the curve goes on as it was.",
        f"With ever more of them it would reach {limit['value']:.3f} [{limit['low']:.3f}, {limit['high']:.3f}]: what "
        "is missing above that is a matter of training the stages (mode=fine_tuning), not of data.",
    ]
    if result.get("off_at_end"):  # results of earlier versions do not say it
        said.append(
            "The curve is no power law: with all images the law misses what was measured by more than chance explains. "
            "Do not believe the lines above; look at curve.png, and whether the images are drawn alike."
        )
    backtest = result["backtest"]
    if backtest is None:
        said.append("There are too few sizes to try the law on its own first half.")
    else:
        predicted = backtest["predicted"]
        outcome = "inside" if backtest["holds"] else "OUTSIDE: take the intervals above for too narrow"
        said.append(
            f"Its first half predicted {predicted['value']:.3f} [{predicted['low']:.3f}, {predicted['high']:.3f}] for "
            f"{backtest['images']} images, and {backtest['measured']:.3f} was measured ({outcome})."
        )
    return said

"""The task `interpolate`: weights between a run's start and its end (WiSE-FT), of which val chooses the best."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytorch_lightning as pl
from annotated_types import Ge
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.evaluation.choice_by_val import best_first
from headstart.evaluation.class_indices import class_indices, relabelled
from headstart.evaluation.confidence.calibration_picture import saved
from headstart.evaluation.interpolation_curve import interpolation_picture
from headstart.evaluation.weight_averaging import interpolated
from headstart.runs.folder.run_folder import CHECKPOINTS, write_json
from headstart.runs.model_parts.assembly import Assembly, assembled, images_seed
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_run import SavedRun, saved_run
from headstart.runs.saved.other_data import check_no_target, other_data
from headstart.runs.saved.weights_measurement import MeasuredWeights, write_weights
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.starting_weights import weights_of
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)


class Point(NamedTuple):
    """One model on the line from the start (share 0) to the end (share 1) of fine-tuning, with its metrics."""

    share: float
    metrics: dict[str, float]


def interpolate(
    *,
    cfg: DictConfig,
    run_dir: str | Path,
    checkpoint: Literal["best", "last"],
    points: Annotated[int, Ge(3)],
    data: DictConfig | None,
) -> dict[str, Any]:
    """Measure weights on the line between the model that a run started from and the one that it ended with.

    The model at share s has the weights (1 - s) * start + s * end, its head included. Val alone chooses the share,
    by the run's monitored metric, among equals by the lower loss, then by the larger share; test is read afterwards,
    of the chosen model and of both ends. The chosen weights are written as checkpoints/interpolated.ckpt, which
    evaluate, predict, explain and export take as `checkpoint=interpolated`; the metrics as interpolate.json
    and interpolate.png. Where the run started with a random head, the start has one in closed form on the training
    images, as step 0 of `head.init=class_means`. Running statistics of BatchNorm are interpolated like weights.

    Wortsman et al. 2022, Robust fine-tuning of zero-shot models (arXiv:2109.01903).

    Args:
        cfg: The command's config; of it only the trainer's accelerator counts.
        run_dir: Folder of a finished run that started from a source's whole backbone.
        checkpoint: The end of the line.
        points: Number of models on the line, both ends included.
        data: Other images, on which every model is measured too, such as a shifted domain. They choose nothing.

    Returns:
        The content of interpolate.json; of ranks after the first nothing.

    Raises:
        UserError: Where the run did not start from a source, has adapters or no val images, or is not finished.
    """
    quieten()
    if rank_environment.rank() > 0:
        return {}
    run = saved_run(run_dir, checkpoint)
    check_no_target("interpolate")
    _check_interpolable(run)
    model = MeasuredWeights(run, cfg.trainer)
    images = model.images_of(run)
    others = None if data is None else _others(run, model.parts, data)
    weights_at = partial(interpolated, _start(run, model, images), run.state())
    line = _measured_line(model, weights_at, points, images, others)
    chosen = _best(line, f"val/{model.monitor}", run)
    for point in {0.0: line[0], chosen.share: chosen, 1.0: line[-1]}.values():
        model.load(weights_at(point.share))
        point.metrics.update(model.metrics("test", images))
    write_weights(run.folder / CHECKPOINTS / "interpolated.ckpt", weights_at(chosen.share), share=chosen.share)
    content: dict[str, Any] = {
        "run": run.folder.name,
        "checkpoint": checkpoint,
        "monitor": f"val/{model.monitor}",
        "share": chosen.share,
        "data": None if data is None else OmegaConf.to_container(data, resolve=False),
        "line": [{"share": point.share, "metrics": point.metrics} for point in line],
    }
    write_json(run.folder / "interpolate.json", content)
    saved(interpolation_picture([*line], model.monitor, chosen.share), run.folder / "interpolate.png")
    tell(*_table(line, chosen, model.monitor))
    return content


def _measured_line(
    model: MeasuredWeights,
    weights_at: Callable[[float], dict[str, Tensor]],
    points: int,
    images: Any,
    others: tuple[Any, str, Callable[[Tensor], Tensor]] | None,
) -> list[Point]:
    """The models of the line at equal distances, each measured on val and on other data where there are some."""
    line = []
    for share in (at / (points - 1) for at in range(points)):
        model.load(weights_at(share))
        metrics = model.metrics("val", images)
        if others is not None:
            metrics |= model.metrics("other", *others)
        line.append(Point(share, metrics))
        log.info("share %.2f: val/%s %.4f", share, model.monitor, metrics[f"val/{model.monitor}"])
    return line


def _best(line: list[Point], metric: str, run: SavedRun) -> Point:
    """The model that val chooses, of equals that of the larger share."""
    back = line[::-1]
    order = best_first([point.metrics for point in back], metric)
    if not order:
        raise UserError(f"no model on the line has numbers as metrics on val; {run.folder.name} may have diverged")
    return back[order[0]]


def _check_interpolable(run: SavedRun) -> None:
    """Raise UserError where a run has no source's model at the other end of the line."""
    own = run.cfg
    if not own.get("reuse") or own.get("control"):
        raise UserError(
            f"interpolate needs a run that started from a source's weights, got mode={own.mode}"
            f"{' control=true' if own.get('control') else ''}; try a run of mode=fine_tuning"
        )
    if own.get("peft"):
        raise UserError(
            f"interpolate is for runs whose own weights learned, got peft={own.peft}: a product of two matrices is "
            "not interpolated by its factors; try a run of mode=fine_tuning"
        )
    if (own.get("weights") or {}).get("reset_from") is not None:
        raise UserError(
            f"interpolate needs a run that started from the whole source, got weights.reset_from="
            f"{own.weights.reset_from}, whose further stages began at random"
        )
    if waits_for_source(own):
        raise UserError("the source model that the run started from is no longer there; run the run's command again")


def _others(run: SavedRun, parts: Assembly, node: DictConfig) -> tuple[Any, str, Callable[[Tensor], Tensor]]:
    """Other data, the split of them that holds all images, and how their labels become those of the run."""
    make = partial(instantiate, pixels=parts.backbone.pixels, seed=images_seed(run.cfg))
    looked = other_data(node, make=make, split=None, setting="interpolate.split")
    looked.data.setup("test")
    known = run.class_names
    places = class_indices(
        tuple(looked.data.class_names),
        known,
        lambda unknown: UserError(
            f"the run's classes are {', '.join(known)}; interpolate.data has others: {', '.join(unknown)}"
        ),
    )
    return looked.data, looked.split, partial(relabelled, places=places, classes=len(known), several=run.several)


def _start(run: SavedRun, measured: MeasuredWeights, images: Any) -> dict[str, Tensor]:
    """The weights that the run's training began with."""
    weights = weights_of(run.cfg)
    pl.seed_everything(run.cfg.seed, verbose=False)
    began = assembled(run.cfg, run.known, weights)
    if began.head.init == "source":
        began.head.set_source(weights.head, weights.class_names, run.class_names)
    else:
        measured.load(began.module.state_dict())
        features, label = measured.features("train", images)
        began.head.set_class_means(began.head.eval().summary(features.cpu()).detach(), label.cpu())
    return {name: tensor.clone() for name, tensor in began.module.state_dict().items()}


def _table(line: list[Point], chosen: Point, monitor: str) -> list[str]:
    """A row a model: its share and metrics; the chosen one is marked."""
    names = [f"val/{monitor}", "val/loss", *(f"other/{n}" for n in (monitor, "loss")), f"test/{monitor}", "test/loss"]
    names = [name for name in names if any(name in point.metrics for point in line)]
    rows = ["share  " + "  ".join(f"{name:>14}" for name in names)]
    for point in line:
        values = "  ".join(f"{point.metrics[name]:14.4f}" if name in point.metrics else " " * 14 for name in names)
        rows.append(f"{point.share:5.2f}  {values}{'  <- chosen by val' if point is chosen else ''}")
    return rows

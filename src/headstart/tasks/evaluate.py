"""The task `evaluate`: metrics of a finished run's model on its own data or on other data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from annotated_types import Ge
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.backbones.denormalise import denormalised
from headstart.callbacks.predictions.number_pictures import numbers_figure
from headstart.callbacks.predictions.prediction_pictures import (
    confusion_figure,
    labels_figure,
    wrong_figure,
)
from headstart.callbacks.predictions.surest_errors import kind_of
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import image_names
from headstart.evaluation.class_indices import relabelled
from headstart.evaluation.confidence.abstention_picture import abstention_figure, write_coverage
from headstart.evaluation.confidence.calibration_picture import calibration_figure, saved
from headstart.evaluation.multi_label_evaluation import MultiLabelEvaluation
from headstart.evaluation.number_evaluation import NumberEvaluation
from headstart.evaluation.single_label_evaluation import SingleLabelEvaluation
from headstart.evaluation.view_evaluation import (
    Evaluation,
    ViewLoader,
    averaged,
    averaged_numbers,
    gain,
    lines,
    metrics_of,
    set_up_again,
    view_count,
)
from headstart.evaluation.views.view import Views
from headstart.runs.folder.run_folder import write_json
from headstart.runs.model_parts.assembly import Assembly, assembled, drawn, images_seed
from headstart.runs.model_parts.view_data import enlarged_data, views_of
from headstart.runs.outcome.split_metrics import split_metrics
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.evaluated_test_sets import evaluated_test_sets, named_sets_of
from headstart.runs.saved.finished_run import CheckpointName, SavedRun, saved_run
from headstart.runs.saved.label_matching import class_places
from headstart.runs.saved.other_data import EvaluatedData, check_no_target, data_stem, other_data
from headstart.runs.saved.run_temperature import Temperature, evaluated_temperature
from headstart.runs.test_sets.run_test_sets import TESTS
from headstart.runs.training.missing_validation import check_split
from headstart.runs.training.run_trainer import lone_trainer
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.types import Batch, Pixels, UserError

log = logging.getLogger(__name__)


def evaluate(
    *,
    cfg: DictConfig,
    run_dir: str | Path,
    split: Literal["train", "val", "test"] | None,
    checkpoint: CheckpointName,
    data: DictConfig | None,
    worst: Annotated[int, Ge(0)],
    tta: DictConfig | None,
    temperature: Temperature,
) -> dict[str, float]:
    """Measure a run's model on a split, print the metrics, and write <run_dir>/evaluate-<split>.json -> the metrics.

    The file also has each class's or column's scores, confusion matrix and abstention (of one label an image) and
    calibration, and the most confident wrong predictions; pictures lie beside it. Only the first rank computes.

    Args:
        cfg: The composed config, of which only the trainer's accelerator and `tests` count; the rest is the run's own.
        run_dir: The folder of a finished run.
        split: The split; None for test, or for all images of other data.
        checkpoint: The weights that are measured.
        data: Data in the place of the run's target, whose classes are matched by name; some of them may be missing.
        worst: How many wrong predictions are listed and drawn.
        tta: Views of each image, whose probabilities are averaged; the file's name then ends in -tta.
        temperature: What logits are divided by for a second look at the calibration: a number, `val` for the one that
            suits the run's val images, None for no such look. It goes without tta.

    Raises:
        UserError: The run is not finished, or its classes, its kind of labels or the split do not fit the data.
    """
    quieten()
    if rank_environment.rank() > 0:
        return {}
    _tell_devices(cfg)
    run = saved_run(run_dir, checkpoint)
    check_no_target("evaluate")
    parts = assembled(run.cfg, run.known)
    pixels = parts.backbone.pixels
    views = None if tta is None else views_of(tta)
    count = 1 if views is None else view_count(views, pixels)  # an error of the views comes before the data
    images, within, called = _images(run, data, split, partial(instantiate, pixels=pixels, seed=images_seed(run.cfg)))
    places = _set_up(images, within, run)
    named = named_sets_of(cfg.get(TESTS), run, parts)
    parts.module.load_state_dict(run.state())
    evaluation = _Evaluation(cfg, run, parts, places, within, "test" if called == "all" else called)
    outcome = evaluation.of(images)
    if views is not None and tta is not None:
        enlarge = partial(enlarged_data, views=views, pixels=pixels, seed=images_seed(run.cfg))
        larger = images if views.larger == 1 else set_up_again(_images(run, data, split, enlarge).data)
        outcome = evaluation.of_views(larger, views, outcome, {"kind": tta._target_, "views": count})
    answers, sets = outcome.answers, evaluated_test_sets(named, run, parts, cfg.trainer)
    outcome.metrics.update(sets.metrics)
    scaled = evaluated_temperature(None if tta else temperature, run, cfg.trainer, answers.logits, answers.label)
    stem, metadata = _file_of(run, data, called, len(answers.label), is_tta=tta is not None)
    content = outcome.content | answers.content(worst) | scaled.content | sets.content
    write_json(Path(f"{stem}.json"), metadata | content)
    _draw(stem, answers, images, pixels, within, worst)
    tell(*outcome.lines, "", *answers.lines(), *scaled.lines, *sets.lines)
    log.info("%s.json: %d images; pictures beside it", stem, len(answers.label))
    return outcome.metrics


def _tell_devices(cfg: DictConfig) -> None:
    if cfg.trainer.devices != 1 or cfg.trainer.get("num_nodes", 1) != 1:
        log.info("evaluating on one device: each image counts once")


def _file_of(
    run: SavedRun, data: DictConfig | None, called: str, images: int, *, is_tta: bool
) -> tuple[Path, dict[str, Any]]:
    """The evaluation's file without .json, and what it says of the images."""
    metadata = {"run": run.folder.name, "checkpoint": run.checkpoint.stem, "split": called, "images": images}
    if data is not None:
        metadata["data"] = OmegaConf.to_container(data, resolve=False)
    name = called if data is None else data_stem(data, called, images)
    return run.folder / f"evaluate-{name}{'-tta' if is_tta else ''}", metadata


def _images(
    run: SavedRun, data: DictConfig | None, split: str | None, make: Callable[[DictConfig], Any]
) -> EvaluatedData:
    """The images to evaluate on: those of other data, or the split of the run's own."""
    if data is not None:
        return other_data(data, make=make, split=split, setting="evaluate.split")
    return EvaluatedData(drawn(run.cfg, make(run.cfg.target)), split or "test", split or "test")


def _set_up(images: Any, split: str, run: SavedRun) -> Tensor:
    """Set the data up -> the numbers of their classes among the run's. Raise UserError where they do not fit."""
    places = class_places(images, run)
    images.setup("test")
    check_split(images, split, f"evaluate.split={split}")
    return places


class _Outcome(NamedTuple):
    """What an evaluation says."""

    answers: Evaluation
    metrics: dict[str, float]
    lines: list[str]  # for the terminal
    content: dict[str, Any]  # of the file


@dataclass(frozen=True)
class _Evaluation:
    """A run's model, and the split that it is evaluated on."""

    cfg: DictConfig  # of this command
    run: SavedRun
    parts: Assembly
    places: Tensor  # of the data's classes among the run's
    split: str
    tag: str  # the first word of the metrics' names

    def of(self, images: Any) -> _Outcome:
        """The outcome on the images as they are."""
        gathered, logged = self._tested(self._loader(images))
        logits, label = torch.cat(gathered.logits), torch.cat(gathered.labels)
        names = image_names(images, self.split, len(label))
        class_names = self.run.class_names
        answers: Evaluation = (
            NumberEvaluation(logits, label, names, class_names)
            if self.run.regression
            else MultiLabelEvaluation(logits, label, names, class_names)
            if self.run.several
            else SingleLabelEvaluation(logits, label, names, class_names, tuple(sorted(self.places.tolist())))
        )
        metrics = {
            name.replace("test/", f"{self.tag}/"): value for name, value in split_metrics(logged, "test").items()
        }
        printed = [f"{name:<26}{value:.4f}" for name, value in sorted(metrics.items())]
        return _Outcome(answers, metrics, printed, {"metrics": metrics})

    def of_views(self, images: Any, views: Views, single: _Outcome, metadata: dict[str, Any]) -> _Outcome:
        """The outcome with the mean probabilities over views; single: that of the images as they are."""
        count = metadata["views"]
        gathered, _ = self._tested(ViewLoader(self._loader(images), views, self.parts.backbone.pixels))
        mean = averaged_numbers(gathered.logits, count) if self.run.regression else None
        if mean is None:
            mean = averaged(gathered.logits, count, several=self.run.several)
        answers = replace(single.answers, logits=mean)
        metrics, changes = metrics_of(self.parts.module.labels, answers, self.tag), gain(single.answers, answers)
        content = {"tta": metadata | changes, "metrics_without_tta": single.metrics, "metrics": metrics}
        return _Outcome(
            answers, metrics, lines(single.metrics, metrics, count, changes, nearer=self.run.regression), content
        )

    def _loader(self, images: Any) -> _Relabelled:
        loader = images.plain_dataloader(self.split)
        several = self.run.several or self.run.regression
        return _Relabelled(loader, self.places, len(self.run.class_names), several=several)

    def _tested(self, loader: _Relabelled | ViewLoader) -> tuple[_GatheredLogits, Any]:
        """Logits (B, classes) and labels (B,) of each batch, and what the module logged."""
        gathered = _GatheredLogits()
        trainer = lone_trainer(self.cfg.trainer, precision=self.run.cfg.trainer.precision, callbacks=[gathered])
        trainer.test(self.parts.module, dataloaders=loader, verbose=False)
        return gathered, trainer.callback_metrics


class _Relabelled:
    """Batches whose labels are in the order of the run's classes; several: a value of each class or column."""

    def __init__(self, loader: Any, places: Tensor, classes: int, *, several: bool) -> None:
        self._loader, self._places, self._classes, self._several = loader, places, classes, several

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            label = relabelled(batch.label, self._places, self._classes, several=self._several)
            yield batch._replace(label=label)


class _GatheredLogits(pl.Callback):
    """Gathers the logits and the labels of each batch."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []
        self.labels: list[Tensor] = []

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning's hooks have the arguments that they have
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        if not isinstance(outputs, Tensor):
            raise UserError(
                f"to evaluate, a module's test_step must return the logits (B, classes), got {type(outputs).__name__} "
                f"from {type(pl_module).__name__}"
            )
        self.logits.append(outputs.float().cpu())
        self.labels.append(batch.label.cpu())


def _draw(
    stem: Path,
    answers: Evaluation,
    images: Any,
    pixels: Pixels,
    split: str,
    worst: int,
) -> None:
    """<stem>-confusion.png, -abstention.png and .csv (or -labels, -numbers), -calibration.png and, if any, -worst."""
    arrays = answers.logits, answers.label, answers.class_names
    of_labels = isinstance(answers, MultiLabelEvaluation)
    if isinstance(answers, SingleLabelEvaluation):
        saved(abstention_figure(answers.coverage, answers.risk_area), stem.with_name(f"{stem.name}-abstention.png"))
        write_coverage(stem.with_name(f"{stem.name}-abstention.csv"), answers.coverage)
    if isinstance(answers, NumberEvaluation):
        saved(numbers_figure(*arrays), stem.with_name(f"{stem.name}-numbers.png"))
    else:
        figure = labels_figure(*arrays) if of_labels else confusion_figure(*arrays)
        saved(figure, stem.with_name(f"{stem.name}-{'labels' if of_labels else 'confusion'}.png"))
        calibration = calibration_figure(answers.bins, answers.calibration_error, of_labels=of_labels)
        saved(calibration, stem.with_name(f"{stem.name}-calibration.png"))
    path, chosen = stem.with_name(f"{stem.name}-worst.png"), answers.worst(worst)
    path.unlink(missing_ok=True)  # an earlier one may have shown other images
    if chosen:
        batches = images.plain_dataloader(split, positions=np.array(chosen))
        pictures = torch.cat([denormalised(batch.image, pixels) for batch in batches])
        kind = kind_of(answers.label, numbers=isinstance(answers, NumberEvaluation))
        wrong = wrong_figure(pictures, answers.logits[chosen], answers.label[chosen], answers.class_names, worst, kind)
        saved(wrong, path)

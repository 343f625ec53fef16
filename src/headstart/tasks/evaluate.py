"""Figures of a finished run's model on its own data or on other data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from annotated_types import Ge
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.backbones.denormalise import visible
from headstart.callbacks.predictions.confusion_pictures import confusion_figure, labels_figure, wrong_figure
from headstart.evaluation.class_indices import class_places, relabelled
from headstart.evaluation.evaluation_pictures import calibration_figure, saved
from headstart.evaluation.multi_label_evaluation import LabelAnswers
from headstart.evaluation.single_label_evaluation import Answers
from headstart.evaluation.view_evaluation import EachView, averaged, gain, lines, metrics_of, set_up_again, view_count
from headstart.runs.assembly import Assembly, assembled, drawn
from headstart.runs.folder.run_folder import write_json
from headstart.runs.outcome.package_versions import figures
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.evaluation_data import Looked, check_no_target, data_stem, other_data
from headstart.runs.saved.finished_run import saved_run
from headstart.runs.training.trainer import lone_trainer
from headstart.runs.training.training_without_validation import check_split
from headstart.runs.view_data import enlarged_data, views_of
from headstart.system import rank_environment
from headstart.types import Batch, Pixels, UserError

log = logging.getLogger(__name__)


def evaluate(
    *,
    cfg: DictConfig,
    run_dir: str | Path,
    split: Literal["train", "val", "test"] | None,
    checkpoint: Literal["best", "last"],
    data: DictConfig | None,
    worst: Annotated[int, Ge(0)],
    tta: DictConfig | None,
) -> dict[str, float]:
    """Print what a run's model makes of a split, write it to <run_dir>/evaluate-<split>.json, and give the figures.

    Beside them the file has each class's scores, the confusion matrix (not where an image may have several labels),
    the calibration and the `worst` surest wrong answers; pictures of the last three lie next to it. split: None for
    test, and of other data for all images. data: other data than the run's target; its images are evaluated as they
    come, none set apart to train on, and the file's name says which data and how many images. Its classes are found by
    their names, in any order, and may be some of the run's. tta: views of each image, whose probabilities are
    averaged; the file's name then ends in -tta, all that it says is of these means, and the figures of the images as
    they are stand beside it. Of this command's config only the trainer's accelerator counts, the rest is the run's
    own, the precision too. Always on one device, so that each image counts once; of the ranks of torchrun or SLURM the
    first does it, the others return nothing. Raises UserError where the run is not finished or does not know a class,
    where the data have one label an image and the run several, or fewer classes then, or the other way round, or where
    a split that they do not come with is asked for.
    """
    quieten()
    if rank_environment.rank() > 0:
        return {}
    if cfg.trainer.devices != 1 or cfg.trainer.get("num_nodes", 1) != 1:
        log.info("evaluating on one device: each image counts once")
    run = saved_run(run_dir, checkpoint)
    check_no_target("evaluate")
    folder, own, class_names, several = run.folder, run.cfg, run.class_names, run.several
    parts = assembled(own, run.known)
    views = None if tta is None else views_of(tta)
    count = 1 if views is None else view_count(views, parts.backbone.pixels)  # views that cannot be are told now

    how = {"pixels": parts.backbone.pixels, "seed": own.seed}

    def looked_at(make: Callable[[DictConfig], Any]) -> Looked:
        if data is not None:
            return other_data(data, make=make, split=split, setting="evaluate.split")
        return Looked(drawn(own, make(own.target)), split or "test", split or "test")

    images, within, called = looked_at(partial(instantiate, **how))
    tag = "test" if called == "all" else called  # of the figures
    places = _places(tuple(images.class_names), class_names)
    _check_kind(images, several, places, class_names)
    images.setup("test")
    check_split(images, within, f"evaluate.split={within}")
    parts.module.load_state_dict(run.state())
    loader = images.plain_dataloader(within)
    seen, logged = _tested(cfg, own, parts, _Relabelled(loader, places, len(class_names), several=several))
    logits, label = torch.cat(seen.logits), torch.cat(seen.labels)
    names = images.names(within) if hasattr(images, "names") else [f"{within}/{n}" for n in range(len(label))]
    answers: Answers | LabelAnswers = (
        LabelAnswers(logits, label, names, class_names)
        if several
        else Answers(logits, label, names, class_names, tuple(sorted(places.tolist())))
    )
    measured = {name.replace("test/", f"{tag}/"): value for name, value in figures(logged, "test").items()}
    about: dict[str, Any] = {"run": folder.name, "checkpoint": checkpoint, "split": called, "images": len(label)}
    if data is not None:
        about["data"] = OmegaConf.to_container(data, resolve=False)
    said = [f"{name:<26}{value:.4f}" for name, value in sorted(measured.items())]
    if views is not None and tta is not None:
        larger = (
            images if views.larger == 1 else set_up_again(looked_at(partial(enlarged_data, views=views, **how)).data)
        )
        relabelled = _Relabelled(larger.plain_dataloader(within), places, len(class_names), several=several)
        seen, _ = _tested(cfg, own, parts, EachView(relabelled, views, parts.backbone.pixels))
        one, answers = answers, replace(answers, logits=averaged(seen.logits, count, several=several))
        alone, measured, found = measured, metrics_of(parts.module.labels, answers, tag), gain(one, answers)
        about["tta"] = {"kind": tta._target_, "views": count, **found}
        about["metrics_without_tta"] = alone
        said = lines(alone, measured, count, found)
    of = called if data is None else data_stem(data, called, len(label))
    stem = f"evaluate-{of}{'' if tta is None else '-tta'}"
    write_json(folder / f"{stem}.json", about | {"metrics": measured} | answers.content(worst))
    _draw(folder / stem, answers, images, parts.backbone.pixels, within, worst)
    print(*said, "", *answers.lines(), sep="\n")
    log.info("%s: %d images; pictures beside it", folder / f"{stem}.json", len(label))
    return measured


class _Relabelled:
    """Batches whose labels are places among the run's classes, not among those of the data; several: 0 or 1 of each."""

    def __init__(self, loader: Any, places: Tensor, classes: int, *, several: bool) -> None:
        self._loader, self._places, self._classes, self._several = loader, places, classes, several

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            label = relabelled(batch.label, self._places, self._classes, several=self._several)
            yield batch._replace(label=label)


class _Seen(pl.Callback):
    """Keeps what was said of each image, and what was true."""

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


def _places(asked: tuple[str, ...], known: tuple[str, ...]) -> Tensor:
    """Where each class of the data is among those of the run. Raises UserError where one is not there."""
    return class_places(
        asked,
        known,
        lambda unknown: UserError(
            f"the run's classes are {', '.join(known)}; those of evaluate.data are {', '.join(asked)}; "
            f"the run does not know {', '.join(unknown)}: rename them, or leave them out"
        ),
    )


def _check_kind(images: Any, several: bool, places: Tensor, known: tuple[str, ...]) -> None:
    """Raises UserError where the run's figures would mean something else on these data."""
    if not several and getattr(images, "multi_label", False):
        raise UserError("the run tells one class an image, and evaluate.data may have several labels an image")
    if several and getattr(images, "multi_label", False) and len(places) < len(known):
        lacking = [name for at, name in enumerate(known) if at not in set(places.tolist())]
        raise UserError(
            "evaluate.data must say of each of the run's classes whether an image has it, not among them: "
            f"{', '.join(lacking)}"
        )


def _tested(cfg: DictConfig, own: DictConfig, parts: Assembly, loader: _Relabelled | EachView) -> tuple[_Seen, Any]:
    """Logits (B, classes) and labels (B,) of each batch, and what the module logged."""
    seen = _Seen()
    trainer = lone_trainer(cfg.trainer, precision=own.trainer.precision, callbacks=[seen])
    trainer.test(parts.module, dataloaders=loader, verbose=False)
    return seen, trainer.callback_metrics


def _draw(stem: Path, answers: Answers | LabelAnswers, images: Any, pixels: Pixels, split: str, worst: int) -> None:
    """<stem>-confusion.png (or -labels.png), -calibration.png and, where an answer is wrong, -worst.png."""
    said = answers.logits, answers.label, answers.class_names
    of_labels = isinstance(answers, LabelAnswers)
    figure = labels_figure(*said) if of_labels else confusion_figure(*said)
    saved(figure, stem.with_name(f"{stem.name}-{'labels' if of_labels else 'confusion'}.png"))
    calibration = calibration_figure(answers.bins, answers.calibration_error, of_labels=of_labels)
    saved(calibration, stem.with_name(f"{stem.name}-calibration.png"))
    path, chosen = stem.with_name(f"{stem.name}-worst.png"), answers.worst(worst)
    path.unlink(missing_ok=True)  # an earlier one may have shown other images
    if chosen:
        batches = images.plain_dataloader(split, positions=np.array(chosen))
        shown = torch.cat([visible(batch.image, pixels) for batch in batches])
        found = wrong_figure(shown, answers.logits[chosen], answers.label[chosen], answers.class_names, worst)
        saved(found, path)

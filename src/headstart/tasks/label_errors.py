"""The task `label_errors`: labels that are likely wrong, ambiguous images, and unlabelled ones to label next."""

from __future__ import annotations

import logging
import time
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, MinLen
from omegaconf import DictConfig

from headstart.evaluation.label_quality import check_cleanlab, label_quality
from headstart.features.probing.out_of_fold import out_of_fold
from headstart.features.probing.probes import LabelledFeatures
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import write_pictures
from headstart.runs.probing.frozen_features import Frozen, fitting_device, frozen, result_origin
from headstart.runs.probing.label_review_lists import (
    JudgedImages,
    Ranked,
    UnlabelledFiles,
    ambiguous_list,
    next_list,
    suspicious_list,
    write_list,
)
from headstart.runs.probing.one_class_check import one_class_check
from headstart.runs.saved.finished_run import saved_run
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.tasks.predict import files_of
from headstart.types import UserError

log = logging.getLogger(__name__)
UNLABELLED = "unlabelled"  # in result.json
SHOWN = 10  # lines of the terminal
_RUN = (
    "a run lists the images that it is most wrong about: headstart task=evaluate evaluate.run_dir=... "
    "evaluate.split=train"
)
_check_labels = one_class_check("task=label_errors judges labels of classes", of_numbers=_RUN, of_labels=_RUN)


def label_errors(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    data: DictConfig | None,
    splits: Annotated[list[Literal["train", "val", "test"]], MinLen(1)],
    stage: str | None,
    folds: Annotated[int, Ge(2)],
    logistic: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
    show: Annotated[int, Ge(1)],
    unlabelled: str | None,
    next: Annotated[int, Ge(1)],  # noqa: A002 - it is the word on the command line
    batch_size: Annotated[int, Ge(1)],
) -> float:
    """Rank all labels by how likely they are wrong -> the share that confident learning counts as wrong.

    Each image is judged by logistic regressions on frozen features that did not learn from it. suspicious.csv has all
    images, the likeliest wrong label first; ambiguous.csv those between two classes; next.csv the unlabelled images to
    label next. Of each there is a picture, in the loggers too. Nothing is changed. Only the first of several ranks
    computes.

    Args:
        cfg: The composed config.
        run_dir: A finished run whose best weights make the features; None for the weights that the mode starts from.
        data: Data in the place of the target.
        splits: Whose labels are looked at.
        stage: Whose features; None for the last.
        folds: Of the cross-validation.
        logistic: Values of C, of which the one counts by which the labels are likeliest.
        show: Images on each picture.
        unlabelled: A folder, a file or a pattern of images without labels; None for none.
        next: How many of these are chosen.
        batch_size: Of the unlabelled images in a forward pass.

    Raises:
        UserError: Labels are not one class an image, a class has fewer than two images, there is no unlabelled image,
            or cleanlab is not installed.
    """
    if rank_environment.rank() > 0:
        return float("nan")

    files = None if unlabelled is None else files_of(unlabelled, setting="label_errors.unlabelled")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        check_cleanlab()
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        node = data if data is not None else (cfg if run_dir is None else saved_run(run_dir, "best").cfg).target
        settings = _Settings(list(dict.fromkeys(splits)), stage, folds, logistic, show, files, next, batch_size, node)
        return _looked_at(cfg, folder, frozen(cfg, run_dir, data, check=_check_labels), settings)

    result = finished_or(cfg, make, again="looks", is_of_now=lambda known: known.get(UNLABELLED) == _listing(files))
    tell(table(result, Path(cfg.run_dir)))
    return float(result["metrics"]["label_errors"])


def _listing(files: list[str] | None) -> dict[str, Any] | None:
    """How many unlabelled images there are, and a digest of their names and sizes: new ones are looked at."""
    if files is None:
        return None
    known = [(file, Path(file).stat().st_size if Path(file).is_file() else None) for file in files]
    return {"images": len(files), "digest": sha256(repr(known).encode(errors="surrogatepass")).hexdigest()}


class _Settings(NamedTuple):
    """What is looked at and how, as the task's settings say it; the files in the place of their pattern."""

    splits: list[str]
    stage: str | None
    folds: int
    strengths: list[float]
    show: int
    files: list[str] | None
    most: int
    batch_size: int
    node: DictConfig  # of the labelled data


def _looked_at(cfg: DictConfig, folder: Path, model: Frozen, settings: _Settings) -> dict[str, Any]:
    """The content of result.json, which is written, and the lists and pictures."""
    start, name = time.monotonic(), settings.stage or model.stages[-1]
    labelled = _labelled(model, settings.splits, name)
    lists, facts = _lists(cfg, model, labelled, settings.folds, settings.strengths)
    if settings.files is not None:
        wanted = UnlabelledFiles(settings.files, settings.most, settings.batch_size)
        lists["next"] = next_list(settings.node, model, labelled, wanted, facts["C"])
    (folder / RESULT).unlink(missing_ok=True)  # an earlier one is not of these lists
    for called, ranked in lists.items():
        write_list(folder / f"{called}.csv", ranked)
    _draw(cfg, folder, lists, settings.show)
    result = {
        **result_origin(cfg, folder, model.facts),
        "metrics": {"label_errors": facts["issues"] / len(labelled.names)},
        **facts,
        UNLABELLED: _listing(settings.files),
        "stage": name,
        "images": len(labelled.names),
        "splits": settings.splits,
        "lists": {called: ranked.rows[:SHOWN] for called, ranked in lists.items()},
        "wall_s": time.monotonic() - start,
        "versions": versions(),
    }
    write_json(folder / RESULT, result)
    return result


def _labelled(model: Frozen, splits: list[str], stage: str) -> JudgedImages:
    data = model.parts.data
    stored = {split: model.features(split, [stage]) for split in splits}
    labels = torch.cat([images.label for images in stored.values()])
    counts = torch.bincount(labels, minlength=data.num_classes)
    few = [name for name, count in zip(data.class_names, counts.tolist(), strict=True) if count < 2]
    if few:
        raise UserError(
            f"a label is judged by the other images of its class, and {few[0]!r} has fewer than two of "
            f"{len(labels)}; try more images (label_errors.splits=[train,val,test]), or data without the class"
        )
    return JudgedImages(
        features=torch.cat([images.features[stage] for images in stored.values()]),
        labels=labels,
        names=[name for images in stored.values() for name in images.names],
        places=[(split, number) for split, images in stored.items() for number in range(len(images.names))],
        data=data,
        stage=stage,
    )


def _lists(
    cfg: DictConfig, model: Frozen, labelled: JudgedImages, folds: int, strengths: list[float]
) -> tuple[dict[str, Ranked], dict[str, Any]]:
    """The lists of labelled images, and what was found for all of them together."""
    device = fitting_device(model.engine)
    images = LabelledFeatures(labelled.features.to(device), labelled.labels.to(device))
    classes = labelled.data.num_classes
    judged = out_of_fold(images, classes, folds=folds, strengths=strengths, seed=int(cfg.seed))
    probabilities = judged.probabilities.numpy()
    quality = label_quality(labelled.labels.numpy(), probabilities)
    agreement = float((judged.probabilities.argmax(dim=1) == labelled.labels).double().mean())
    lists = {
        "suspicious": suspicious_list(labelled, probabilities, quality),
        "ambiguous": ambiguous_list(labelled, probabilities, quality),
    }
    return lists, {"issues": int(quality.is_issue.sum()), "C": judged.strength, "out_of_fold_accuracy": agreement}


def _draw(cfg: DictConfig, folder: Path, lists: dict[str, Ranked], show: int) -> None:
    from headstart.evaluation.image_sheet import image_sheet  # here: it needs matplotlib

    figures = {}
    for called, ranked in lists.items():
        titles = ranked.titles[:show]
        figures[called] = image_sheet(ranked.images(len(titles)), titles)
    write_pictures(cfg, folder, figures)


def table(result: dict[str, Any], folder: Path) -> str:
    """The result as lines: how many labels are likely wrong, the first of each list, and where the rest is."""
    lines = [
        f"{result['issues']} of {result['images']} labels are likely wrong by confident learning on frozen "
        f"{result['stage']} (out-of-fold accuracy {result['out_of_fold_accuracy']:.3f}, C={result['C']:g}); "
        "images that the features cannot tell apart count among them: look before you change a label"
    ]
    for called, rows in result["lists"].items():
        lines.append(f"{folder / called}.csv (the picture beside it) begins with")
        lines += ["  " + "  ".join(f"{key}={value}" for key, value in row.items()) for row in rows]
    return "\n".join(lines)

"""The task `few_images`: accuracy of a linear classifier on pixels and on a source's features, with few images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, MinLen
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.evaluation.naive_models import wilson_interval
from headstart.features.pca import PrincipalComponents, directions
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.probes import (
    Candidate,
    LabelledFeatures,
    Probe,
    ProbeData,
    best_by,
    candidates,
    first_empty,
)
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes, is_control
from headstart.runs.outcome.run_provenance import provenance
from headstart.runs.probing.frozen_features import Frozen, frozen, result_origin
from headstart.runs.probing.one_class_check import one_class_check
from headstart.runs.training.missing_validation import check_chooses_on_val
from headstart.system import rank_environment
from headstart.system.printing.aligned_columns import aligned
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

BASELINE = "pixels"  # what a report compares the others with
VARIES = 1e-9  # of the whole variance: a direction with less of it is rounding

_RUNS = "try headstart -m mode=scratch,feature_extraction target.fraction=0.1,0.5"
_check_labels = one_class_check("task=few_images compares classifiers", of_numbers=_RUNS, of_labels=_RUNS)

Representation = Literal["pixels", "pixels_pca", "features", "features_pca", "random_features"]
Reader = Callable[[str], LabelledFeatures]  # split -> its images in a representation, and their labels


def few_images(
    *,
    cfg: DictConfig,
    representations: Annotated[list[Representation], MinLen(1)],
    stage: str | None,
    components: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)],
    logistic: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
) -> float:
    """Train one kind of linear classifier on each representation of the target's images -> the best one's val accuracy.

    The classifier is a logistic regression on standardised numbers. Its strength, and the number of principal
    components, are chosen on val; then it is measured on test, once. The table is printed and written to result.json,
    for the report of a sweep over target.shots. Only the first of several ranks computes.

    Args:
        cfg: The composed config.
        representations: What the classifier sees.
        stage: The stage whose features it sees; None for the last.
        components: Numbers of principal components to try, as far as there are so many.
        logistic: Values of C to try.

    Raises:
        UserError: The mode reuses no source, the job is a control, there is no such stage, labels are not one class an
            image, or a class has no training image.
    """
    if rank_environment.rank() > 0:
        return float("nan")
    check_chooses_on_val(cfg, "few_images")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        if not cfg.reuse:
            raise UserError(
                f"few_images asks what a source's features bring, and mode={cfg.mode} reuses no source; "
                "try mode=feature_extraction"
            )
        if is_control(cfg):
            raise UserError(
                "few_images has its control in itself, the representation random_features; leave control=false"
            )
        return _compared(cfg, folder, list(dict.fromkeys(representations)), stage, components, logistic)

    result = finished_or(cfg, make, again="compares")
    tell(table(result))
    return float(result["metrics"]["val/accuracy"])


def _compared(
    cfg: DictConfig, folder: Path, names: list[str], stage: str | None, components: list[int], c: list[float]
) -> dict[str, Any]:
    """The content of result.json."""
    start = time.monotonic()
    model = frozen(cfg, None, check=_check_labels)
    data = model.parts.data
    readers: dict[str, Reader] = {"pixels": _pixels(model), "features": _features(model, stage)}
    if "random_features" in names:
        untrained = OmegaConf.merge(cfg, {"reuse": False})
        assert isinstance(untrained, DictConfig)
        readers["random_features"] = _features(frozen(untrained, None), stage)
    classifiers: dict[str, _Classifier] = {}
    splits: dict[str, dict[str, LabelledFeatures]] = {}  # representation without _pca -> split -> images
    for name in names:
        plain = name.removesuffix("_pca")
        if plain not in splits:
            splits[plain] = {split: readers[plain](split) for split in ("train", "val")}
            _check(splits[plain], data)
        numbers = components if name != plain else None
        classifiers[name] = _best_classifier(splits[plain], data.num_classes, c, numbers)
    tests = {plain: readers[plain]("test") for plain in splits}  # the first look at test: the choice is made
    measured = {name: _tested(classifiers[name], tests[name.removesuffix("_pca")]) for name in names}
    metrics = {name: {tag: measured[name][tag] for tag in ("val/accuracy", "test/accuracy")} for name in names}
    winner = max(names, key=lambda name: metrics[name]["val/accuracy"])  # of equals the first
    result = {
        **result_origin(cfg, folder, model.facts),
        "metrics": metrics[winner],
        "best": winner,
        "baseline": BASELINE,
        "levels": metrics,
        "chosen": {name: {key: measured[name][key] for key in ("width", "setting", "test_interval")} for name in names},
        "sizes": {split: data.sizes[split] for split in ("train", "val", "test")},
        "num_classes": data.num_classes,
        "class_names": list(data.class_names),
        "wall_s": time.monotonic() - start,
        **provenance(data, model.engine.device),
    }
    write_json(folder / RESULT, result)
    return result


@dataclass(frozen=True)
class _Classifier:
    """The best classifier on a representation."""

    head: Candidate  # its stage: how many principal components it sees, "" for the representation as it is
    directions: PrincipalComponents | None  # the principal ones; None for the representation as it is
    width: int  # of the representation
    val_images: int


def _best_classifier(
    images: dict[str, LabelledFeatures], num_classes: int, c: list[float], components: list[int] | None
) -> _Classifier:
    """The classifier with the best val accuracy; components: numbers of principal components, None for none."""
    train, val = images["train"], images["val"]
    principal = None if components is None else _directions(train.features, max(components))
    if components is None or principal is None:
        materials = {"": ProbeData(train, val, num_classes)}
    else:
        train_scores, val_scores = principal.of(train.features), principal.of(val.features)
        materials = {
            str(n): ProbeData(
                LabelledFeatures(train_scores[:, :n], train.labels),
                LabelledFeatures(val_scores[:, :n], val.labels),
                num_classes,
            )
            for n in sorted({min(n, len(principal.variance)) for n in components})
        }
    tried = [head for n, material in materials.items() for head in candidates(_kind(c), n, material)]
    return _Classifier(best_by(lambda _: "", tried)[""], principal, train.features.shape[1], len(val.labels))


def _tested(classifier: _Classifier, test: LabelledFeatures) -> dict[str, Any]:
    """A classifier's setting, and its accuracy on val and test."""
    head = classifier.head
    if classifier.directions is not None:
        test = LabelledFeatures(classifier.directions.of(test.features)[:, : int(head.stage)], test.labels)
    correct, total = head.rightly(test), len(test.labels)
    return {
        "width": classifier.width,
        "setting": {**({"components": int(head.stage)} if head.stage else {}), **head.setting},
        "val/accuracy": head.right / classifier.val_images,
        "test/accuracy": correct / total,
        "test_interval": wilson_interval(correct, total),
    }


def _kind(c: list[float]) -> Mapping[str, Callable[[ProbeData], Probe]]:
    def fitted(material: ProbeData) -> Probe:
        heads = logistic(material.principal_axes, material.train.labels, material.num_classes, c)
        return Probe.of_heads(heads, [{"C": value} for value in c], material.scale)

    return {"logistic": fitted}


def _features(model: Frozen, stage: str | None) -> Reader:
    name = stage or model.stages[-1]

    def read(split: str) -> LabelledFeatures:
        stored = model.features(split, [name])
        return LabelledFeatures(stored.features[name], stored.label)

    return read


def _pixels(model: Frozen) -> Reader:
    """The images as they enter the first stage, normalised, one row of numbers each."""
    backbone, engine = model.parts.backbone, model.engine

    def read(split: str) -> LabelledFeatures:
        rows: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for batch in model.parts.data.plain_dataloader(split):
                image = backbone.entering(engine.convert(batch).image.to(engine.device))
                rows.append((image.float().cpu().flatten(1), batch.label))
        return LabelledFeatures(*(torch.cat(part) for part in zip(*rows, strict=True)))

    return read


def _directions(features: Tensor, most: int) -> PrincipalComponents:
    """At most so many principal directions, as far as there is variance along them (one at least)."""
    every = directions(features, min(most, len(features) - 1, features.shape[1]))
    n = max(1, int((every.share > VARIES).sum()))
    return PrincipalComponents(every.mean, every.components[:n], every.variance[:n], every.share[:n])


def _check(images: dict[str, LabelledFeatures], data: Any) -> None:
    """Raise UserError where a class has no training image, or there is no val image."""
    labels = images["train"].labels
    empty = first_empty(labels, data.num_classes)
    if empty is not None:
        raise UserError(
            f"each class needs a training image, {data.class_names[empty]!r} has none of {len(labels)}; "
            "try more of them (target.shots=null takes all), or data without the class"
        )
    if not len(images["val"].labels):
        raise UserError("a classifier is chosen on val images, and these data have none; try another data@target")


def table(result: dict[str, Any]) -> str:
    """The result as lines: each representation with its width, the setting that val chose, and its accuracies."""
    sizes = result["sizes"]
    rows = [["", "numbers", "chosen on val", "val", "test", "95 % interval"]]
    for name, levels in result["levels"].items():
        chosen = result["chosen"][name]
        low, high = chosen["test_interval"]
        setting = " ".join(f"{key}={value:g}" for key, value in chosen["setting"].items())
        accuracies = [f"{levels[tag]:.3f}" for tag in ("val/accuracy", "test/accuracy")]
        rows.append([name, str(chosen["width"]), setting, *accuracies, f"{low:.3f} to {high:.3f}"])
    head = (
        f"a linear classifier from {sizes['train']} labelled images of {result['num_classes']} classes; "
        f"{sizes['val']} val and {sizes['test']} test images:"
    )
    return "\n".join([head, *(f"  {line}" for line in aligned(rows))])

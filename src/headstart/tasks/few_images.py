"""How few labelled images are enough for a linear classifier, on pixels and on a source's features?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, MinLen
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.evaluation.naive_models import wilson_interval
from headstart.features.pca import Directions, directions
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.probes import Candidate, Labelled, Material, Probe, best_by, candidates, first_empty
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import check_folder, finished_run
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import config_hash, hashes, is_control, job_overrides, own_overrides
from headstart.runs.frozen_model import Frozen, frozen
from headstart.runs.outcome.package_versions import versions
from headstart.runs.training.training_without_validation import check_chooses_on_val
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
BASELINE = "pixels"  # what a report compares the others with
VARIES = 1e-9  # of the whole variance: a direction with less of it is rounding

Representation = Literal["pixels", "pixels_pca", "features", "features_pca", "random_features"]
Read = Callable[[str], Labelled]  # split -> its images in a representation, and their labels


def few_images(
    *,
    cfg: DictConfig,
    representations: Annotated[list[Representation], MinLen(1)],
    stage: str | None,
    components: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)],
    logistic: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
) -> float:
    """Train one kind of linear classifier on each representation of the target's images -> the best one's val accuracy.

    The classifier is a logistic regression on standardised numbers; its strength, and of principal components their
    number, are chosen on val, then it is measured on test, once. stage: whose features; None = the last. components:
    the numbers of them that are tried, as far as there are so many. logistic: values of C. Prints the table and writes
    it to result.json, for the report of a sweep over target.shots. Of several ranks the first does it.
    Raises UserError where the mode reuses no source, the job is a control, there is no such stage or a class has no
    training image.
    """
    if rank_environment.rank() > 0:
        return float("nan")
    check_chooses_on_val(cfg, "few_images")
    folder = Path(cfg.run_dir)
    own = hashes(cfg)
    check_folder(cfg, folder, own)
    result = finished_run(cfg, folder, own)
    if result is None:
        write_mark(folder, own.now, asked=own.now)
        if not cfg.reuse:
            raise UserError(
                f"few_images asks what a source's features bring, and mode={cfg.mode} reuses no source; "
                "try mode=feature_extraction"
            )
        if is_control(cfg):
            raise UserError(
                "few_images has its control in itself, the representation random_features; leave control=false"
            )
        result = _compared(cfg, folder, list(dict.fromkeys(representations)), stage, components, logistic)
        print(table(result))
    else:
        print(table(result))
        log.info("%s is finished (rerun=true compares again)", folder.name)
    return float(result["metrics"]["val/accuracy"])


def _compared(
    cfg: DictConfig, folder: Path, wanted: list[str], stage: str | None, components: list[int], c: list[float]
) -> dict[str, Any]:
    """What stands in result.json."""
    began = time.monotonic()
    model = frozen(cfg, None)
    data = model.parts.data
    readers: dict[str, Read] = {"pixels": _pixels(model), "features": _features(model, stage)}
    if "random_features" in wanted:
        fresh = OmegaConf.merge(cfg, {"reuse": False})
        assert isinstance(fresh, DictConfig)
        readers["random_features"] = _features(frozen(fresh, None), stage)
    chosen: dict[str, Candidate] = {}
    read: dict[str, dict[str, Labelled]] = {}  # representation without _pca -> split -> images
    reduced: dict[str, Directions] = {}
    for name in wanted:
        plain = name.removesuffix("_pca")
        if plain not in read:
            read[plain] = {split: readers[plain](split) for split in ("train", "val")}
            _check(read[plain], data)
        train, val = read[plain]["train"], read[plain]["val"]
        if name == plain:
            materials = {"": Material(train, val, data.num_classes)}
        else:
            reduced[name] = _directions(train.features, max(components))
            of = reduced[name].of
            seen_train, seen_val = of(train.features), of(val.features)
            materials = {
                str(n): Material(
                    Labelled(seen_train[:, :n], train.labels), Labelled(seen_val[:, :n], val.labels), data.num_classes
                )
                for n in sorted({min(n, len(reduced[name].variance)) for n in components})
            }
        tried = [one for n, material in materials.items() for one in candidates(_kind(c), n, material)]
        chosen[name] = best_by(lambda _: "", tried)[""]
    figures, about = {}, {}
    for plain in read:  # the first look at test: the choice is made
        test = readers[plain]("test")
        for name in (one for one in wanted if one.removesuffix("_pca") == plain):
            best, seen = chosen[name], test
            if name in reduced:
                seen = Labelled(reduced[name].of(test.features)[:, : int(best.stage)], test.labels)
            right, total = best.rightly(seen), len(test.labels)
            figures[name] = {
                "val/accuracy": best.right / len(read[plain]["val"].labels),
                "test/accuracy": right / total,
            }
            about[name] = {
                "width": read[plain]["train"].features.shape[1],
                "setting": {**({"components": int(best.stage)} if best.stage else {}), **best.setting},
                "test_interval": wilson_interval(right, total),
            }
    winner = max(wanted, key=lambda name: figures[name]["val/accuracy"])  # of equals the first
    result = {
        "format": 1,
        "task": "few_images",
        "study": folder.parent.name,
        "name": folder.name,
        "hash": config_hash(cfg),
        "overrides": own_overrides(cfg, job_overrides()),
        "mode": cfg.mode,
        "seed": cfg.seed,
        **model.facts,
        "metrics": figures[winner],
        "best": winner,
        "baseline": BASELINE,
        "levels": {name: figures[name] for name in wanted},
        "chosen": {name: about[name] for name in wanted},
        "sizes": {split: data.sizes[split] for split in ("train", "val", "test")},
        "num_classes": data.num_classes,
        "class_names": list(data.class_names),
        "wall_s": time.monotonic() - began,
        "versions": versions(),
    }
    write_json(folder / RESULT, result)
    return result


def _kind(c: list[float]) -> Mapping[str, Callable[[Material], Probe]]:
    def learned(material: Material) -> Probe:
        heads = logistic(material.axes, material.train.labels, material.num_classes, c)
        return Probe.of_heads(heads, [{"C": value} for value in c], material.scale)

    return {"logistic": learned}


def _features(model: Frozen, stage: str | None) -> Read:
    name = stage or model.stages[-1]

    def read(split: str) -> Labelled:
        found = model.features(split, [name])
        return Labelled(found.features[name], found.label)

    return read


def _pixels(model: Frozen) -> Read:
    """The images as they enter the first stage, normalised, one row of numbers each."""
    backbone, engine = model.parts.backbone, model.engine

    def read(split: str) -> Labelled:
        rows: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for batch in model.parts.data.plain_dataloader(split):
                image = backbone.entering(engine.convert(batch).image.to(engine.device))
                rows.append((image.float().cpu().flatten(1), batch.label))
        return Labelled(*(torch.cat(part) for part in zip(*rows, strict=True)))

    return read


def _directions(features: Tensor, most: int) -> Directions:
    """At most so many principal directions, as far as there is variance along them (one at least)."""
    found = directions(features, min(most, len(features) - 1, features.shape[1]))
    n = max(1, int((found.share > VARIES).sum()))
    return Directions(found.mean, found.components[:n], found.variance[:n], found.share[:n])


def _check(read: dict[str, Labelled], data: Any) -> None:
    labels = read["train"].labels
    empty = first_empty(labels, data.num_classes)
    if empty is not None:
        raise UserError(
            f"each class needs a training image, {data.class_names[empty]!r} has none of {len(labels)}; "
            "try more of them (target.shots=null takes all), or data without the class"
        )
    if not len(read["val"].labels):
        raise UserError("a classifier is chosen on val images, and these data have none; try another data@target")


def table(result: dict[str, Any]) -> str:
    """The result as lines: each representation with its width, what val has chosen, and its figures."""
    sizes = result["sizes"]
    rows = [["", "numbers", "chosen on val", "val", "test", "95 % interval"]]
    for name, levels in result["levels"].items():
        about = result["chosen"][name]
        low, high = about["test_interval"]
        setting = " ".join(f"{key}={value:g}" for key, value in about["setting"].items())
        figures = [f"{levels[tag]:.3f}" for tag in ("val/accuracy", "test/accuracy")]
        rows.append([name, str(about["width"]), setting, *figures, f"{low:.3f} to {high:.3f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head = (
        f"a linear classifier from {sizes['train']} labelled images of {result['num_classes']} classes; "
        f"{sizes['val']} val and {sizes['test']} test images:"
    )
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([head, *(f"  {line}" for line in lines)])

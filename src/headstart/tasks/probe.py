"""The task `probe`: accuracy of heads on the features of frozen stages, stage by stage."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, MinLen
from omegaconf import DictConfig
from torch import Tensor

from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.evaluation.naive_models import wilson_interval
from headstart.features.probing.neighbour_probe import NeighbourMeasure
from headstart.features.probing.probe_kinds import LINEAR, ProbeSettings
from headstart.features.probing.probes import (
    Candidate,
    LabelledFeatures,
    Probe,
    ProbeData,
    ProbeKind,
    best_by,
    candidates,
    first_empty,
)
from headstart.features.probing.stacked_heads import StackedHeads
from headstart.modules.heads.linear_head import class_means
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes
from headstart.runs.outcome.result_pictures import picture_loggers, show_in
from headstart.runs.outcome.run_provenance import provenance
from headstart.runs.probing.frozen_features import Frozen, Stored, fitting_device, result_origin
from headstart.runs.probing.number_probing import number_lines, number_result, probe_value
from headstart.runs.probing.probed_head import TOKENS, own_kinds, probed_model
from headstart.runs.training.missing_validation import check_chooses_on_val
from headstart.system import rank_environment
from headstart.system.printing.aligned_columns import aligned
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)


def probe(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    data: DictConfig | None,
    stages: Annotated[list[str], MinLen(1)] | None,
    lr: list[Annotated[float, Gt(0)]],
    weight_decay: list[Annotated[float, Ge(0)]],
    epochs: Annotated[int, Ge(1)],
    batch_size: Annotated[int, Ge(1)],
    checkpoint: Literal["best", "last"],
    neighbours: list[NeighbourMeasure],
    k: list[Annotated[int, Ge(1)]],
    temperature: Annotated[float, Gt(0)],
    ridge: list[Annotated[float, Gt(0)]],
    logistic: list[Annotated[float, Gt(0)]],
) -> float:
    """Train heads of all kinds and settings on the features of frozen stages -> the best one's val accuracy.

    Of each kind, the head with the best val accuracy (of equals the first) is measured on test, once. The table is
    printed and written to result.json; pictures go to the loggers. Only the first of several ranks computes.

    Args:
        cfg: The composed config.
        run_dir: A finished run whose model is probed; None for the weights that the mode starts from.
        data: Data in the place of the target.
        stages: Names of the stages; None for all.
        lr: Learning rates of the linear heads, each tried with each weight decay.
        weight_decay: Weight decays of the linear heads.
        epochs: Of the linear heads' training.
        batch_size: Of the linear heads' training.
        checkpoint: The linear head that counts: the best on val, or the last.
        neighbours: Similarity measures of the nearest-neighbour heads.
        k: Numbers of neighbours.
        temperature: Of the neighbours' weights.
        ridge: Strengths of the ridge regressions.
        logistic: Values of C of the logistic regressions.

    Raises:
        UserError: There is no such stage, a class has no training image, or an image may have several labels.
    """
    if rank_environment.rank() > 0:
        return float("nan")
    if run_dir is None and data is None:
        check_chooses_on_val(cfg, "probe")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        kinds = ProbeSettings(
            ridge=ridge, logistic=logistic, measures=neighbours, ks=k, temperature=temperature,
            lr=lr, weight_decay=weight_decay, epochs=epochs, batch_size=batch_size, stops=checkpoint == "best",
            seed=int(cfg.seed),
        )  # fmt: skip
        return _probed(cfg, folder, probed_model(cfg, run_dir, data), stages, kinds)

    result = finished_or(cfg, make, again="probes")
    tell(table(result))
    return probe_value(result)


def _class_means(material: ProbeData) -> Probe:
    weight, bias = class_means(*material.train, material.num_classes)
    return Probe.of_heads(StackedHeads(weight[None], bias[None]), [{}])


def _probed(
    cfg: DictConfig, folder: Path, model: Frozen, stages: list[str] | None, kinds: ProbeSettings
) -> dict[str, Any]:
    """The content of result.json: val accuracy of every head, and test accuracy of the chosen ones."""
    data, start = model.parts.data, time.monotonic()
    if is_multi_label(data):
        raise UserError(
            "task=probe tells one class, and these data may have several labels an image; try mode=feature_extraction"
        )
    names = list(dict.fromkeys(stages or model.stages))
    if is_regression(data):
        return number_result(cfg, folder, model, names, kinds)
    names += [name for name in model.stages if name.endswith(TOKENS) and name not in names]
    train, val = (model.features(split, names) for split in ("train", "val"))
    _check(train.label, len(val.label), kinds, data)
    extracted = time.monotonic()
    own = {stage: own_kinds(cfg, model, kinds, stage) for stage in names}
    heads = _heads(own, train, val, data.num_classes, kinds, fitting_device(model.engine))
    best = best_by(lambda head: head.kind, heads)
    fitted = time.monotonic()
    # the first look at test: the choice is made
    test = model.features("test", list(dict.fromkeys(head.stage for head in best.values())))
    chosen = {kind: _tested(head, test, len(val.label), fitting_device(model.engine)) for kind, head in best.items()}
    winner = best_by(lambda _: "", best.values())[""].kind
    result = {
        **result_origin(cfg, folder, model.facts),
        "metrics": {key: chosen[winner][key] for key in ("val/accuracy", "test/accuracy")},
        "best": winner,
        "chosen": chosen,
        "heads": [{"kind": head.kind, **_on_val(head, len(val.label))} for head in heads],
        "stages": {stage: _width(train.features[stage]) for stage in names},
        "sizes": {"train": len(train.label), "val": len(val.label), "test": len(test.label)},
        "num_classes": data.num_classes,
        "class_names": list(data.class_names),
        "wall_s": {"features": extracted - start + time.monotonic() - fitted, "heads": fitted - extracted},
        **provenance(data, model.engine.device),
    }
    _draw(cfg, result, kinds)
    write_json(folder / RESULT, result)
    return result


def _width(features: Tensor) -> int:
    return features.shape[1 if features.ndim == 4 else -1]


def _labelled(stored: Stored, stage: str, device: torch.device) -> LabelledFeatures:
    return LabelledFeatures(stored.features[stage].to(device), stored.label.to(device))


def _heads(
    own: dict[str, dict[str, ProbeKind]],
    train: Stored,
    val: Stored,
    num_classes: int,
    kinds: ProbeSettings,
    device: torch.device,
) -> list[Candidate]:
    """Heads of all kinds and settings on each stage; own: those of the config's head, alone on tokens."""
    heads: list[Candidate] = []
    for stage, more in own.items():
        learners = more if stage.endswith(TOKENS) else {"class_means": _class_means, **kinds.named(), **more}
        material = ProbeData(_labelled(train, stage, device), _labelled(val, stage, device), num_classes)
        heads += candidates(learners, stage, material)
    return heads


def _on_val(head: Candidate, val_images: int) -> dict[str, Any]:
    return {"stage": head.stage, "setting": dict(head.setting), "val/accuracy": head.right / val_images}


def _tested(head: Candidate, test: Stored, val_images: int, device: torch.device) -> dict[str, Any]:
    """A chosen head with its accuracy on val and test."""
    correct, total = head.rightly(_labelled(test, head.stage, device)), len(test.label)
    return {
        **_on_val(head, val_images),
        "test/accuracy": correct / total,
        "test_interval": wilson_interval(correct, total),
    }


def _check(labels: Tensor, val: int, kinds: ProbeSettings, data: Any) -> None:
    empty = first_empty(labels, data.num_classes)
    if empty is not None:
        raise UserError(
            f"each class needs a training image, {data.class_names[empty]!r} has none of {len(labels)}; "
            "try more of them (target.shots=null takes all), or data without the class"
        )
    if not val:
        raise UserError("heads are chosen on val images, and these data have none; try another data@target")
    large = [k for k in kinds.ks if k > len(labels)]
    if large and kinds.measures:
        log.info("probe.k: left out %s: there are %d training images", ", ".join(map(str, large)), len(labels))


def _draw(cfg: DictConfig, result: dict[str, Any], kinds: ProbeSettings) -> None:
    """The table, the accuracy by stage and the grid of the linear heads, in the loggers that take pictures."""
    loggers = picture_loggers(cfg)
    if not loggers:
        return
    from headstart.features.probing.probe_plots import grid_figure, stages_figure  # here: they need matplotlib

    figures = {"stages": stages_figure(list(result["stages"]), by_stage(result))}
    if kinds.grid:
        shape = len(kinds.lr), len(kinds.weight_decay)
        reached: dict[str, list[float]] = {}
        for head in result["heads"]:
            if head["kind"] == LINEAR:
                reached.setdefault(head["stage"], []).append(head["val/accuracy"])
        panels = {stage: torch.tensor(values).view(shape).tolist() for stage, values in reached.items()}
        best = result["chosen"][LINEAR]
        place = kinds.grid.index((best["setting"]["lr"], best["setting"]["weight_decay"]))
        chosen = best["stage"], *divmod(place, len(kinds.weight_decay))
        figures["grid"] = grid_figure(panels, kinds.lr, kinds.weight_decay, chosen)
    show_in(loggers, "probe", figures, table(result))


def by_stage(result: dict[str, Any]) -> dict[str, list[float]]:
    """Kind -> its best val accuracy at each stage of a probe's result, in the order of the stages."""
    best: dict[str, dict[str, float]] = {}
    for head in result["heads"]:
        of_kind = best.setdefault(head["kind"], dict.fromkeys(result["stages"], math.nan))
        of_kind[head["stage"]] = max(head["val/accuracy"], of_kind[head["stage"]])  # nan is not above anything
    return {kind: list(values.values()) for kind, values in best.items()}


def table(result: dict[str, Any]) -> str:
    """A probe's result as lines: each kind's chosen head with its test accuracy, and the best of each stage on val."""
    if "monitor" in result:  # of numbers
        return "\n".join(number_lines(result))
    sizes, by_kind = result["sizes"], by_stage(result)
    rows = [["", "kind", "stage", "setting", "val", "test", "95 % interval"]]
    for kind, head in result["chosen"].items():
        low, high = head["test_interval"]
        accuracies = [f"{head[tag]:.3f}" for tag in ("val/accuracy", "test/accuracy")]
        mark = "*" if kind == result["best"] else ""
        rows.append([mark, kind, head["stage"], _setting(head["setting"]), *accuracies, f"{low:.3f} to {high:.3f}"])
    depth = [["stage", "width", *by_kind]]
    for number, (stage, width) in enumerate(result["stages"].items()):
        depth.append([stage, str(width), *(_share(values[number]) for values in by_kind.values())])
    return "\n".join(
        [
            f"{len(result['heads'])} heads on {len(depth) - 1} frozen stages, {result['num_classes']} classes; "
            f"{sizes['train']} training, {sizes['val']} val and {sizes['test']} test images",
            "the best of each kind on val, then measured on test (* the best of all on val):",
            *_aligned(rows),
            "the best val accuracy of each stage:",
            *_aligned(depth),
        ]
    )


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _setting(setting: dict[str, Any]) -> str:
    return " ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in setting.items()
    )


def _aligned(rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows)]

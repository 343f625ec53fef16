"""Heads on the features of frozen stages that predict numbers, chosen on val and measured on test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from headstart.features.probing.number_probes import neighbour_numbers, ridge_numbers
from headstart.features.probing.probe_kinds import ProbeSettings
from headstart.features.probing.probes import LabelledFeatures, ProbeData
from headstart.modules.labels.number_targets import NumberTargets, units_of
from headstart.modules.metrics.number_metrics import SCORES
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.outcome.run_provenance import provenance
from headstart.runs.probing.frozen_features import Frozen, fitting_device, result_origin
from headstart.system.metric_direction import lower_is_better
from headstart.types import UserError


@dataclass(frozen=True)
class NumberHeadTried:
    """One head, and its metric on val; predict: features (N, D) -> standardised numbers (N, T)."""

    kind: str
    stage: str
    setting: dict[str, Any]
    on_val: float
    predict: Callable[[Tensor], Tensor]


def number_result(
    cfg: DictConfig, folder: Path, model: Frozen, stages: Sequence[str], kinds: ProbeSettings
) -> dict[str, Any]:
    """The content of result.json of a probe of numbers, which is written.

    Args:
        cfg: The composed config.
        folder: The probe's folder.
        model: A backbone and its data.
        stages: Names of the stages.
        kinds: Settings of each kind of head.
    """
    start = time.monotonic()
    result = {
        **result_origin(cfg, folder, model.facts),
        **probed_numbers(model, stages, kinds, fitting_device(model.engine)),
        "wall_s": {"heads": time.monotonic() - start},
        **provenance(model.parts.data, model.engine.device),
    }
    write_json(folder / RESULT, result)
    return result


def probed_numbers(model: Frozen, stages: Sequence[str], kinds: ProbeSettings, device: torch.device) -> dict[str, Any]:
    """What a probe's result says of heads on numbers: every head's metric on val, and the chosen ones' on test.

    The metric is the mean absolute error, of several columns the mean of their R squared. Linear heads that learn by
    steps and logistic regressions are of classes, and are left out.

    Args:
        model: A backbone and its data.
        stages: Names of the stages.
        kinds: Settings of each kind of head.
        device: Where heads are fitted.

    Raises:
        UserError: If there is no val image, or no head to try.
    """
    columns = model.parts.data.class_names
    train, val = (model.features(split, stages) for split in ("train", "val"))
    if not len(val.label):
        raise UserError("heads are chosen on val images, and these data have none; try another data@target")
    name = NumberTargets(len(columns)).monitor
    mean, std = units_of(train.label, columns)
    sign = -1 if lower_is_better(name) else 1

    def score(predicted: Tensor, true: Tensor) -> dict[str, float]:
        numbers = predicted.cpu().double() * std + mean
        return {tag: float(of(numbers, true.double()).mean()) for tag, of in SCORES.items()}

    tried = []
    for stage in stages:
        labelled = LabelledFeatures(train.features[stage].to(device), ((train.label - mean) / std).to(device))
        for kind, setting, predict in _learned(ProbeData(labelled, labelled, len(columns)), kinds):
            on_val = score(predict(val.features[stage].to(device)), val.label)[name]
            tried.append(NumberHeadTried(kind, stage, setting, on_val, predict))
    if not tried:
        raise UserError("numbers are probed by ridge regression and neighbours, got neither; set probe.ridge=[0.1,1]")
    of_kind = {kind: [head for head in tried if head.kind == kind] for kind in {head.kind: None for head in tried}}
    best = {
        kind: max(heads, key=lambda head: sign * head.on_val) for kind, heads in of_kind.items()
    }  # the first of equals
    test = model.features("test", list(dict.fromkeys(head.stage for head in best.values())))  # the first look at it
    chosen = {}
    for kind, head in best.items():
        tested = score(head.predict(test.features[head.stage].to(device)), test.label)
        of_test = {f"test/{tag}": value for tag, value in tested.items()}
        chosen[kind] = {"stage": head.stage, "setting": head.setting, f"val/{name}": head.on_val, **of_test}
    winner = max(best.values(), key=lambda head: sign * head.on_val).kind
    return {
        "monitor": f"val/{name}",
        "metrics": {tag: value for tag, value in chosen[winner].items() if "/" in tag},
        "best": winner,
        "chosen": chosen,
        "heads": [
            {"kind": head.kind, "stage": head.stage, "setting": head.setting, f"val/{name}": head.on_val}
            for head in tried
        ],
        "stages": {stage: train.features[stage].shape[1] for stage in stages},
        "sizes": {"train": len(train.label), "val": len(val.label), "test": len(test.label)},
        "num_classes": len(columns),
        "class_names": list(columns),
    }


def _learned(material: ProbeData, kinds: ProbeSettings) -> list[tuple[str, dict[str, Any], Callable[[Tensor], Tensor]]]:
    """(kind, setting, what predicts) of each head on one stage."""
    train, scale = material.train, material.scale
    learned: list[tuple[str, dict[str, Any], Callable[[Tensor], Tensor]]] = []

    def near(measure: Any, k: int) -> Callable[[Tensor], Tensor]:
        return lambda features: neighbour_numbers(
            *train, features, measure=measure, ks=[k], temperature=kinds.temperature
        )[0]

    def linear(head: Any) -> Callable[[Tensor], Tensor]:
        return lambda features: head.logits(scale.of(features).double())[0].T

    for measure in kinds.measures:
        learned += [
            ("neighbours", {"measure": measure, "k": k}, near(measure, k)) for k in kinds.ks if k <= len(train.labels)
        ]
    if kinds.ridge:
        heads = ridge_numbers(material.principal_axes, train.labels, kinds.ridge)
        learned += [
            ("ridge", {"strength": value}, linear(heads.one(number))) for number, value in enumerate(kinds.ridge)
        ]
    return learned


def probe_value(result: dict[str, Any]) -> float:
    """The val metric of a probe's best head, larger is better: an error with its sign turned."""
    metric = str(result.get("monitor", "val/accuracy"))  # of classes none is named
    value = float(result["metrics"][metric])
    return -value if lower_is_better(metric) else value


def number_lines(result: dict[str, Any]) -> list[str]:
    """A probe's result as rows of words: each kind's chosen head, and the best of each stage on val."""
    name = result["monitor"].partition("/")[2]
    better = min if lower_is_better(name) else max
    sizes = result["sizes"]
    lines = [
        f"{len(result['heads'])} heads on {len(result['stages'])} frozen stages, {', '.join(result['class_names'])}; "
        f"{sizes['train']} training, {sizes['val']} val and {sizes['test']} test images",
        f"the best of each kind on val ({name}), then measured on test (* the best of all on val):",
    ]
    for kind, head in result["chosen"].items():
        setting = " ".join(f"{key}={value}" for key, value in head["setting"].items())
        mark = "*" if kind == result["best"] else " "
        test = "  ".join(f"{tag} {head[f'test/{tag}']:.4g}" for tag in SCORES)
        lines.append(f"  {mark} {kind:<11} {head['stage']}  {setting}  val {head[f'val/{name}']:.4g}  test {test}")
    lines.append(f"the best val {name} of each stage:")
    for stage, width in result["stages"].items():
        of_kind: dict[str, list[float]] = {}
        for head in result["heads"]:
            if head["stage"] == stage:
                of_kind.setdefault(head["kind"], []).append(head[f"val/{name}"])
        values = "  ".join(f"{kind} {better(values):.4g}" for kind, values in of_kind.items())
        lines.append(f"    {stage} ({width})  {values}")
    return lines

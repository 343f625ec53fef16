"""The task `compare`: how related data sets are in a model's features, and two models in their layers."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge, MinLen
from omegaconf import DictConfig

from headstart.data.data_protocols import image_names, is_multi_label, is_regression
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import RUN_WEIGHTS, finished_or, is_of_same_weights
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes, is_control
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import write_pictures
from headstart.runs.probing.frozen_features import Frozen, check_stage, frozen, result_origin
from headstart.runs.relatedness.compared_sources import (
    check_size,
    picture_names,
    read_sources,
    source_nodes,
    usable_measures,
)
from headstart.runs.relatedness.data_relations import (
    ITSELF,
    DataSample,
    Measure,
    Relation,
    advice,
    half_size,
    interval,
    relations,
)
from headstart.runs.saved.finished_run import saved_run
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.scores import class_distances, debiased_linear_cka
from headstart.system import rank_environment
from headstart.system.printing.aligned_columns import aligned
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

SPLIT = "train"  # whose images are compared, of all data sets


def compare(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    data: DictConfig | None,
    sources: dict[str, dict[str, Any]] | None,
    candidates: Annotated[list[str], MinLen(1)] | None,
    stage: str | None,
    measures: Annotated[list[Measure], MinLen(1)],
    images: Annotated[int, Ge(8)],
    halves: Annotated[int, Ge(5)],
    other_run_dir: str | None,
) -> float:
    """Measure how far each source is from the target in the features of one model -> the first measure's least mean.

    Training images of both are compared, on half-samples; test is never read. All data are checked before the model is
    made. The table, which source is nearest and how sure that is are printed; pictures show the distances, those of the
    classes, and where another model is given the likeness of both models' layers. Only the first of several ranks
    computes.

    Args:
        cfg: The composed config.
        run_dir: A finished run whose best weights make the features and whose target counts; None for the weights that
            the mode starts from.
        data: Data in the place of the target.
        sources: Name -> settings in the place of those of data@source; None for that source alone.
        candidates: Source data sets in the place of data@source, each source:<data set> or overrides of the source, as
            in rank_sources.candidates; None for what `sources` says.
        stage: Whose features; None for the last.
        measures: Of the distance.
        images: Of each data set at most.
        halves: Half-samples.
        other_run_dir: A finished run whose layers are compared with this model's, on the target's images; None for
            none.

    Raises:
        UserError: A source cannot be composed or read, there are too few images, the job is a control, the source is
            missing, or the two runs do not have the same images.
    """
    if rank_environment.rank() > 0:
        return float("nan")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        if is_control(cfg) or not (cfg.get("source") or candidates):
            raise UserError(
                "task=compare compares data@source with the target in the same features; it needs a source, and "
                "control=false"
            )
        if other_run_dir is not None:
            saved_run(other_run_dir, "best")  # before anything is computed
        nodes = source_nodes(cfg, sources, candidates)
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        settings = _Settings(nodes, stage, measures, images, halves, other_run_dir)
        return _compared(cfg, folder, run_dir, data, settings)

    result = finished_or(cfg, make, again="compares", is_of_now=_has_same_layers)
    tell(table(result))
    return float(result["metrics"]["distance"])


class _Settings(NamedTuple):
    """What is compared and how, as the task's settings say it."""

    sources: dict[str, DictConfig]
    stage: str | None
    measures: list[Measure]
    images: int
    halves: int
    other_run_dir: str | None


def _compared(
    cfg: DictConfig, folder: Path, run_dir: str | None, data: DictConfig | None, settings: _Settings
) -> dict[str, Any]:
    """The content of result.json, which is written, and the pictures."""
    start = time.monotonic()
    of_model = with_weights_preprocessing(cfg) if run_dir is None else saved_run(run_dir, "best").cfg
    check_stage(settings.stage, template(of_model.backbone).names)
    data_of = read_sources(settings.sources, of_model)
    sized = partial(check_size, name="target")
    develops = run_dir is None and waits_for_source(cfg)
    model = frozen(cfg, run_dir, data, check=sized if develops else None)
    sized(model.parts.data)
    measures = usable_measures(settings.measures, {"target": model.parts.data, **data_of})
    name = settings.stage or model.stages[-1]
    layers = None if settings.other_run_dir is None else _layers(cfg, model, data, settings)
    target = _sample(model, "target", name, settings.images, cfg.seed)
    found_sources = [
        _sample(replace(model, parts=replace(model.parts, data=own)), called, name, settings.images, cfg.seed)
        for called, own in data_of.items()
    ]
    unlabelled = any(sample.labels is None for sample in (target, *found_sources))
    found = relations(target, found_sources, measures, halves=settings.halves, seed=int(cfg.seed))
    result = {
        **result_origin(cfg, folder, model.facts),
        "metrics": {"distance": min(np.mean(v) for k, v in found[measures[0]].values.items() if k != ITSELF)},
        "measures": {measure: relation._asdict() for measure, relation in found.items()},
        "advice": advice(found) if len(found_sources) > 1 else "",
        "half_images": half_size(target, found_sources),
        "images": {sample.name: len(sample.features) for sample in (target, *found_sources)},
        "stage": name,
        "classes": {} if unlabelled else {source.name: _class_record(target, source) for source in found_sources},
        "layers": layers,
        "wall_s": time.monotonic() - start,
        "versions": versions(),
    }
    _draw(cfg, folder, result, found)
    write_json(folder / RESULT, result)
    return result


def _sample(model: Frozen, name: str, stage: str, images: int, seed: int) -> DataSample:
    """Random training images of a data set, as many as are asked for at most."""
    data = model.parts.data
    stored = model.features(SPLIT, [stage])
    chosen = np.sort(np.random.default_rng(seed).permutation(len(stored.label))[:images])
    labels = None if is_multi_label(data) or is_regression(data) else stored.label.numpy()[chosen].astype(np.int64)
    return DataSample(name, stored.features[stage].numpy()[chosen].astype(np.float64), labels, tuple(data.class_names))


def _class_record(target: DataSample, source: DataSample) -> dict[str, Any]:
    """Fréchet distances of the classes, not squared."""
    assert target.labels is not None
    assert source.labels is not None
    squares, rows, columns = class_distances(target.features, target.labels, source.features, source.labels)
    return {
        "target": [target.class_names[at] for at in rows.tolist()],
        "source": [source.class_names[at] for at in columns.tolist()],
        "distances": np.sqrt(squares).tolist(),
    }


def _has_same_layers(result: dict[str, Any]) -> bool:
    """Whether the other run of a finished comparison has the weights that it had then."""
    return is_of_same_weights(result.get("layers") or {})


def _layers(cfg: DictConfig, model: Frozen, data: DictConfig | None, settings: _Settings) -> dict[str, Any]:
    """Debiased linear CKA of each stage of this model with each of the other run's, on the target's images."""
    other = frozen(cfg, settings.other_run_dir, data)
    names = [image_names(each.parts.data, SPLIT, each.parts.data.sizes[SPLIT]) for each in (model, other)]
    if names[0] != names[1]:
        raise UserError(
            "layers are compared on the same images, and the other run's target has others; try a run on the same "
            "target, or data for both (data@compare.data=...)"
        )
    one, two = (each.features(SPLIT, list(each.stages)) for each in (model, other))
    chosen = np.sort(np.random.default_rng(int(cfg.seed)).permutation(len(one.names))[: settings.images])
    values = [
        [debiased_linear_cka(a.numpy()[chosen], b.numpy()[chosen]) for b in two.features.values()]
        for a in one.features.values()
    ]
    origin = {key: other.facts.get(key) for key in ("run", RUN_WEIGHTS)}
    return {
        **origin,
        "stages": list(one.features),
        "other_stages": list(two.features),
        "cka": values,
        "images": len(chosen),
    }


def _draw(cfg: DictConfig, folder: Path, result: dict[str, Any], found: dict[Measure, Relation]) -> None:
    from headstart.runs.relatedness.data_relation_plots import (  # here: they need matplotlib
        heatmap_figure,
        relations_figure,
    )

    figures = {"distances": relations_figure(found)}
    pictures = picture_names(result["classes"])
    for name, record in result["classes"].items():
        figures[f"classes_{pictures[name]}"] = heatmap_figure(
            np.array(record["distances"]), record["target"], record["source"],
            title=f"Fréchet distance of classes, {result['stage']}", labels=("target", name),
        )  # fmt: skip
    if (layers := result["layers"]) is not None:
        figures["layers"] = heatmap_figure(
            np.array(layers["cka"]), layers["stages"], layers["other_stages"],
            title="debiased linear CKA", labels=("this model", "the other run"),
        )  # fmt: skip
    write_pictures(cfg, folder, figures)


def table(result: dict[str, Any]) -> str:
    """A comparison as lines: each source's distances with intervals, and which is nearest."""
    measures = result["measures"]
    names = list(next(iter(measures.values()))["values"])
    rows = [["", "images", *measures]]
    for name in names:
        count = str(result["images"].get(name, result["images"]["target"]))
        cells = [interval(measures[measure]["values"][name]) for measure in measures]
        rows.append([name, count, *(f"{mean:.3g} [{low:.3g}, {high:.3g}]" for mean, low, high in cells)])
    if result["advice"]:
        shares = [f"{one['nearest']} ({100 * one['share']:.0f} %)" for one in measures.values()]
        rows.append(["nearest", "", *shares])
    halves = len(next(iter(measures.values()))["values"][ITSELF])
    each = result.get("half_images")  # results of earlier versions do not say it
    said = [
        f"distances to the target in {result['stage']}, mean [95 %] of {halves} half-samples"
        f"{f' of {each} images each' if each else ''}; {ITSELF}: between two halves of the target",
        *(f"  {line}" for line in aligned(rows)),
    ]
    if result["advice"]:
        said.append(f"{result['advice']} Near is not yet useful: task=probe or a run on the target measures that.")
    return "\n".join(said)

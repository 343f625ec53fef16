"""A run before it is fitted: data, backbone, head and module, with the weights that it starts from."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from headstart.backbones.weights.backbone_weights import Weights
from headstart.callbacks.predictions.named_test_sets import NamedTestSet
from headstart.compat.lightning.lightning_hooks import leave_out_idle_hooks
from headstart.data.data_protocols import ComparedImages, KnownLabels, is_multi_label, is_regression
from headstart.distributed.rank_agreement import of_first, wait_for_all
from headstart.runs.continuing.resume_point import resume_point
from headstart.runs.folder.duplicate_table import FILE as DUPLICATES
from headstart.runs.folder.duplicate_table import write_duplicates
from headstart.runs.folder.run_folder import cleared
from headstart.runs.model_parts.assembly import Assembly, assembled, images_seed
from headstart.runs.test_sets.run_test_sets import TESTS, TargetFacts, run_test_sets, warn_of_training_images
from headstart.runs.training.checkpoint_selection import selection_of
from headstart.runs.training.missing_validation import check_needs_no_val, has_no_val
from headstart.runs.training.object_lengths import log_lengths
from headstart.runs.training.run_plan import share_of_run
from headstart.runs.weights.control_weights import lacks_statistics, measured_statistics
from headstart.runs.weights.starting_weights import weights_of
from headstart.selection.selection import Selection
from headstart.system import rank_environment
from headstart.types import UserError
from headstart.unfreeze.trainable_share import TrainableShare


@dataclass(frozen=True)
class PreparedRun:
    """What a run is fitted with.

    Attributes:
        assembly: Backbone, data, head, module and schedule; the data are set up.
        weights: Those that the mode starts from.
        from_source: The stages that have the source's weights, and "head" where the head has them.
        resumed: The checkpoint that the run continues from; None of a new run.
        share: The trainable share of the parameters.
        validates: Whether there are val images.
        knows_labels: Whether the training images have labels.
        monitor: The monitored metric.
        selection: What the best checkpoint follows in place of the monitored metric; None of most runs.
        test_sets: What is tested beside the target's test images.
    """

    assembly: Assembly
    weights: Weights
    from_source: tuple[str, ...]
    resumed: Path | None
    share: TrainableShare
    validates: bool
    knows_labels: bool
    monitor: str
    selection: Selection | None
    test_sets: list[NamedTestSet]


def prepared_run(cfg: DictConfig, folder: Path, *, run_hash: str) -> PreparedRun:
    """The run of a config, ready to be fitted; the folder holds nothing of an earlier run any more.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        run_hash: The hash of the config; a checkpoint of another hash is an error.
    """
    selection = selection_of(cfg)
    weights = weights_of(cfg)  # may train a source model first
    pl.seed_everything(cfg.seed, verbose=False)
    assembly = assembled(cfg, weights=weights)
    resumed = of_first(resume_point(cfg, folder, run_hash) if rank_environment.rank() == 0 else None)
    from_source = (*assembly.from_source, *_source_head(assembly, weights))
    _begin(cfg, assembly, weights, from_source, is_resumed=resumed is not None)
    share = share_of_run(assembly)
    leave_out_idle_hooks(assembly.module)
    try:
        validates = _set_up_data(cfg, assembly)
    except UserError as error:
        raise _with_duplicates(error, assembly.data, folder) from None
    data = assembly.data
    facts = (cfg.target, tuple(data.class_names), is_multi_label(data), assembly.backbone.pixels, images_seed(cfg))
    test_sets = run_test_sets(cfg.get(TESTS), TargetFacts(*facts), own=lambda: data)
    if rank_environment.rank() == 0:
        warn_of_training_images(test_sets, data)
        log_lengths(data)
    _prepare_folder(folder, assembly.data, is_resumed=resumed is not None)
    return PreparedRun(
        assembly=assembly,
        weights=weights,
        from_source=from_source,
        resumed=resumed,
        share=share,
        validates=validates,
        knows_labels=assembly.module.knows_labels,
        monitor=assembly.module.monitor,
        selection=selection,
        test_sets=test_sets,
    )


def _source_head(assembly: Assembly, weights: Weights) -> tuple[str, ...]:
    """("head",) where the head starts as the source's, which it is given here; from scratch it starts random too."""
    if assembly.head.init != "source" or not (weights.backbone or weights.control):
        return ()
    if not weights.control:
        assembly.head.set_source(weights.head, weights.class_names, assembly.data.class_names)
    return ("head",)


def _begin(
    cfg: DictConfig, assembly: Assembly, weights: Weights, from_source: tuple[str, ...], *, is_resumed: bool
) -> None:
    """Tell the module what comes from the source, with BatchNorm statistics measured where the weights have none."""
    if weights.control:
        assembly.data.setup("fit")
    # a resumed run has them in its checkpoint; weights that never saw an image have none either
    measures = (weights.control or lacks_statistics(assembly)) and not is_resumed
    with measured_statistics(assembly, assembly.data, cfg.trainer) if measures else nullcontext():
        assembly.module.begin(from_source, weights.head)


def _set_up_data(cfg: DictConfig, assembly: Assembly) -> bool:
    """Set the data up and give the loss its class weights, or numbers their units -> whether there are val images."""
    assembly.data.setup("fit")
    validates = not has_no_val(assembly.data)
    if not validates:
        check_needs_no_val(cfg)
    weigh_labels(cfg, assembly)
    return validates


def weigh_labels(cfg: DictConfig, assembly: Assembly) -> None:
    """Give the loss its class weights, or numbers their units, by the training images' labels; the data are set up."""
    if cfg.module.get("class_weights") is not None or is_regression(assembly.data):
        assembly.module.weigh(_labels(assembly.data), assembly.data.class_names)


def _labels(data: Any) -> torch.Tensor:
    """Those of all training images; where the loader knows them, without reading one."""
    loader = data.plain_dataloader("train")
    labels: torch.Tensor = (
        loader.labels if isinstance(loader, KnownLabels) else torch.cat([batch.label for batch in loader])
    )
    return labels


def _with_duplicates(error: UserError, data: Any, folder: Path) -> UserError:
    """The error, with the table of all images that are there twice, of which its message may name a few."""
    if rank_environment.rank() > 0 or not isinstance(data, ComparedImages) or not data.duplicates:
        return error
    folder.mkdir(parents=True, exist_ok=True)
    write_duplicates(data, folder)
    return UserError(f"{error} (all files that are there twice: {folder / DUPLICATES})")


def _prepare_folder(folder: Path, data: Any, *, is_resumed: bool) -> None:
    if rank_environment.rank() == 0:
        if not is_resumed:
            cleared(folder)
        write_duplicates(data, folder)
    wait_for_all()

"""Backbone, data, head, module and schedule of a run, made as its config names them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from headstart.adaptation.adaptation import Adaptation
from headstart.backbones.injected.chosen_layers import InjectedLayers
from headstart.backbones.stages import Backbone
from headstart.backbones.weights.backbone_weights import Weights
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.paired_domains import paired_data
from headstart.data.splits.class_sets import ClassSets
from headstart.data.transforms.mix.batch_mixing import Mixing
from headstart.modules.classifier import Classifier
from headstart.regularizers.regularizer import Regularizer
from headstart.runs.model_parts.backbone_template import resolved, template, with_weights
from headstart.runs.model_parts.number_heads import check_numbers
from headstart.runs.model_parts.run_head import checked_head
from headstart.system.metric_direction import best_mode
from headstart.types import UserError
from headstart.unfreeze.batch_norm_policy import ALL_FROZEN, WithBatchNorm
from headstart.unfreeze.reserved_names import ADAPTERS, KINDS
from headstart.unfreeze.schedules.constant import Constant
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.one_parameter_kind import OneParameterKind
from headstart.unfreeze.schedules.only_new_stages import OnlyNewStages
from headstart.unfreeze.schedules.schedule_phases import Schedule
from headstart.unfreeze.schedules.shortened_phases import Shortened
from headstart.unfreeze.schedules.stage_adapters import StageAdapters
from headstart.unfreeze.schedules.without_head import WithoutHead

USUAL = "val/accuracy"  # of a module that names none


@dataclass(frozen=True)
class Assembly:
    """A backbone, the data that give it what it asks for, and the module that trains it on them."""

    backbone: Backbone
    # a LightningDataModule with class_names, num_classes, sizes, plain_dataloader, where images may have several labels
    # multi_label=True, where labels are numbers regression=True
    data: Any
    head: Any
    module: Classifier
    schedule: Schedule  # which parts are trainable in which phase
    from_source: tuple[str, ...]  # the stages that have the source's weights
    adapted: InjectedLayers | None  # where adapters are
    network: str = ""  # what decides the module's layers, not their numbers


class Built(NamedTuple):
    """A backbone, the stages of it that have the source's weights, and where adapters are."""

    backbone: Backbone
    from_source: tuple[str, ...]
    adapted: InjectedLayers | None


def built(cfg: DictConfig, weights: Weights | None = None) -> Built:
    """The backbone of a run, with its adapters where cfg.peft names some.

    weights: of the source; loaded before adapters come, as these have other names in them and may begin from them.
    Adapters draw their first numbers from a copy of the random state: what is drawn after them is as without them.
    """
    backbone, from_source = with_weights(cfg.backbone, weights or Weights())
    if not cfg.get("peft"):
        return Built(backbone, from_source, None)
    adapters = instantiate(cfg[cfg.peft], _convert_="all")
    with torch.random.fork_rng(devices=[]):
        return Built(backbone, from_source, adapters.inject(backbone))


def check_adapters(cfg: DictConfig) -> None:
    """Raise UserError where adapters cannot be put in as cfg says; to be asked before a source model is trained."""
    if cfg.get("peft") or cfg.trainable == ADAPTERS:
        schedule_of(cfg)
        with torch.random.fork_rng(devices=[]):
            built(cfg)


def adaptation_of(cfg: DictConfig) -> Adaptation | None:
    """The method by which a run learns from two data sets, None where it learns from one."""
    return instantiate(cfg.adaptation) if cfg.get("adaptation") else None


def regularizer_of(cfg: DictConfig) -> Regularizer | None:
    """The regularizer that the config names; None where it names none."""
    return instantiate(cfg.regularizer) if cfg.get("regularizer") else None


def check_adaptation(cfg: DictConfig) -> None:
    """Raise UserError where an adaptation lacks what it needs; to be asked before a source model is trained."""
    chosen = adaptation_of(cfg)
    if chosen is None:
        return
    name = chosen.option
    for data in ("source", "target"):
        size = (cfg.get(data) or {}).get("batch_size")
        if isinstance(size, int) and size < chosen.least_images:
            raise UserError(
                f"adaptation {name} needs batches of {chosen.least_images} images or more, got {data}.batch_size={size}"
            )
    if chosen.main == "target":
        return
    chosen.check_stages(dict(template(cfg.backbone).stages))
    if cfg.reuse and str(cfg.weights.get("_target_", "")).endswith(".target_weights"):
        raise UserError(
            f"weights=target trains on the target's labels, which are out of reach of adaptation {name}; "
            "try weights=source"
        )
    if chosen.main != "unlabelled":
        return
    reset_from = cfg.weights.get("reset_from") if cfg.get("weights") else None
    mode = "norm_only" if chosen.trains_norms_alone else "fine_tuning"
    if not cfg.reuse or cfg.head.get("init") != "source" or reset_from is not None or cfg.backbone.get("keep"):
        raise UserError(
            f"adaptation {name} goes on from the source's whole model and its head, got mode={cfg.mode} "
            f"head.init={cfg.head.get('init')}; try mode={mode} head.init=source weights.reset_from=null"
        )
    if chosen.trains_norms_alone and cfg.trainable != "norms":
        raise UserError(f"adaptation {name} trains norms alone, got mode={cfg.mode}; try mode={mode} head.init=source")
    for setting in ("mix", "class_weights", "loss"):
        if cfg.module.get(setting) is not None:
            raise UserError(f"adaptation {name} trains on images without labels, which module.{setting} needs")
    regularizer = regularizer_of(cfg)
    if regularizer is not None and regularizer.needs_labels:
        raise UserError(
            f"adaptation {name} trains on images without labels, which this regularizer needs; try regularizer=l2_sp"
        )


def checked_class_sets(cfg: DictConfig, adaptation: Adaptation | None) -> ClassSets:
    """Which classes source and target have. Raises UserError where the run cannot do with such classes."""
    sets: ClassSets = cfg.get("class_sets") or "same"
    if sets != "same" and (adaptation is None or adaptation.main == "target"):
        raise UserError(
            f"class_sets={sets} is for an adaptation to a target without labels; try adaptation=source_only, or "
            "class_sets=same"
        )
    if sets == "open" and cfg.head.get("init") == "class_means":
        raise UserError(
            "class_sets=open has a class of which the source has no image, and so no mean, which head.init=class_means "
            "needs; try head.init=random"
        )
    return sets


def images_seed(cfg: DictConfig) -> int:
    """The seed that draws a run's images: its own, or, of a model of weights=target, that of the run it is for."""
    return int(cfg.get("images_seed", cfg.seed))


def assembled(cfg: DictConfig, data_node: DictConfig | None = None, weights: Weights | None = None) -> Assembly:
    """Backbone, data, head, module and schedule of a run.

    The backbone says which pixels the data make; the data say how many classes the head has.

    Args:
        cfg: The config of the run.
        data_node: Data in place of cfg.target.
        weights: Weights of the source for the backbone.
    """
    backbone, from_source, adapted = built(cfg, weights)
    data = instantiate(data_node or cfg.target, pixels=backbone.pixels, seed=images_seed(cfg))
    if isinstance(data, ImageDataModule):
        data.check_trainable()
    check_numbers(cfg, data)
    if data_node is None:
        data = drawn(cfg, data)
    adaptation = adaptation_of(cfg)
    source_classes = 0
    target_labels: int = cfg.get("target_labels") or 0
    if target_labels and adaptation is None:
        raise UserError(
            f"target_labels={target_labels} is for an adaptation, as others read all labels of the target; "
            "try adaptation=source_only, or target.shots for fewer training images"
        )
    class_sets = checked_class_sets(cfg, adaptation)
    if adaptation is not None:
        if not cfg.get("source"):
            raise UserError("adaptation and mode=multi_task need source data, got none; try data@source=printed")
        source = instantiate(cfg.source, pixels=backbone.pixels, seed=images_seed(cfg))
        if isinstance(source, ImageDataModule):
            source.check_trainable()
        source_classes = source.num_classes
        if data_node is None:
            data = paired_data(
                source, data, main=adaptation.main, brings_paired=adaptation.reads_paired,
                target_labels=target_labels, view=adaptation.view, class_sets=class_sets,
            )  # fmt: skip
    head = checked_head(cfg, backbone, data)
    module: Classifier = instantiate(
        cfg.module, backbone=backbone, head=head, num_classes=data.num_classes, **_label_kind(data),
        # plain lists: what a scheduler keeps of OmegaConf's own would stand in checkpoints
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        scheduler=instantiate(cfg.scheduler, _convert_="all"),
        regularizer=regularizer_of(cfg),
        **mixing_of(cfg),
        adaptation=adaptation, source_classes=source_classes,
        **({"target_labels_share": cfg.target_labels_share} if target_labels else {}),
    )  # fmt: skip
    schedule = schedule_of(cfg, adapted.stages if adapted else (), module.monitor)
    if adaptation is not None and adaptation.main == "unlabelled":
        schedule = WithoutHead(schedule=schedule, instead=("adaptation",) if list(adaptation.parameters()) else ())
    if policy := getattr(module, "batch_norm", None):  # a module of one's own need not have it
        schedule = WithBatchNorm(schedule=schedule, batch_norm=policy, stages=from_source)
    module.schedule = schedule  # its parameter groups are as fine as what the schedule opens
    chosen = [
        cfg.get(key) for key in ("backbone", cfg.get("peft") or "", "head", "module", "regularizer", "adaptation")
    ]
    network = resolved(*chosen, data.num_classes, source_classes, is_multi_label(data), is_regression(data))
    return Assembly(backbone, data, head, module, schedule, from_source, adapted, network)


def _label_kind(data: Any) -> dict[str, bool]:
    """What a module is told of labels that are not one class an image; a module of one's own need not know of it."""
    kinds = {"multi_label": is_multi_label(data), "regression": is_regression(data)}
    return {name: True for name, holds in kinds.items() if holds}


def drawn(cfg: DictConfig, data: Any) -> Any:
    """The target's data, or as many of its images as a recipe has set (cfg.draw)."""
    return instantiate(cfg.draw, data=data) if cfg.get("draw") else data


def mixing_of(cfg: DictConfig) -> dict[str, Mixing]:
    """What mixes training images, with the run's seed, as a setting of the module; nothing where nothing does."""
    mix = cfg.module.get("mix")  # a module of one's own need not have it, nor has the config of an older run
    return {"mix": Mixing(mix=instantiate(mix), seed=cfg.seed)} if mix is not None else {}


def with_monitor(node: Any, metric: str) -> Any:
    """A node of the config with this metric wherever it leaves `monitor` null, and a metric's direction for `mode`."""
    copied = copy.deepcopy(node)  # it keeps its place in the config, and so what it refers to
    waiting = [copied]
    while waiting:
        part = waiting.pop()
        if isinstance(part, DictConfig) and "monitor" in part and part["monitor"] is None:
            part["monitor"] = metric
        if isinstance(part, DictConfig) and "monitor" in part and "mode" in part and part["mode"] is None:
            part["mode"] = best_mode(str(part["monitor"]))
        waiting += _set_children(part)
    return copied


def _set_children(node: Any) -> list[Any]:
    """The values of a node of the config that are set, and are no reference to another key."""
    if not isinstance(node, DictConfig | ListConfig):
        return []
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    return [node[key] for key in keys if not (OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key))]


def schedule_of(cfg: DictConfig, adapted: Sequence[str] = (), monitor: str = USUAL) -> Schedule:
    """Which parts are trainable when: as `unfreeze` says where the mode follows it, else one phase, by cfg.trainable.

    Where stages have adapters, a stage in a schedule stands for the adapters in it; a file of phases says itself what
    it means.

    Args:
        cfg: The config of the run.
        adapted: The stages with adapters.
        monitor: The metric of a plateau that names none.

    Raises:
        UserError: Adapters would not be trainable alone.
    """
    peft = cfg.get("peft")
    if peft and cfg.trainable not in (ADAPTERS, "schedule"):
        raise UserError(
            f"peft={peft} goes with mode={peft} and mode=gradual, in which adapters learn in the place of "
            f"weights; mode={cfg.mode} has trainable={cfg.trainable}"
        )
    if cfg.trainable == ADAPTERS and not peft:
        raise UserError("trainable=adapters needs some, got peft=null; try mode=lora or mode=adapters")
    if cfg.trainable == "norms" and cfg.module.get("batch_norm") == ALL_FROZEN:
        raise UserError(
            f"mode={cfg.mode} trains norms, which module.batch_norm={ALL_FROZEN} freezes; "
            "try module.batch_norm=learning"
        )
    if cfg.trainable in KINDS:
        return OneParameterKind(kind=cfg.trainable)
    if cfg.trainable == "new_stages":
        return OnlyNewStages(reused=cfg.weights.get("reset_from"))
    if cfg.trainable != "schedule":
        return Constant(head_only=cfg.trainable == "none")
    schedule: Schedule = instantiate(with_monitor(cfg.unfreeze, monitor), _convert_="all")
    own = schedule.schedule if isinstance(schedule, Shortened) else schedule
    if peft and not isinstance(own, Explicit):
        return StageAdapters(schedule=schedule, stages=tuple(adapted))
    return schedule

"""Features of a data set's images by a model that does not learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from headstart.backbones.batch_norm_statistics import norms_of
from headstart.backbones.weights.backbone_weights import Weights
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import has_contents, image_names
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.features.cache.activation_cache import FeatureCache
from headstart.features.cache.activation_key import Place, activations, cuts_of
from headstart.features.cache.cache_choice import ImageGroup
from headstart.features.cache.cached_activations import Engine, cached_activations, in_eval
from headstart.runs.folder.folder_ownership import RUN_WEIGHTS
from headstart.runs.folder.run_naming import config_hash, job_overrides, own_overrides
from headstart.runs.model_parts.assembly import Assembly, assembled, check_adapters, images_seed
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_run import saved_run
from headstart.runs.saved.other_data import check_no_target, other_data
from headstart.runs.training.missing_validation import check_split
from headstart.runs.training.run_trainer import lone_trainer
from headstart.runs.weights.control_weights import measure_statistics
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.starting_weights import weights_of
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.system.result_format import FORMAT
from headstart.types import UserError

# where the weights come from, of a result whose candidates have each their own
NO_SOURCE: dict[str, Any] = {"run": None, "source": None, "control": False}


class Stored(NamedTuple):
    """The features of a split's images in its order."""

    features: dict[str, Tensor]  # stage -> (N, D), float32 on the CPU, pooled over space unless asked otherwise
    label: Tensor  # (N,), int64, or of several labels an image (N, classes), float32
    names: list[str]  # of the images


@dataclass(frozen=True)
class Frozen:
    """A backbone with its weights, and the data to look at.

    facts: where the weights come from, for result.json. weights: those of the command, the source's own head among
    them; none of a finished run.
    """

    parts: Assembly
    cache: FeatureCache | None
    engine: Engine
    facts: dict[str, Any]
    weights: Weights = field(default_factory=Weights, kw_only=True)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages' names, from the input on."""
        return self.parts.backbone.names

    def features(self, split: str, stages: Sequence[str], *, is_pooled: bool = True) -> Stored:
        """The features after each of these stages, in one pass, or from the feature cache.

        is_pooled: over space; else they are tokens or maps. Raises UserError where there is no such stage or split, or
        no image in it.
        """
        places = [Place(self._number(stage), pooled=is_pooled) for stage in stages]
        data = self.parts.data
        loader = data.plain_dataloader(split)  # the data say whether there is such a split
        check_split(data, split, "this task")
        if self.cache is None or not has_contents(data):
            features_by_stage, labels = self._live(loader, places)
        else:
            features_by_stage, labels = self._cached(split, places, self.cache), loader.labels
        names = image_names(data, split, len(labels))
        return Stored(dict(zip(stages, features_by_stage, strict=True)), labels, names)

    def _number(self, stage: str) -> int:
        check_stage(stage, self.stages)
        return self.stages.index(stage) + 1

    def _cached(self, split: str, places: list[Place], cache: FeatureCache) -> list[Tensor]:
        backbone, engine, data = self.parts.backbone, self.engine, self.parts.data
        with in_eval(backbone, max(place.after for place in places)):
            cuts = cuts_of(
                backbone, places, device=engine.device, precision=engine.precision, dtype=cache.dtype,
                context=engine.context,
            )  # fmt: skip
        cached, _ = cached_activations(cache, backbone, data, [ImageGroup(split)], cuts, engine=engine)
        everything = np.arange(data.sizes[split])
        return [cached[ImageGroup(split), cut].at(0, everything) for cut in cuts]

    def _live(self, loader: Any, places: list[Place]) -> tuple[list[Tensor], Tensor]:
        backbone, engine = self.parts.backbone, self.engine
        seen: list[list[Tensor]] = [[] for _ in places]
        labels = []
        with in_eval(backbone, max(place.after for place in places)):
            for batch in loader:
                with engine.context():
                    outputs = activations(backbone, engine.convert(batch).image.to(engine.device), places)
                for batches, place in zip(seen, places, strict=True):
                    batches.append(outputs[place].float().cpu())
                labels.append(batch.label)
        return [torch.cat(batches) for batches in seen], torch.cat(labels)


def check_stage(stage: str | None, stages: Sequence[str]) -> None:
    """Raise UserError where a backbone has no such stage.

    Args:
        stage: Its name; None for the last, which each has.
        stages: Of the backbone.
    """
    if stage is not None and stage not in stages:
        near = get_close_matches(stage, stages, n=1)
        raise UserError(
            f"the stages are {', '.join(stages)}, got {stage!r}{f'; did you mean {near[0]}?' if near else ''}"
        )


def check_before(
    cfg: DictConfig, data: DictConfig | None = None, *, check: Callable[[Any], None] | None = None
) -> None:
    """Look at the data of a task on frozen features before its weights are had, which may take hours.

    Data that the task cannot use are an error now, and where it has a check, data that list nothing to train on; where
    a source model is to be developed, files that are not there or cannot be read are, too.

    Args:
        cfg: The task's config.
        data: Other data than the target.
        check: Raises UserError where the task cannot use the data; None where it can use all.
    """
    with torch.random.fork_rng(devices=[]):
        if waits_for_source(cfg):
            made = assembled(cfg, data).data  # with its head, and the settings that go with these labels
            if check is not None:
                check(made)
            made.setup("fit")
        elif check is not None:
            made = instantiate(data or cfg.target, pixels=template(cfg.backbone).pixels, seed=images_seed(cfg))
            if isinstance(made, ImageDataModule):
                made.check_trainable()
            check(made)


def frozen(
    cfg: DictConfig,
    run_dir: str | Path | None,
    data: DictConfig | None = None,
    *,
    whole: bool = False,
    check: Callable[[Any], None] | None = None,
) -> Frozen:
    """The model that a command line means, with its data set up; it computes on one device, as cfg.trainer says.

    run_dir: a finished run, whose best weights and settings count; None: cfg's own, with the weights that its mode
    starts from (random ones where it does not reuse a source). data: other data than the target. whole: look at all of
    the other data as one split, where a finished run is given. check: raises UserError where the task cannot use the
    data, before the weights are made. A control's
    BatchNorms have the statistics of the training images of these data. Raises UserError where the run is not finished.
    """
    quieten()
    facts: dict[str, Any]
    weights = Weights()
    if run_dir is None:
        check_before(cfg, data, check=check)
        cfg = with_weights_preprocessing(cfg)
        check_adapters(cfg)
        weights = weights_of(cfg)
        pl.seed_everything(cfg.seed, verbose=False)
        parts = assembled(cfg, data, weights)
        facts = {"run": None, "source": dict(weights.facts) or None, "control": weights.control}
    else:
        run = saved_run(run_dir, "best")
        check_no_target(str(cfg.get("task")))
        if data is not None and whole:
            parts = assembled(run.cfg, run.known)
            how = {"pixels": parts.backbone.pixels, "seed": run.cfg.seed}
            looked = other_data(data, make=partial(instantiate, **how), split=None, setting="embed.splits")
            parts = replace(parts, data=looked.data)
        else:
            parts = assembled(run.cfg, data)
        if check is not None:
            check(parts.data)
        state = run.state()
        own = {name.removeprefix("backbone."): t for name, t in state.items() if name.startswith("backbone.")}
        parts.backbone.load_state_dict(own)  # the head is of the run's own classes
        control = bool(run.result.get("control"))
        facts = {
            "run": run.folder.as_posix(),
            RUN_WEIGHTS: run.result.get("weights_hash"),
            "source": run.result.get("source"),
            "control": control,
        }
    parts.data.setup("test")
    if run_dir is None and weights.control:
        measure_statistics(parts.backbone, norms_of(parts.backbone.stages), parts.data, cfg.trainer)
    trainer = lone_trainer(cfg.trainer, "precision")
    parts.module.to(trainer.strategy.root_device)
    cache = instantiate(cfg.feature_cache) if cfg.get("feature_cache") else None
    return Frozen(parts, cache, Engine.of(trainer), facts, weights=weights)


def fitting_device(engine: Engine) -> torch.device:
    """Where heads are fitted on features: MPS has no float64.

    Args:
        engine: What the features were computed by.
    """
    return engine.device if engine.device.type == "cuda" else torch.device("cpu")


def result_origin(cfg: DictConfig, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What every result.json on frozen features begins with: the command, its run and the weights.

    Args:
        cfg: The composed config.
        folder: Where the result is written.
        facts: Where the weights come from.
    """
    return {
        "format": FORMAT,
        "task": cfg.task,
        "study": folder.parent.name,
        "name": folder.name,
        "hash": config_hash(cfg),
        "overrides": own_overrides(cfg, job_overrides()),
        "mode": cfg.mode if facts["run"] is None else None,  # a run's own config says its mode
        "seed": cfg.seed,
        **facts,
    }

"""The cost of one run, from its plan: steps, images, FLOPs, rows of the feature cache, memory, disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from headstart.backbones.stages import Backbone
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import KnownLabels, PairedImages, ServedImages, has_contents, is_regression
from headstart.features.cache.activation_cache import FeatureCache
from headstart.features.cache.activation_key import Place
from headstart.features.cache.cache_choice import ImageGroup, phase_borders
from headstart.features.cache.stratified_subset import stratified
from headstart.modules.module_protocols import mixes, regularizer_of
from headstart.runs.cost.cached_work import CachedWork
from headstart.runs.cost.image_sets import ImageSet, digest_set, image_set
from headstart.runs.cost.job_cost import Work
from headstart.runs.cost.run_timetable import phase_steps, validation_steps
from headstart.runs.cost.stage_costs import StageCosts
from headstart.runs.folder.run_naming import config_hash, is_control
from headstart.runs.model_parts.assembly import Assembly, images_seed
from headstart.runs.model_parts.backbone_template import resolved
from headstart.runs.training.missing_validation import has_no_val
from headstart.runs.training.run_trainer import is_sharded
from headstart.runs.weights.source_model import has_recipe, source_recipe
from headstart.unfreeze.batch_norm_policy import what_learns
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.unfreezing_plan import Plan

OF_EACH = 8  # images of a class by which a start is measured, however few are asked for (callbacks/training)


@dataclass(frozen=True, kw_only=True)
class CountedRun:
    """A run whose work is counted.

    Args:
        cfg: Of the run.
        parts: Of the run; the data are set up.
        plan: Of the run.
        trainer: Of the same length.
        sizes: Images of each split, or as many as are asked for.
        is_made_up: Whether there are fewer images than `sizes` says.
        processes: That share each batch.
    """

    cfg: DictConfig
    parts: Assembly
    plan: Plan
    trainer: pl.Trainer
    sizes: Mapping[str, int]
    is_made_up: bool
    processes: int

    def cached(self, costs: StageCosts) -> CachedWork:
        """What the run would compute for the feature cache; nothing yet."""
        module, backbone = self.parts.module, self.parts.backbone
        model_parts = ModelParts(module)
        among = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        learning = [what_learns(module, model_parts, row.phase).parameters & among for row in self.plan.rows]
        names, regularizer = backbone.names, regularizer_of(module)
        borders = phase_borders(
            names, {name: model_parts.of(name) for name in names if name in model_parts.names}, learning,
            runs_copies=regularizer is not None and regularizer.runs_copies,
        )  # fmt: skip
        return CachedWork(
            cache=self._cache(), stages=len(names), pools=not backbone.gives_tokens, costs=costs, key=self._key,
            images=self._images, count=dict(self.sizes), borders=borders,
        )  # fmt: skip

    def work(self, costs: StageCosts, cached: CachedWork) -> Work | None:
        """What is counted; `cached` gets what passes frozen stages. None where the length is not known in steps."""
        if self.plan.run.end is None:
            return None
        data, plan, whole = self.parts.data, self.plan, costs.flops(cached.stages)
        forward = round(plan.rows[0].forward * plan.flops) if plan.rows else 0
        domains = 2 if isinstance(data, PairedImages) and data.paired is not None else 1
        moments = validation_steps(plan.run) if not has_no_val(data) else []
        val = self._limited("val", self.trainer.limit_val_batches)
        train_flops = look_flops = 0.0
        train_images = looked = read = 0
        augments = getattr(data, "augment", None) is not None
        reads_start = self._start()
        for number, (row, (first, last)) in enumerate(zip(plan.rows, phase_steps(plan.rows, plan.run), strict=True)):
            if last <= first and number:
                continue
            served = cached.phase(number, augments=augments, mixes=mixes(self.parts.module))
            images = round((last - first) * self._epoch_images() / plan.run.steps_per_epoch)
            saved = costs.flops(served.get("train", 0))
            train_images += images
            train_flops += domains * images * ((row.forward + row.backward) * plan.flops - saved)
            looks = val * sum(first < step <= last or (step == 0 and number == 0) for step in moments)
            look_flops += looks * (forward - costs.flops(served.get("val", 0)))
            looked += looks
            read += (0 if served.get("train") else domains * images) + (0 if served.get("val") else looks)
            plain = served.get("train", 0) if not augments else 0  # views are no plain images
            if number == 0 and reads_start is not None and plain != cached.stages:
                stored = self._shares_start() and cached.whole(reads_start)
                looked, read = looked + reads_start.count, read + (0 if stored else reads_start.count)
                look_flops += reads_start.count * (0 if stored else whole)
        test = self._limited("test", self.trainer.limit_test_batches)
        served = cached.test() if test else {}
        look_flops += test * (forward - costs.flops(served.get("test", 0)))
        steps, per_batch = int(plan.run.steps), self.processes * data.batch_size
        look_batches = len(moments) * -(-val // per_batch) + -(-test // per_batch)
        return Work(
            steps=steps, batches=steps * self.trainer.accumulate_grad_batches + look_batches,
            train_images=train_images, looked_images=looked + test, train_flops=train_flops, look_flops=look_flops,
            read_images=read + (0 if served.get("test") else test), evaluations=len(moments),
        )  # fmt: skip

    # ------------------------------------------------------------------ images

    def _epoch_images(self) -> int:
        """Of an epoch of training."""
        batches = self.plan.run.steps_per_epoch * self.trainer.accumulate_grad_batches
        size: int = self.parts.data.batch_size
        return min(self.sizes["train"], batches * size * self.processes)

    def _limited(self, split: str, limit: int | float) -> int:
        """Images of a split that are looked at, where trainer.limit_<split>_batches leaves some out."""
        count = self.sizes.get(split, 0)
        size: int = self.parts.data.batch_size
        batches = -(-count // size)
        return min(count, size * (limit if isinstance(limit, int) else int(batches * limit)))

    def _images(self, group: ImageGroup) -> ImageSet:
        images = self.sizes[group.split] if self.is_made_up else None
        return image_set(self.parts.data, group.split, self._data_key, images=images, views=group.views)

    @property
    def _data_key(self) -> str:
        return _short(self.cfg.target, self.cfg.get("draw"), images_seed(self.cfg))

    def _start(self) -> ImageSet | None:
        """Training images by which the start is measured with a head in closed form; None where it is not."""
        cfg, data, module, head = self.cfg, self.parts.data, self.parts.module, self.parts.head
        knows_labels, standardises = getattr(module, "knows_labels", False), getattr(head, "standardise", False)
        begins = knows_labels and getattr(head, "init", "") == "class_means"
        measures = knows_labels and cfg.get("start_class_means", False) and cfg.get("class_sets") != "open"
        if not (begins or measures or standardises) or (has_no_val(data) and not begins and not standardises):
            return None
        if begins or standardises:
            return self._images(ImageGroup("train"))
        key, most = f"{self._data_key}:start", cfg.get("start_images")
        loader = data.plain_dataloader("train")
        if self.is_made_up or not isinstance(loader, KnownLabels) or is_regression(data):
            some = max(most or self.sizes["train"], OF_EACH * data.num_classes)
            return ImageSet(key, min(self.sizes["train"], some))
        positions = stratified(loader.labels.numpy(), most, OF_EACH)
        everything = self._images(ImageGroup("train"))
        if everything.digests is None:
            return ImageSet(key, len(positions))
        contents = data.contents("train")
        return digest_set(key, [contents[position] for position in positions.tolist()])

    # ------------------------------------------------------------------ the feature cache

    def _cache(self) -> FeatureCache | None:
        cfg, data = self.cfg, self.parts.data
        is_served = isinstance(data, ServedImages) and has_contents(data) and isinstance(self.parts.backbone, Backbone)
        cache: FeatureCache | None = instantiate(cfg.feature_cache) if cfg.get("feature_cache") else None
        return cache if is_served and not is_sharded(cfg.trainer) else None

    def _shares_start(self) -> bool:
        """Whether other runs begin with the same features: all stages have the weights of a source."""
        return self._has_source and self._resets_from is None and self.parts.adapted is None

    def _key(self, place: Place) -> str:
        """What tells the outputs of frozen stages at a place from those of other weights; they are not there yet."""
        cfg = self.cfg
        fresh = not self._has_source or (self._resets_from is not None and place.after > self._resets_from)
        cut = (place.after, place.pooled, cfg.trainer.get("precision"), cfg.feature_cache.dtype)
        peft = cfg.get(cfg.peft) if cfg.get("peft") else None
        return _short(cfg.backbone, peft, self._weights, *([cfg.seed, self._data_key] if fresh else []), *cut)

    @property
    def _has_source(self) -> bool:
        return bool(self.cfg.reuse) and not is_control(self.cfg)

    @property
    def _resets_from(self) -> int | None:
        weights = self.cfg.get("weights")
        reset: int | None = weights.get("reset_from") if weights else None
        return reset

    @property
    def _weights(self) -> str:
        if not self._has_source:
            return "random"
        return config_hash(source_recipe(self.cfg)) if has_recipe(self.cfg) else _short(self.cfg.weights)


def _short(*values: Any) -> str:
    return hashlib.sha256(resolved(*values).encode()).hexdigest()[:16]

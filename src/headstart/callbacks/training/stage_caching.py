"""Feature cache of a run: which frozen stages are cached in each phase, and what stands in for the images."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor

from headstart.backbones.stages import Backbone
from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_trainer import callbacks_of, datamodule_of
from headstart.data.data_protocols import ServedImages, has_contents
from headstart.features.cache.activation_cache import CacheRanks, FeatureCache
from headstart.features.cache.activation_key import Cut, Place, cuts_of
from headstart.features.cache.cache_choice import (
    ImageGroup,
    fitting,
    groups_to_cache,
    phase_borders,
    places_to_cache,
)
from headstart.features.cache.cached_activations import (
    CachedActivations,
    Engine,
    cached_activations,
    cached_rows_at,
    in_eval,
)
from headstart.modules.module_protocols import HeadedModule, mixes, regularizer_of
from headstart.types import Batch

log = logging.getLogger(__name__)
TEST = -1  # no phase of the schedule


class FeatureCaching(Callback):
    """Lets frozen stages compute each image once, and serves what they gave from then on.

    In each phase the border is after the leading stages of which nothing is trainable. What they give is cached, in the
    same pass as that for later phases whose border lies in the same frozen stages, as far as it fits into
    feature_cache.max_gib; training and validation then begin at the border. Behind the last stage it is the pooled
    features.
    A phase whose first stage is trainable runs from the images, and so does training on images that are augmented
    where the cache keeps no views of them, or that the module mixes (module.mix): no two steps see the same mixture.
    The test is served what no phase trains.

    Args:
        cache: The feature cache; None means that nothing is cached.

    Attributes:
        filled: {phase, images, seconds} of each look into the cache, that before the first step is the phase "start";
            images are those that this process had to compute.
    """

    def __init__(self, *, cache: FeatureCache | None) -> None:
        self.cache = cache
        self.filled: list[dict[str, Any]] = []
        self._trainer: Trainer | None = None
        self._served: dict[ImageGroup, CachedActivations] = {}
        self._phase: int | None = None  # that these are for
        self._borders: list[int] = []  # of the phases
        self._has_spoken = False

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer, self._served, self._phase, self._borders = trainer, {}, None, []
        data = datamodule_of(trainer)
        reason = self._reason_against(trainer, pl_module, data)
        if not reason:
            data.served = self.served
        elif stage == "fit":
            log.info("feature cache: nothing is cached, %s", reason)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        start = batch.start if isinstance(batch, Batch) else 0
        if start and start > self._border(self._unfreeze.phase):  # it would never learn, without a word
            raise RuntimeError(
                f"a batch begins after {start} stages, of which some are trainable; please report this bug"
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = datamodule_of(trainer)
        if self._serves(data):
            data.served = None
        self._served, self._phase = {}, None

    # ------------------------------------------------------------------ what the loaders ask

    def served(self, split: str, augmented: bool) -> CachedActivations | None:
        """What stands in for the images of a split in the batches to come, None = nothing does.

        augmented: whether these images are augmented.
        """
        assert self._trainer is not None
        assert self.cache is not None
        phase = self._coming_phase(self._trainer)
        if phase != self._phase:
            self._served, self._phase = self._of_phase(phase, self.cache), phase
        return self._served.get(ImageGroup(split, self.cache.views if augmented else 0))

    def features(self, split: str, positions: NDArray[np.int64]) -> Tensor | None:
        """What the head reads, float32, of images at these positions with the weights of this moment: features (n, D).

        Of a backbone that gives tokens it is tokens or maps. They are kept for whoever begins with the same weights,
        also where stages learn later, so that a phase is served nothing of them. All ranks must ask, and share the
        work. None where nothing is cached, or they do not fit.
        """
        trainer, backbone = self._trainer, self._backbone
        assert trainer is not None
        data = datamodule_of(trainer)
        if self.cache is None or not self._serves(data):
            return None
        rows = self.served(split, augmented=False)
        whole = Place(len(backbone.names), pooled=not backbone.gives_tokens)
        if rows is not None and rows.start == whole.after:
            return rows.at(0, positions)
        engine = Engine.of(trainer)
        cut = self._cuts([whole], engine, self.cache)[0]
        if self.cache.needed_bytes(cut, len(positions)) > self.cache.max_bytes:
            return None
        began = time.perf_counter()
        ranks = CacheRanks(trainer.global_rank, trainer.world_size, of_each_rank)
        cached, computed = cached_rows_at(self.cache, backbone, data, split, positions, cut, engine=engine, ranks=ranks)
        self._note("start", computed, time.perf_counter() - began, self.cache)
        return cached.at(np.arange(len(positions)))

    def _coming_phase(self, trainer: Trainer) -> int:
        if trainer.state.fn != "fit":
            return TEST
        return self._unfreeze.upcoming(trainer) if trainer.training else self._unfreeze.phase

    # ------------------------------------------------------------------ choices

    def _of_phase(self, phase: int, cache: FeatureCache) -> dict[ImageGroup, CachedActivations]:
        """What serves a phase, computed where it is not cached yet."""
        trainer, backbone = self._trainer, self._backbone
        assert trainer is not None
        data = datamodule_of(trainer)
        groups = [group for group in self._groups(phase, cache, data) if data.sizes[group.split]]  # val may be empty
        places = self._places(phase)
        engine = Engine.of(trainer)
        cached_cuts: list[Cut] = []
        if places and groups:
            cuts = self._cuts(places, engine, cache)
            images = sum(data.sizes[group.split] * max(1, group.views) for group in groups)
            cached_cuts = fitting(cuts, lambda cut: cache.needed_bytes(cut, images), cache.max_bytes)
        self._say(phase, groups, cached_cuts, cache, data)
        cuts_here = [cut for cut in cached_cuts if cut.place == places[0]]
        if not cuts_here:
            return {}
        began = time.perf_counter()
        ranks = CacheRanks(trainer.global_rank, trainer.world_size, of_each_rank)
        activations, computed = cached_activations(
            cache, backbone, data, groups, cached_cuts, engine=engine, ranks=ranks
        )
        title = "test" if phase == TEST else self._unfreeze.phases[phase].title
        self._note(title, computed, time.perf_counter() - began, cache)
        served = {group: rows for (group, cut), rows in activations.items() if cut == cuts_here[0]}
        if not _evaluates_all(trainer):
            for rows in served.values():
                rows.evaluated_at_once = 0
        return served

    def _cuts(self, places: Sequence[Place], engine: Engine, cache: FeatureCache) -> list[Cut]:
        with in_eval(self._backbone, max(place.after for place in places)):
            return cuts_of(
                self._backbone, places, device=engine.device, precision=engine.precision, dtype=cache.dtype,
                context=engine.context,
            )  # fmt: skip

    def _note(self, title: str, computed: int, seconds: float, cache: FeatureCache) -> None:
        self.filled.append({"phase": title, "images": computed, "seconds": round(seconds, 4)})
        if computed:
            log.info("feature cache: %d images in %.1f s, into %s", computed, seconds, cache.folder)

    def _places(self, phase: int) -> list[Place]:
        """What is worth storing in one pass: the border of the phase, and those of later ones in what stays frozen."""
        phases, backbone = len(self._unfreeze.phases), self._backbone
        coming = range(phase, phases) if phase != TEST else range(phases)
        borders = [self._border(number) for number in coming]
        return places_to_cache(
            borders if phase != TEST else [min(borders)], stages=len(backbone.names), pools=not backbone.gives_tokens
        )

    def _border(self, phase: int) -> int:
        """How many leading stages have parameters, and none of them trainable in a phase."""
        if not self._borders:  # it is asked before each batch
            unfreeze, names = self._unfreeze, self._backbone.names
            self._borders = phase_borders(
                names,
                {name: unfreeze.parts.of(name) for name in names if name in unfreeze.parts.names},
                [unfreeze.trainable_in(number) for number in range(len(unfreeze.phases))],
                runs_copies=self._runs_copies,
            )
        return self._borders[phase]

    def _groups(self, phase: int, cache: FeatureCache, data: Any) -> list[ImageGroup]:
        if phase == TEST:
            return [ImageGroup("test")]
        return groups_to_cache(augments=data.augment is not None, views=cache.views, mixes=self._mixes)

    def _serves(self, data: object) -> bool:
        """Whether these data take what this callback serves."""
        return isinstance(data, ServedImages) and data.served == self.served

    def _reason_against(self, trainer: Trainer, module: LightningModule, data: Any) -> str:
        if self.cache is None:
            return "feature_cache=off"
        if not (isinstance(module, HeadedModule) and isinstance(module.backbone, Backbone)):
            return "the module has no backbone with stages"
        if not (isinstance(data, ServedImages) and has_contents(data)):
            return f"{type(data).__name__} does not say what its images contain (contents, served)"
        if isinstance(trainer.strategy, ModelParallelStrategy):
            return "each device has a shard of each stage only"
        return ""

    def _say(
        self, phase: int, groups: Sequence[ImageGroup], cuts: Sequence[Cut], cache: FeatureCache, data: Any
    ) -> None:
        """What was chosen for each phase, and why: once, in one line."""
        if phase == TEST or self._has_spoken:
            return
        self._has_spoken = True
        names, cached = self._backbone.names, {cut.place.after for cut in cuts}
        clauses = []
        for number, scheduled in enumerate(self._unfreeze.phases):
            border = self._border(number)
            if border == 0:
                way = f"from the images, {names[0]} learns"
            elif border in cached:
                way = "on cached features" if border == len(names) else f"on what {names[border - 1]} gave, cached"
            else:
                limit = f"feature_cache.max_gib={cache.max_gib:g}"
                way = f"from the images: its border learns first or is too large ({limit})"
            clauses.append(f"{scheduled.title} {way}")
        if self._mixes:
            unused = "" if not cache.views else f", feature_cache.views={cache.views} is for images that are not mixed"
            clauses.append(f"mixed (module.mix): training images live, as each step makes others of them{unused}")
        elif data.augment is not None:
            live = "training images live (feature_cache.views=0)"
            views = f"{cache.views} views of each training image" if cache.views else live
            clauses.append(f"augmented: {views}")
        images = sum(data.sizes[group.split] * max(1, group.views) for group in groups)
        size = sum(cache.needed_bytes(cut, images) for cut in cuts) / 2**20
        log.info("feature cache: %s; %.1f MiB", "; ".join(clauses), size)

    @property
    def _runs_copies(self) -> bool:
        assert self._trainer is not None
        regularizer = regularizer_of(self._trainer.lightning_module)
        return regularizer is not None and regularizer.runs_copies

    @property
    def _mixes(self) -> bool:
        """Whether training images are mixed with each other before they enter the backbone."""
        assert self._trainer is not None
        return mixes(self._trainer.lightning_module)

    @property
    def _unfreeze(self) -> Unfreeze:
        assert self._trainer is not None
        callbacks = callbacks_of(self._trainer)
        return next(callback for callback in callbacks if isinstance(callback, Unfreeze))

    @property
    def _backbone(self) -> Backbone:
        assert self._trainer is not None
        backbone = self._trainer.lightning_module.backbone
        assert isinstance(backbone, Backbone)
        return backbone


def _evaluates_all(trainer: Trainer) -> bool:
    """Whether nothing limits the number of evaluation batches, whose size then matters to nobody."""
    return all(
        type(limit) is float and limit == 1.0 for limit in (trainer.limit_val_batches, trainer.limit_test_batches)
    )

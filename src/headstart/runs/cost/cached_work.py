"""What a run would compute for the feature cache, and what each phase is then served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headstart.features.cache.activation_cache import DTYPES, FeatureCache
from headstart.features.cache.activation_key import Place
from headstart.features.cache.cache_choice import ImageGroup, fitting, groups_to_cache, places_to_cache
from headstart.runs.cost.image_sets import ImageSet
from headstart.runs.cost.job_cost import Fill
from headstart.runs.cost.stage_costs import StageCosts


@dataclass
class CachedWork:
    """The feature cache of a run as it would be filled, phase by phase, by the rules of the run itself.

    Args:
        cache: Its settings; None where nothing is cached.
        stages: Of the backbone.
        pools: Whether what is behind the last stage is kept as pooled features.
        costs: Of the stages.
        key: A place -> what tells its outputs from those of other weights.
        images: A group -> its images.
        count: Number of images of each split.
        borders: Of each phase.

    Attributes:
        fills: What passes frozen stages.
    """

    cache: FeatureCache | None
    stages: int
    pools: bool
    costs: StageCosts
    key: Callable[[Place], str]
    images: Callable[[ImageGroup], ImageSet]
    count: dict[str, int]
    borders: Sequence[int]
    fills: list[Fill] = field(default_factory=list)
    _there: set[tuple[str, ImageGroup]] = field(default_factory=set)

    def phase(self, number: int, *, augments: bool, mixes: bool) -> dict[str, int]:
        """Split -> the stage at which its images enter in a phase; those that are not served enter at 0.

        Args:
            number: Of the phase.
            augments: Whether training images are augmented.
            mixes: Whether they are mixed with each other.
        """
        views = self.cache.views if self.cache is not None else 0
        groups = groups_to_cache(augments=augments, views=views, mixes=mixes)
        return self._served(self.borders[number:], groups)

    def test(self) -> dict[str, int]:
        """The same of the test."""
        return self._served([min(self.borders)], [ImageGroup("test")])

    def whole(self, images: ImageSet) -> bool:
        """Fill the features of these images behind the last stage; whether the cache can hold them."""
        place = Place(self.stages, self.pools)
        if self.cache is None or images.count * self._row_bytes(place) > self.cache.max_bytes:
            return False
        self._fill([place], images)
        return True

    def _served(self, borders: Sequence[int], groups: list[ImageGroup]) -> dict[str, int]:
        groups = [group for group in groups if self.count.get(group.split)]
        places = places_to_cache(borders, stages=self.stages, pools=self.pools)
        if self.cache is None or not places or not groups:
            return {}
        images = sum(self.count[group.split] * max(1, group.views) for group in groups)
        chosen = fitting(places, lambda place: images * self._row_bytes(place), self.cache.max_bytes)
        if places[0] not in chosen:
            return {}
        for group in groups:
            there = {(self.key(place), group) for place in chosen}
            if not there <= self._there:
                self._there |= there
                self._fill(chosen, self.images(group))
        return {group.split: places[0].after for group in groups}

    def _fill(self, places: Sequence[Place], images: ImageSet) -> None:
        rows = {self.key(place): self._row_bytes(place) for place in places}
        deepest = max(place.after for place in places)
        self.fills.append(Fill(row_bytes=rows, images=images, flops=self.costs.flops(deepest)))

    def _row_bytes(self, place: Place) -> int:
        assert self.cache is not None
        return self.costs.numbers(place) * DTYPES[self.cache.dtype].itemsize

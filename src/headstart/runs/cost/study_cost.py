"""The cost of several jobs: source models, features and equal jobs that they share count once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.runs.cost.image_sets import ImageSet, united_count
from headstart.runs.cost.job_cost import Fill, JobCost


@dataclass(frozen=True, kw_only=True)
class PartCost:
    """The cost of jobs of one kind.

    Args:
        jobs: Their number.
        steps: Optimizer steps.
        images: That are trained on, looked at or pass frozen stages.
        flops: Floating point operations.
        seconds: On one machine, one job after the other; 0 where no speed is known.
    """

    jobs: int
    steps: int
    images: int
    flops: float
    seconds: float


class StudyCost:
    """The cost of the jobs of a command, as if nothing of it were there yet.

    Args:
        jobs: Equal ones count once.
    """

    def __init__(self, jobs: Sequence[JobCost]) -> None:
        self.asked = len(jobs)
        self.jobs = list({job.key: job for job in jobs}.values())
        self.sources = list({job.source.key: job.source for job in self.jobs if job.source is not None}.values())
        self._fills = [(job, fill) for job in [*self.sources, *self.jobs] for fill in job.fills]

    @property
    def backbones(self) -> list[str]:
        """What the jobs' backbones are called, each once."""
        return list(dict.fromkeys(job.backbone for job in self.jobs))

    def of_jobs(self, backbone: str | None = None) -> PartCost:
        """The jobs themselves, of one backbone or of all."""
        return _sum([job for job in self.jobs if backbone in (None, job.backbone)])

    def of_sources(self) -> PartCost:
        """The source models."""
        return _sum(self.sources)

    def of_filling(self) -> PartCost:
        """Images that pass frozen stages once for all jobs."""
        together: dict[tuple[str, ...], list[tuple[JobCost, Fill]]] = defaultdict(list)
        for job, fill in self._fills:
            together[tuple(sorted(fill.row_bytes))].append((job, fill))
        images, flops, seconds = 0, 0.0, 0.0
        for fills in together.values():
            job, fill = fills[0]
            count = united_count(one.images for _, one in fills)
            images, flops = images + count, flops + count * fill.flops
            seconds += job.fill_seconds(count, fill.flops)
        return PartCost(jobs=0, steps=0, images=images, flops=flops, seconds=seconds)

    @property
    def cache_rows(self) -> int:
        """Rows of the feature cache, if nothing is removed from it."""
        return sum(map(united_count, self._rows_by_cut().values()))

    @property
    def cache_bytes(self) -> int:
        """Bytes of these rows, without the digests beside them (16 bytes a row)."""
        sizes = {key: size for _, fill in self._fills for key, size in fill.row_bytes.items()}
        return sum(united_count(sets) * sizes[key] for key, sets in self._rows_by_cut().items())

    @property
    def cache_limit(self) -> int:
        """Bytes that the feature cache may take."""
        return max((job.cache_limit for job in self.jobs), default=0)

    @property
    def checkpoint_bytes(self) -> int:
        return sum(job.checkpoint_bytes for job in [*self.jobs, *self.sources])

    @property
    def seconds(self) -> float:
        """On one machine, one job after the other."""
        return self.of_jobs().seconds + self.of_sources().seconds + self.of_filling().seconds

    def _rows_by_cut(self) -> dict[str, list[ImageSet]]:
        rows: dict[str, list[ImageSet]] = defaultdict(list)
        for _, fill in self._fills:
            for key in fill.row_bytes:
                rows[key].append(fill.images)
        return rows


def _sum(jobs: Sequence[JobCost]) -> PartCost:
    works = [job.work for job in jobs if job.work is not None]
    return PartCost(
        jobs=len(jobs),
        steps=sum(work.steps for work in works),
        images=sum(work.train_images + work.looked_images for work in works),
        flops=sum(work.train_flops + work.look_flops for work in works),
        seconds=sum(job.seconds for job in jobs),
    )

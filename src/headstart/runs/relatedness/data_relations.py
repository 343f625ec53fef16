"""How far sources are from a target in the features of one model, on half-samples of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.features.a_distance import a_distance
from headstart.scores import data_set_transport, frechet_distance, gaussian_mmd

Measure = Literal["a_distance", "mmd", "frechet", "otdd"]
ITSELF = "with itself"
STRENGTH = 0.01  # scikit-learn's C of the A-distance's classifier
SURE, LIKELY = 0.95, 0.8  # of the half-samples in which a source is nearest
TAILS = (2.5, 97.5)


class DataSample(NamedTuple):
    """Some images of a data set.

    Attributes:
        name: Of the data set.
        features: (N, D), float64.
        labels: (N,), or None where an image has not one class.
        class_names: In the order of the labels.
    """

    name: str
    features: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]

    def at(self, places: NDArray[np.int64]) -> DataSample:
        """The images at these places."""
        return self._replace(
            features=self.features[places], labels=None if self.labels is None else self.labels[places]
        )


class Relation(NamedTuple):
    """A measure between the target and each source, over half-samples.

    Attributes:
        values: By source, and between two halves of the target (`with itself`): one a half-sample.
        nearest: The source that is nearest most often.
        share: In how many of the half-samples it is, from 0 to 1; one with k equal ones counts 1/k for each.
    """

    values: dict[str, list[float]]
    nearest: str
    share: float


def relations(
    target: DataSample, sources: Sequence[DataSample], measures: Sequence[Measure], *, halves: int, seed: int
) -> dict[Measure, Relation]:
    """Each measure between some random images of the target and as many of each source, so many times.

    They are half of the smallest data set: all these measures depend on how many images there are, so that of two
    sources that do not differ the larger one would be the nearer. The same images serve all measures and all sources.
    Between two halves of the target a measure is what it is of data that do not differ, with as many images.

    Args:
        target: 4 images or more.
        sources: 4 images or more each.
        measures: Which are taken; otdd needs labels.
        halves: How often.
        seed: Of the halves.
    """
    rng = np.random.default_rng(seed)
    values: dict[Measure, dict[str, list[float]]] = {
        measure: {name: [] for name in (*(source.name for source in sources), ITSELF)} for measure in measures
    }
    count = half_size(target, sources)
    for _ in range(halves):
        own, rest = _drawn(target, rng, count)
        drawn = [_drawn(source, rng, count)[0] for source in sources]
        for measure in measures:
            for other in drawn:
                values[measure][other.name].append(MEASURES[measure](own, other))
            values[measure][ITSELF].append(MEASURES[measure](own, rest))
    return {measure: _relation(found, [source.name for source in sources]) for measure, found in values.items()}


def half_size(target: DataSample, sources: Sequence[DataSample]) -> int:
    """How many images of each data set a half-sample has: half of the smallest.

    Args:
        target: As for relations().
        sources: As for relations().
    """
    return min(len(sample.features) for sample in (target, *sources)) // 2


def _drawn(sample: DataSample, rng: np.random.Generator, count: int) -> tuple[DataSample, DataSample]:
    """Two random parts of so many images, without a common one."""
    order = rng.permutation(len(sample.features))
    return sample.at(order[:count]), sample.at(order[count : 2 * count])


def _relation(values: dict[str, list[float]], names: Sequence[str]) -> Relation:
    found = np.array([values[name] for name in names])
    least = found == found.min(axis=0)
    counts = (least / least.sum(axis=0)).mean(axis=1)  # sources that are as near share the half-sample
    return Relation(values, names[int(counts.argmax())], float(counts.max()))


def _a_distance(one: DataSample, other: DataSample) -> float:
    return a_distance(torch.from_numpy(one.features), torch.from_numpy(other.features), strength=STRENGTH)


def _transport(one: DataSample, other: DataSample) -> float:
    assert one.labels is not None
    assert other.labels is not None
    return data_set_transport(one.features, one.labels, other.features, other.labels)


MEASURES: Mapping[Measure, Callable[[DataSample, DataSample], float]] = {
    "a_distance": _a_distance,
    "mmd": lambda one, other: gaussian_mmd(one.features, other.features),
    "frechet": lambda one, other: frechet_distance(one.features, other.features),
    "otdd": _transport,
}


def advice(found: Mapping[Measure, Relation]) -> str:
    """Which source is nearest, in words that say how sure it is.

    A measure decides where one source is nearest in 80 % of the half-samples; it is sure from 95 % on.

    Args:
        found: What relations() gave, of two sources or more.
    """
    decided = {measure: relation for measure, relation in found.items() if relation.share >= LIKELY}
    open_measures = [measure for measure in found if measure not in decided]
    if not decided:
        return f"None of {', '.join(found)} tells which source is nearest."
    if len({relation.nearest for relation in decided.values()}) > 1:
        said = ", ".join(f"{relation.nearest} by {measure}" for measure, relation in decided.items())
        return f"The measures disagree on the nearest source ({said}): they do not say which to develop on."
    name = next(iter(decided.values())).nearest
    least = min(relation.share for relation in decided.values())
    rest = f"; {', '.join(open_measures)} cannot tell" if open_measures else ""
    return (
        f"{name} is {'clearly' if least >= SURE else 'probably'} the nearest source by {', '.join(decided)} "
        f"(in {100 * least:.0f} % of the half-samples or more{rest})."
    )


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the middle 95 % of half-samples.

    Args:
        values: One a half-sample.
    """
    low, high = (float(np.percentile(values, q)) for q in TAILS)
    return float(np.mean(values)), low, high

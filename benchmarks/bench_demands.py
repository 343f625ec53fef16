"""Demands on the benchmark, and whether they are met."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench_parts import OF_GRADUAL, PEERS, SIZES, SPARED

Runs = Sequence[Mapping[str, Any]]
VAL_IMAGES = 128


@dataclass(frozen=True)
class Line:
    """values: one for each repeat, against bound, which they must reach (at_least) or keep below; word: of them."""

    title: str
    bound: float
    at_least: bool
    values: list[float]
    word: str

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def of_way(runs: Runs, part: str, way: str, what: str = "seconds") -> dict[int, float]:
    """Repeat -> a figure of a way, where the run did not fail."""
    return {
        run["repeat"]: run[what]
        for run in runs
        if (run["part"], run["way"]) == (part, way) and run.get(what) is not None
    }


def fastest(runs: Runs, part: str, peers: Sequence[str]) -> str | None:
    """The peer with the smallest median."""
    found = {way: median(seconds.values()) for way in peers if (seconds := of_way(runs, part, way))}
    return min(found, key=lambda way: found[way]) if found else None


def _ratio(above: dict[int, float], below: dict[int, float]) -> list[float]:
    """Of the same repeats; with a repeat missing on either side, of what both have."""
    return [above[repeat] / below[repeat] for repeat in sorted(above.keys() & below.keys())]


def lines(runs: Runs) -> list[Line]:
    """All that can be said with what was measured."""
    made = [
        _faster(runs, "features5", PEERS, "headstart", 6, "Feature extraction, 5 epochs, float32"),
        _faster(runs, "features5", PEERS, "headstart_bf16", 9, "Feature extraction, 5 epochs, bfloat16"),
        _faster(runs, "features20", PEERS, "headstart", 18, "Feature extraction, 20 epochs, float32"),
        _faster(runs, "features20", PEERS, "headstart_bf16", 30, "Feature extraction, 20 epochs, bfloat16"),
        _accuracy(runs, "features5"),
        _accuracy(runs, "features20"),
        _faster(runs, "gradual", OF_GRADUAL, "headstart", 1.7, "Gradual, 6 epochs, float32"),
        _faster(runs, "gradual", OF_GRADUAL, "headstart_bf16", 3, "Gradual, 6 epochs, bfloat16"),
        _memory(runs),
        _slower(runs, "sweep", "sweep of 20", "one run", 1.5, "A sweep of 20 head settings over one run"),
        _slower(runs, "sweep", "probe of 100", "one run", 1.2, "`task=probe` over 100 settings over one run"),
        _faster(runs, "full", ("lightning",), "headstart", 1.2, "Full fine-tuning, float32"),
        _faster(runs, "full", ("lightning",), "headstart_spared", 1.2, f"Full fine-tuning, float32, `{SPARED}`"),
        _steps(runs),
        _slower(runs, "startup", "headstart", "imports", 1.1, "Start to the first step over the imports alone"),
        _exponent(runs),
        _flat(runs),
    ]
    return [line for line in made if line is not None and line.values]


def _faster(runs: Runs, part: str, peers: Sequence[str], ours: str, bound: float, title: str) -> Line | None:
    peer = fastest(runs, part, peers)
    if peer is None:
        return None
    return Line(title, bound, True, _ratio(of_way(runs, part, peer), of_way(runs, part, ours)), f"x faster than {peer}")


def _slower(runs: Runs, part: str, ours: str, other: str, bound: float, title: str) -> Line:
    return Line(title, bound, False, _ratio(of_way(runs, part, ours), of_way(runs, part, other)), "x its time")


def _accuracy(runs: Runs, part: str) -> Line | None:
    """How far the mean accuracy lies from the fastest peer's, in standard errors of one val set."""
    peer = fastest(runs, part, PEERS)
    ours = of_way(runs, part, "headstart", "accuracy")
    theirs = of_way(runs, part, peer, "accuracy") if peer else {}
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    mean = sum(ours[r] + theirs[r] for r in both) / (2 * len(both))
    error = math.sqrt(max(mean * (1 - mean), 1 / VAL_IMAGES) * 2 / VAL_IMAGES)
    apart = abs(sum(ours[r] - theirs[r] for r in both)) / len(both) / error
    epochs = part.removeprefix("features")
    title = f"Feature extraction, {epochs} epochs: val accuracy, distance to {peer}"
    return Line(title, 2, False, [apart], "standard errors of a difference")


def _memory(runs: Runs) -> Line | None:
    peer = fastest(runs, "gradual", OF_GRADUAL)
    if peer is None:
        return None
    ours, theirs = (of_way(runs, "gradual", way, "peak_mib") for way in ("headstart", peer))
    return Line("Gradual, peak memory, float32", 1, False, _ratio(ours, theirs), f"x that of {peer}")


def _steps(runs: Runs) -> Line:
    values = list(of_way(runs, "steps", "headstart", "steps_a_second").values())
    return Line("Steps a second of a head on stored features", 2200, True, values, "steps a second")


def _exponent(runs: Runs) -> Line | None:
    found = medians_by_size(runs, "seconds")
    if len(found) < 4:
        return None
    return Line("Time by number of images, exponent", 1.1, False, [exponent(found)], "(1 = linear)")


def _flat(runs: Runs) -> Line | None:
    found = medians_by_size(runs, "peak_mib")
    if len(found) < 2:
        return None
    growth = found[max(found)] / found[min(found)]
    title = f"Peak memory, {max(found):,} images over {min(found):,}"
    return Line(title, 1.1, False, [growth], "x")


def medians_by_size(runs: Runs, what: str) -> dict[int, float]:
    """Number of images -> the median of a figure of the part `scaling`."""
    return {n: median(of.values()) for n in SIZES if (of := of_way(runs, "scaling", f"{n}", what))}


def exponent(found: Mapping[int, float]) -> float:
    """The p with the smallest squared relative error of a + b n^p, a and b >= 0, to values by n; p in 0.3 .. 2.

    a is what a run costs before its first image.
    """
    best, at = math.inf, 1.0
    for step in range(171):
        p = 0.3 + 0.01 * step
        error = _fit_error([(n**p, value) for n, value in found.items()])
        if error < best:
            best, at = error, p
    return round(at, 2)


def _fit_error(points: Sequence[tuple[float, float]]) -> float:
    """Squared relative error of the best a + b x, a and b >= 0, weights 1 / y^2."""
    w = [1 / y**2 for _, y in points]
    sw = sum(w)
    mx = sum(wi * x for wi, (x, _) in zip(w, points, strict=True)) / sw
    my = sum(wi * y for wi, (_, y) in zip(w, points, strict=True)) / sw
    sxx = sum(wi * (x - mx) ** 2 for wi, (x, _) in zip(w, points, strict=True))
    sxy = sum(wi * (x - mx) * (y - my) for wi, (x, y) in zip(w, points, strict=True))
    b = max(0.0, sxy / sxx)
    a = my - b * mx
    if a < 0:
        a = 0.0
        b = sum(wi * x * y for wi, (x, y) in zip(w, points, strict=True)) / sum(
            wi * x * x for wi, (x, _) in zip(w, points, strict=True)
        )
    return sum(wi * (a + b * x - y) ** 2 for wi, (x, y) in zip(w, points, strict=True))

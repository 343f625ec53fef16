"""Rates of false verdicts and coverage in simulated studies: bounds on them, and the studies that tests share."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from headstart.report.curves.slope import TimedCurve
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval
from headstart.report.statistics.repeated_looks import Look, level_of
from headstart.report.statistics.seed_intervals import Interval, Verdict
from headstart.report.statistics.verdict_families import Decision, decide
from worlds import Learning, answers

QUICK, SLOW = 250, 2000
FALSE = 0.065
DECIDED = (Verdict.YES, Verdict.NEGATIVE)
POINT, QUARTER = 0.01, math.log(1.25)
IMAGES = 700


def at_most(share: float, studies: int) -> float:
    """The bound on a share: as the issue has it in 2,000 studies, its 99.9 % binomial point in fewer."""
    return share if studies >= SLOW else float(stats.binom.isf(0.001, studies, share)) / studies


def at_least(share: float, studies: int) -> float:
    return 1 - at_most(1 - share, studies)


def tell(name: str, **shares: float) -> None:
    print(f"| {name} | " + " | ".join(f"{key} {value:.3f}" for key, value in shares.items()) + " |", flush=True)


def is_false(word: Verdict, truth: float, margin: float | None) -> bool:
    if word in DECIDED:
        return truth == 0 or (word is Verdict.YES) != (truth > 0)
    return word is Verdict.NO and margin is not None and abs(truth) >= margin


BASE = Learning()


def curves(time: np.ndarray, levels: np.ndarray) -> list[TimedCurve]:
    return [TimedCurve(time, level) for level in levels]


def contributions(right: np.ndarray) -> list[list[Contributions]]:
    """Of (arms, seeds, images): the paired differences to the first arm, by arm and seed."""
    image = np.arange(right.shape[-1], dtype=np.uint64)
    values = right[1:].astype(np.float64) - right[0]
    return [[Contributions(image, row) for row in arm] for arm in values]


def ends(
    rng: np.random.Generator,
    images: int,
    seeds: int,
    interaction: float,
    arms: int = 2,
    spread: float = 0.005,
    chance: float = 0.5,
) -> np.ndarray:
    level = np.clip(0.8 + spread * rng.standard_normal((arms, seeds)), 0, 1)
    return answers(rng, level, images, interaction=interaction, chance=chance)


def decided_over(right: np.ndarray, alpha: float = 0.05) -> tuple[list[Interval], list[Decision]]:
    intervals = [crossed_interval(arm, resolution=1 / right.shape[-1]) for arm in contributions(right)]
    return intervals, decide(intervals, [POINT] * len(intervals), alpha=alpha)


def in_looks(seeds: tuple[int, ...], intervals: list[Interval]) -> Verdict:
    """What a growing study has decided after these looks."""
    looks: list[Look] = []
    before: Verdict | None = None
    for n, interval in zip(seeds, intervals, strict=True):
        level = level_of(n, looks, fixed=False, digest=str(n))
        before = decide([interval], [POINT], alpha=level, before=[before])[0].verdict
        looks.append(Look(n, str(n), level))
    assert before is not None
    return before

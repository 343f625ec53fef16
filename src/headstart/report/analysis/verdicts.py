"""Verdicts of a study: families of tests, and the error that this look at the study may spend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headstart.report.statistics.repeated_looks import Look, level_of
from headstart.report.statistics.seed_intervals import ALPHA, Interval, Verdict
from headstart.report.statistics.verdict_families import Decision, decide

History = Mapping[str, Sequence[Look]]  # by the key of a test
_FINAL = {word.value: word for word in (Verdict.YES, Verdict.NO, Verdict.NEGATIVE)}


@dataclass(frozen=True)
class TestedDifference:
    """A difference that a verdict is about."""

    family: str  # tests of one family are corrected together
    key: str  # what it is, the same at each look
    difference: Interval
    margin: float | None  # the smallest difference that matters
    seeds: tuple[int, ...]
    digest: str  # of the data
    without: Verdict | None = None  # the word where it cannot be tested
    why: str = ""  # and why


@dataclass(frozen=True)
class JudgedDifference:
    """The verdict, and the error that this look may spend on it."""

    decision: Decision
    level: float


@dataclass(frozen=True)
class PlannedSeeds:
    """Whether a study has fixed its seeds beforehand, and which."""

    fixed: bool = False
    planned: frozenset[int] = frozenset()  # empty: not known

    def lacking(self, seeds: Sequence[int]) -> str:
        """Why a study of fixed seeds cannot be judged yet; empty where it can."""
        if not self.fixed or not self.planned or self.planned <= set(seeds):
            return ""
        present = len(self.planned & set(seeds))
        return f"{present} of the {len(self.planned)} seeds that the study has fixed are there"


def judged(
    tests: Sequence[TestedDifference], *, history: History, seeds: PlannedSeeds
) -> tuple[list[JudgedDifference], dict[str, tuple[Look, ...]]]:
    """The verdict of each test, and the looks of each with this one.

    history: the looks of before. What cannot be tested is no part of its family and no look.
    """
    levels = [_level(test, history, seeds) for test in tests]
    judgements: list[JudgedDifference] = [_without(test, seeds) for test in tests]
    looks = {key: tuple(before) for key, before in history.items()}
    for family in dict.fromkeys(test.family for test in tests):
        positions = [i for i, test in enumerate(tests) if test.family == family and test.without is None]
        positions = [i for i in positions if not seeds.lacking(tests[i].seeds)]
        decisions = decide(
            [tests[i].difference for i in positions],
            [tests[i].margin for i in positions],
            levels=[levels[i] for i in positions],
            before=[_decided_before(tests[i], history) for i in positions],
        )
        for i, decision in zip(positions, decisions, strict=True):
            judgements[i] = JudgedDifference(decision, levels[i])
            looks[tests[i].key] = _with(history.get(tests[i].key, ()), tests[i], judgements[i])
    return judgements, looks


def _level(test: TestedDifference, history: History, seeds: PlannedSeeds) -> float:
    if test.difference.n < 2:
        return 0.0  # without an interval nothing can be decided, so nothing is spent
    earlier = history.get(test.key, ())
    return level_of(len(test.seeds), earlier, fixed=seeds.fixed, digest=test.digest, alpha=ALPHA)


def _decided_before(test: TestedDifference, history: History) -> Verdict | None:
    """What an earlier look at other data has decided."""
    for look in history.get(test.key, ()):
        if look.digest == test.digest:
            return None  # this look itself
        if word := _FINAL.get(look.decided.get("verdict", "")):
            return word
    return None


def _without(test: TestedDifference, seeds: PlannedSeeds) -> JudgedDifference:
    verdict = test.without or Verdict.UNDECIDED
    return JudgedDifference(Decision(verdict, math.nan, math.nan, test.why or seeds.lacking(test.seeds)), 0.0)


def _with(earlier: Sequence[Look], test: TestedDifference, judgement: JudgedDifference) -> tuple[Look, ...]:
    if any(look.digest == test.digest for look in earlier):
        return tuple(earlier)
    decided = {"verdict": judgement.decision.verdict.value} if judgement.decision.verdict in _FINAL.values() else {}
    return (*earlier, Look(len(test.seeds), test.digest, judgement.level, decided))

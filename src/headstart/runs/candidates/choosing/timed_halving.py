"""Successive halving of arms and their settings over epochs, in a given time."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.callbacks.training.deadline import OutOfTimeError
from headstart.recipes.shortened_config import Length, lengths, shortened
from headstart.recipes.trial_runs import Trial, trained_trial, trial_of
from headstart.recipes.trial_scores import TrialScore, monitored_metric, trial_score
from headstart.runs.candidates.choosing.arm import ComparedArm, Pair, trial_config
from headstart.runs.candidates.choosing.time_left import TimeLeft
from headstart.runs.folder.training_lock import whole_result

log = logging.getLogger(__name__)
DEADLINE = "headstart.callbacks.training.deadline.Deadline"


@dataclass(frozen=True)
class TriedPair:
    """What came of one setting of one arm at one length.

    Attributes:
        pair: The arm and the setting, by their numbers.
        epochs: Of the trial.
        state: finished, diverged, out of time (given up), or not begun.
        why: Of one that is not finished.
        at_s: When it ended, in seconds of the command.
        score: On val; None of one that was not measured.
        result: Of the trial; None of one that has none.
        folder: Of the trial.
    """

    pair: Pair
    epochs: float
    state: str
    why: str
    at_s: float
    score: TrialScore | None
    result: Mapping[str, Any] | None
    folder: Path

    @property
    def is_measured(self) -> bool:
        """Whether its score can be compared."""
        return self.score is not None and self.score.value is not None


@dataclass(frozen=True)
class Halving:
    """A successive halving that is done, or as far as the time was.

    Attributes:
        rungs: What was tried at each length, from the shortest on.
        metric: The monitored metric; None where no trial was measured.
        lower: Whether a lower value of it is better.
    """

    rungs: Sequence[Sequence[TriedPair]]
    metric: str | None
    lower: bool

    def ranked(self) -> list[TriedPair]:
        """The last trial of each pair that was measured, the best first: who came further, then the better score."""
        latest: dict[Pair, tuple[int, TriedPair]] = {}
        for number, rung in enumerate(self.rungs):
            latest |= {tried.pair: (number, tried) for tried in rung if tried.is_measured}
        return [tried for _, tried in sorted(latest.values(), key=lambda item: (-item[0], *self._key(item[1])))]

    def _key(self, tried: TriedPair) -> tuple[float, float, Pair]:
        assert tried.score is not None
        return (*tried.score.key(lower=self.lower), tried.pair)


def timed_halving(
    arms: Sequence[ComparedArm],
    time_left: TimeLeft,
    *,
    seed: int,
    shares: Sequence[float],
    shortest: int,
    until: float,
) -> Halving:
    """Train each setting of each arm at the first length, the better half of all at the next, and so on.

    The best setting of each arm is in that half whatever its value: a head that begins in closed form is ahead in
    short runs, so that arms are told apart at the full length where the time allows it. At each length the arms take
    turns, so that where the time ends each has tried as many settings as the others, but for one. What is left of the
    time until `until` is dealt out evenly to the lengths; a trial that would take longer, by what its arm took before,
    is not begun, and one that does is given up. A trial that is there already costs nothing.

    Args:
        arms: To compare.
        time_left: Of the command.
        seed: Of the trials.
        shares: Of the run's length, rising.
        shortest: Epochs at least.
        until: Share of the whole time that may be spent when the trials end.
    """
    pairs = [
        Pair(number, setting)
        for setting in range(max(len(arm.settings) for arm in arms))
        for number, arm in enumerate(arms)
        if setting < len(arm.settings)
    ]
    halving, rungs, pace = Halving([], None, lower=False), list[list[TriedPair]](), _Pace()
    begun = time_left.spent / time_left.seconds
    for number, share in enumerate(shares, 1):
        ends = max(begun, begun + (until - begun) * number / len(shares))
        turn = _Turn(arms, time_left, seed, share, shortest, ends, pace)
        rungs.append([turn.tried(pair, f"{at} of {len(pairs)}") for at, pair in enumerate(pairs, 1)])
        time_left.note()
        measured = [tried for tried in rungs[-1] if tried.is_measured]
        if not measured:
            break
        assert measured[0].result is not None
        metric, lower = monitored_metric(dict(measured[0].result))
        halving = Halving(rungs, metric, lower)
        pairs = _going_on([tried.pair for tried in sorted(measured, key=halving._key)])
    return Halving(rungs, halving.metric, halving.lower)


def _going_on(ranked: Sequence[Pair]) -> list[Pair]:
    """Of pairs, the best first, the best of each arm, and the next best up to half of all; the best first again."""
    best = {pair.arm: pair for pair in reversed(ranked)}
    others = [pair for pair in ranked if best[pair.arm] != pair]
    more = others[: max(0, math.ceil(len(ranked) / 2) - len(best))]
    return [*(pair for pair in ranked if best[pair.arm] == pair), *more]


class _Pace:
    """Seconds an epoch and seconds besides, of each arm, by its trials."""

    def __init__(self) -> None:
        self._trials: dict[int, list[tuple[float, float]]] = defaultdict(list)  # arm -> (epochs, seconds)

    def note(self, arm: int, epochs: float, seconds: float) -> None:
        self._trials[arm].append((epochs, seconds))

    def seconds(self, arm: int, epochs: float) -> float:
        """What a trial will take, by the slowest epoch of the arm; 0 where nothing is known."""
        return max((seconds / known * epochs for known, seconds in self._trials[arm]), default=0.0)


@dataclass(frozen=True)
class _Turn:
    """The trials of one length."""

    arms: Sequence[ComparedArm]
    time_left: TimeLeft
    seed: int
    share: float
    shortest: int
    ends: float  # share of the whole time
    pace: _Pace

    def tried(self, pair: Pair, number: str) -> TriedPair:
        trial, length = self._trial(pair)
        epochs = _epochs(trial, length)
        known = whole_result(trial.folder)
        if known is None:
            expected, left = self.pace.seconds(pair.arm, epochs), self.time_left.until(self.ends)
            if expected > left:
                why = f"it would take about {expected:.0f} s, and {left:.0f} s are left for trials of this length"
                return self._without(pair, trial, epochs, "not begun", why)
            before = self.time_left.spent
            node = {"_target_": DEADLINE, "at": self.time_left.moment(self.ends), "then": "give_up"}
            try:
                known = trained_trial(trial, number, callbacks={"deadline": node})
            except OutOfTimeError as error:
                self.pace.note(pair.arm, epochs, self.time_left.spent - before)
                return self._without(pair, trial, epochs, "out of time", str(error))
            self.pace.note(pair.arm, epochs, self.time_left.spent - before)
            self.time_left.note()
        metric, _ = monitored_metric(known)
        score = trial_score(trial, known, metric)
        state = "diverged" if score.value is None else "finished"
        return TriedPair(pair, epochs, state, "", round(self.time_left.spent, 1), score, known, trial.folder)

    def _trial(self, pair: Pair) -> tuple[Trial, Length]:
        arm = self.arms[pair.arm]
        values = arm.settings[pair.setting]
        cfg = trial_config(arm, values, self.seed)
        (length,) = lengths(cfg.trainer, [self.share], self.shortest)
        short = shortened(cfg, length)
        return trial_of(short, values, name=[f"length={length.share:.3g}", f"seed={self.seed}"]), length

    def _without(self, pair: Pair, trial: Trial, epochs: float, state: str, why: str) -> TriedPair:
        arm = self.arms[pair.arm]
        log.info("%s, mode=%s %s: %s, %s", arm.candidate, arm.mode, dict(arm.settings[pair.setting]), state, why)
        return TriedPair(pair, epochs, state, why, round(self.time_left.spent, 1), None, None, trial.folder)


def _epochs(trial: Trial, length: Length) -> float:
    """Of a trial; where optimizer steps alone say how long the run is, its share of the full length."""
    epochs = trial.cfg.trainer.get("max_epochs") or -1
    return float(epochs) if epochs > 0 else length.share

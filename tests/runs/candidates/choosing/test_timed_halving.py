"""Successive halving in a given time: the better half goes on, with each arm's best; the time is kept."""

import math
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from headstart.callbacks.training.deadline import OutOfTimeError
from headstart.recipes.trial_scores import TrialScore
from headstart.runs.candidates.choosing import timed_halving as module
from headstart.runs.candidates.choosing.arm import ComparedArm
from headstart.runs.candidates.choosing.timed_halving import timed_halving


class Clock:
    """A time that the trials spend, not the machine."""

    def __init__(self, seconds):
        self.seconds, self.spent = seconds, 0.0

    def until(self, share):
        return max(0.0, share * self.seconds - self.spent)

    def moment(self, share):
        return share * self.seconds

    def note(self):
        pass


@pytest.fixture
def planted(monkeypatch):
    """Arms of made-up quality and cost; gives what makes them, and the list of the trials."""
    begun = []

    def made(clock, quality, cost):
        def trained(trial, number, *, callbacks):
            arm, setting, epochs = trial.key
            begun.append((arm, setting, epochs))
            ends = callbacks["deadline"]["at"]
            clock.spent += min(cost[arm] * epochs, max(0.0, ends - clock.spent))
            if cost[arm] * epochs > 0 and clock.spent >= ends:
                raise OutOfTimeError("out of time")
            return {"monitor": "val/accuracy", "key": trial.key}

        def trial_in(turn, pair):
            epochs = max(turn.shortest, round(10 * turn.share))
            cfg = OmegaConf.create({"trainer": {"max_epochs": epochs}})
            return SimpleNamespace(key=(*pair, epochs), cfg=cfg, folder="somewhere"), None

        monkeypatch.setattr(module, "whole_result", lambda *_: None)
        monkeypatch.setattr(module, "trained_trial", trained)
        monkeypatch.setattr(module._Turn, "_trial", trial_in)
        monkeypatch.setattr(module, "trial_score", lambda trial, *_: TrialScore(quality(*trial.key), 0.0))
        settings = max(len(row) for row in SETTINGS)
        return [
            ComparedArm(SimpleNamespace(text=f"source{number}"), "fine_tuning", OmegaConf.create({}), [{}] * settings)
            for number in range(len(cost))
        ]

    return made, begun


SETTINGS = [[0, 1, 2]]


def run(arms, clock, shares=(0.1, 0.3, 1.0)):
    return timed_halving(arms, clock, seed=1, shares=shares, shortest=1, until=0.9)


def test_with_time_the_best_pair_wins_and_each_length_has_the_better_half(planted):
    make, begun = planted
    clock = Clock(10_000)
    arms = make(clock, lambda arm, setting, *_: 0.1 * arm + 0.03 * setting, cost=[1, 1])
    halving = run(arms, clock)
    assert [len(rung) for rung in halving.rungs] == [6, 3, 2]
    assert {tried.pair.arm for tried in halving.rungs[2]} == {0, 1}, (
        "the best setting of each arm is told at full length"
    )
    assert halving.ranked()[0].pair == (1, 2)
    assert [epochs for *_, epochs in begun] == [1] * 6 + [3] * 3 + [10] * 2
    assert halving.metric == "val/accuracy"
    assert not halving.lower


def test_an_arm_that_is_behind_in_short_runs_is_compared_at_the_full_length(planted):
    make, _ = planted
    clock = Clock(10_000)
    arms = make(clock, lambda arm, setting, epochs: 0.01 * setting + (0.9 if arm else 0.5 + epochs / 20), cost=[1, 1])
    halving = run(arms, clock)
    assert halving.ranked()[0].pair == (0, 2)  # 1.02 after 10 epochs, 0.57 after 1


def test_with_many_settings_an_arm_the_better_half_of_all_goes_on(planted):
    make, _ = planted
    clock = Clock(10_000)
    halving = run(make(clock, lambda arm, setting, _: 0.5 * arm + 0.01 * setting, cost=[1, 1]), clock)
    assert [tried.pair for tried in halving.rungs[1]] == [(1, 2), (0, 2), (1, 1)]


def test_arms_take_turns_so_that_a_short_time_is_dealt_out_fairly(planted):
    make, begun = planted
    clock = Clock(100)
    run(make(clock, lambda *_: 0.5, cost=[8, 8, 8]), clock, shares=(0.1,))
    assert [(arm, setting) for arm, setting, _ in begun][:6] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    tried = [sum(arm == number for arm, *_ in begun) for number in range(3)]
    assert max(tried) - min(tried) <= 1


def test_a_trial_that_would_not_end_in_time_is_not_begun_and_a_slow_first_one_is_given_up(planted):
    make, begun = planted
    clock = Clock(100)
    arms = make(clock, lambda *_: 0.5, cost=[1, 1000])
    halving = run(arms, clock, shares=(0.1, 1.0))
    states = {tried.pair: tried.state for tried in halving.rungs[0]}
    assert states[0, 0] == "finished"
    assert states[1, 0] == "out of time"
    assert {states[1, 1], states[1, 2]} == {"not begun"}
    assert clock.spent <= 90
    assert all(arm == 0 for arm, _, epochs in begun if epochs == 10)


def test_a_diverged_setting_never_goes_on(planted):
    make, _ = planted
    clock = Clock(10_000)
    halving = run(make(clock, lambda arm, *_: None if arm else 0.1, cost=[1, 1]), clock)
    assert {tried.pair.arm for rung in halving.rungs[1:] for tried in rung} == {0}
    assert {tried.state for tried in halving.rungs[0]} == {"finished", "diverged"}


def test_who_came_further_stands_before_a_better_value_of_a_shorter_trial(planted):
    make, _ = planted
    clock = Clock(10_000)
    halving = run(make(clock, lambda *key: (0.9 if key[0] else 0.8) / key[2], cost=[1, 1]), clock)
    first = halving.ranked()[0]
    assert first.epochs == 10
    assert math.isclose(first.score.value, 0.09)

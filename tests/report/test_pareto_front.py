"""Fronts of figure and cost equal those of every pair compared; shares of variance are the planted ones."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.report.leaderboard import setting_importance
from headstart.report.leaderboard.pareto_front import pareto_front
from headstart.report.leaderboard.setting_groups import SettingGroup
from headstart.report.leaderboard.setting_importance import importance_of

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30)


@given(POINTS, st.booleans())
def test_the_front_is_what_no_other_point_surpasses(points, lower):
    sign = -1 if lower else 1

    def surpassed(figure, cost):
        return any(
            sign * f >= sign * figure and c <= cost and (f, c) != (figure, cost)
            for f, c in points
        )  # fmt: skip

    front = pareto_front([float(f) for f, _ in points], [float(c) for _, c in points], lower=lower)
    assert sorted(front) == [i for i, (f, c) in enumerate(points) if not surpassed(f, c)]
    costs = [points[i][1] for i in front]
    assert costs == sorted(costs)


def group(settings, figure):
    return SettingGroup(settings, (), {"value": figure}, math.nan, 1)


def additive(count=120):
    """y = 3 a + b + c, of uniform numbers: shares 9, 1 and 1 of 11; and a name that does nothing."""
    draw = random.Random(0)
    groups = []
    for _ in range(count):
        a, b, c = (draw.uniform(0, 1) for _ in range(3))
        settings = {"a": str(a), "b": str(b), "c": str(c), "mode": draw.choice("xyz")}
        groups.append(group(settings, 3 * a + b + c))
    return groups


def test_each_setting_has_the_share_of_the_variance_that_was_planted():
    pytest.importorskip("optuna")
    importance = importance_of(additive(), ["a", "b", "c", "mode"], "value")
    shares = dict(importance.shares)
    assert next(iter(shares)) == "a"
    assert shares["a"] == pytest.approx(9 / 11, abs=0.08)
    assert shares["b"] + shares["c"] == pytest.approx(2 / 11, abs=0.08)
    assert shares["mode"] < 0.02
    assert importance_of(additive(), ["a", "b", "c", "mode"], "value") == importance


def test_a_name_that_decides_all_has_all_of_the_variance():
    pytest.importorskip("optuna")
    groups = [group({"mode": mode, "lr": str(lr)}, {"x": 0.1, "y": 0.9}[mode]) for mode in "xy" for lr in range(1, 9)]
    ((key, share), (_, rest)) = importance_of(groups, ["mode", "lr"], "value").shares
    assert (key, share) == ("mode", pytest.approx(1, abs=0.01))
    assert rest < 0.01


def test_few_settings_equal_figures_and_no_optuna_have_a_reason(monkeypatch):
    assert "8 settings or more" in importance_of(additive(7), ["a"], "value").why
    flat = [group({"a": str(i)}, 0.5) for i in range(20)]
    assert "the same figure" in importance_of(flat, ["a"], "value").why
    monkeypatch.setattr(setting_importance, "find_spec", lambda _: None)
    assert importance_of(additive(), ["a"], "value").why == "it is computed by Optuna: pip install 'headstart[optuna]'"

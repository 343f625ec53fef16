"""Rates that a curve suggests are fastai's, and a curve that does not fall suggests none."""

import math

import numpy as np
import pytest

from headstart.recipes.rate_suggestion import rate_suggestion, steepest, valley


def valley_of_fastai(lrs, losses):
    """callback/schedule.py of fastai 2.8, as it stands there."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(i):
            if (losses[i] < losses[j]) and (lds[i] < lds[j] + 1):
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return float(lrs[max_start + int(sections) + int(sections / 2)])


def noisy_curve(seed):
    """A loss that falls, lies still and rises over 100 rates, with noise."""
    rng = np.random.default_rng(seed)
    place = np.linspace(-3, 3, 100)
    return np.geomspace(1e-7, 10, 100), 2 + np.tanh(-2 * place) + np.exp(3 * (place - 2.5)) + 0.1 * rng.normal(size=100)


@pytest.mark.parametrize("seed", range(8))
def test_the_valley_is_that_of_fastai(seed):
    rates, losses = noisy_curve(seed)
    assert valley(rates, losses) == valley_of_fastai(rates, losses)


def test_the_valley_of_a_fall_is_the_middle_of_it():
    # seven falling points 1..7: n = 7, start = 7 - 7 = 0, 7/3 -> 2, 7/6 -> 1: the point 0 + 2 + 1
    losses = np.array([1.0, 2.0, 1.9, 1.5, 1.0, 0.6, 0.5, 0.4, 3.0, 4.0])
    assert valley(np.arange(1.0, 11.0), losses) == 4.0


def test_the_steepest_point_is_where_a_logistic_fall_has_its_middle():
    rates = np.geomspace(1e-6, 1, 121)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # half way down at 1e-3
    assert math.log10(steepest(rates, losses)) == pytest.approx(-3, abs=0.06)


def test_a_flat_curve_suggests_nothing():
    """In 95 of 100 cases at least."""
    rng = np.random.default_rng(0)
    rates, none = np.geomspace(1e-7, 10, 100), 0
    for _ in range(100):
        losses = 1 + 0.05 * rng.normal(size=100)
        found = rate_suggestion(rates, losses, losses)
        none += found.valley is None
        assert found.valley is not None or "did not fall" in found.reason
    assert none >= 95


def test_a_fall_in_a_tenth_of_the_steps_is_one():
    losses = 1 + 0.1 * np.random.default_rng(0).normal(size=100)
    losses[60:75] -= 0.3
    assert rate_suggestion(np.geomspace(1e-7, 10, 100), losses, losses).valley is not None


def test_a_short_curve_suggests_nothing():
    falling = np.linspace(2, 1, 14)
    found = rate_suggestion(np.geomspace(1e-7, 10, 14), falling, falling)  # 14 - 1 - 5 = 8 points are left
    assert found.valley is None
    assert "8 points" in found.reason


def test_a_falling_curve_suggests_what_fastai_does_without_its_ends():
    rates, losses = noisy_curve(3)
    found = rate_suggestion(rates, losses, losses)
    assert found.valley == valley_of_fastai(rates[10:-5], losses[10:-5])
    assert found.steepest == rates[10:-5][np.argmin(np.diff(losses[10:-5]))]  # equal steps of log rate

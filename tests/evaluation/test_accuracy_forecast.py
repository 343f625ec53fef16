"""A power law is the least-squares one, finds the law that made a curve, and its interval covers the truth."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from headstart.evaluation.forecast.accuracy_forecast import forecast
from headstart.evaluation.forecast.curve_resampling import resampled_errors
from headstart.evaluation.forecast.error_power_law import EXPONENTS, power_laws

SIZES = [10, 20, 40, 80, 160, 320]


def test_the_law_that_made_a_curve_is_found():
    exponent = EXPONENTS[70]
    errors = np.array([0.05 + 0.9 * n**-exponent for n in SIZES])
    found = power_laws(SIZES, errors[None], np.ones(6))
    assert (found.floor[0], found.scale[0], found.exponent[0]) == pytest.approx((0.05, 0.9, exponent))
    assert found.error(1000)[0] == pytest.approx(0.05 + 0.9 * 1000**-exponent)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_law_with_a_floor_and_a_scale_above_0_has_smaller_squares(seed):
    rng = np.random.default_rng(seed)
    n, weights = np.array(SIZES), rng.uniform(0.5, 2, 6)
    errors = 0.02 + n**-0.6 + 0.02 * rng.normal(size=6)

    def residuals(law):
        return np.sqrt(weights) * (law[0] + law[1] * n ** -law[2] - errors)

    theirs = min(
        (
            least_squares(residuals, start, bounds=([0, 0, EXPONENTS[0]], [1, 50, EXPONENTS[-1]]))
            for start in ([0.01, 1, 0.5], [0.1, 2, 1], [0, 1, 0.1])
        ),
        key=lambda fit: fit.cost,
    )
    found = power_laws(SIZES, errors[None], weights)
    ours = residuals((found.floor[0], found.scale[0], found.exponent[0]))
    assert (ours**2).sum() / 2 <= theirs.cost * 1.01 + 1e-9  # the exponent is one of 120


def test_a_curve_that_rises_or_is_flat_has_no_scale():
    found = power_laws([1, 2, 4], np.array([[0.1, 0.2, 0.3], [0.2, 0.2, 0.2], [0.0, 0.0, 0.0]]), np.ones(3))
    assert found.scale == pytest.approx([0, 0, 0], abs=1e-12)
    assert found.floor == pytest.approx([0.2, 0.2, 0.0])


@pytest.mark.parametrize(("images", "said"), [([1, 2], "3 rising"), ([1, 2, 2], "3 rising"), ([0, 1, 2], "3 rising")])
def test_too_few_sizes_are_an_error(images, said):
    with pytest.raises(ValueError, match=said):
        power_laws(images, np.zeros((1, len(images))), np.ones(len(images)))


def planted(seed, more=100):
    """Draws and images of a curve 0.04 + 0.8 n^-0.5 to 320 images, and what 100 more bring."""
    rng = np.random.default_rng(seed)
    hardness = rng.beta(1, 1, size=200)  # images differ, and are the same at all sizes
    tables = []
    for size in SIZES:
        draws = 1 if size == SIZES[-1] else 10
        of_draw = 0.04 + 0.8 * size**-0.5 + 0.1 * size**-0.5 * rng.normal(size=draws)
        tables.append(hardness[None, :] > np.clip(of_draw, 0, 1)[:, None])
    return tables, 0.8 * (320**-0.5 - (320 + more) ** -0.5)


def test_the_interval_of_the_gain_covers_the_truth():
    inside, backtests, off = 0, 0, 0
    for seed in range(40):
        tables, truth = planted(seed)
        found = forecast(SIZES, tables, more=100, replicates=200, seed=seed)
        inside += found.gain.low <= truth <= found.gain.high
        assert found.backtest is not None
        assert found.backtest.images == 320
        backtests += found.backtest.holds
        off += found.is_off
        assert 0 <= found.backtest.predicted.low <= found.backtest.predicted.high <= 1
        assert found.gain.low <= found.gain.value <= found.gain.high
    assert inside >= 34  # of a binomial of 40 with 0.95, 99.9 % is above
    assert backtests >= 34
    assert off <= 6


def test_a_curve_that_falls_with_more_images_is_said_to_be_no_power_law():
    """The law is flat then, and lies far above what all images gave."""
    rng = np.random.default_rng(0)
    tables = [rng.random((5, 200)) < share for share in (0.9, 0.8, 0.7)] + [rng.random((1, 200)) < 0.6]
    found = forecast([5, 10, 20, 40], tables, more=100, replicates=200, seed=0)
    assert found.limit.value > 0.7
    assert found.is_off


def test_the_first_half_of_another_curve_does_not_predict_its_end():
    tables, _ = planted(0)
    tables[-1] = np.zeros_like(tables[-1])  # all wrong with all images
    found = forecast(SIZES, tables, more=100, replicates=200, seed=0)
    assert found.backtest is not None
    assert not found.backtest.holds


def test_resampled_errors_have_the_mean_and_the_spread_of_draws_and_images():
    rng = np.random.default_rng(0)
    table = rng.random((8, 50)) < 0.8
    found = resampled_errors([table], replicates=20000, seed=0)[:, 0]
    assert found.mean() == pytest.approx(1 - table.mean(), abs=1e-3)
    by_draw, by_image = table.mean(axis=1).var() / 8, table.mean(axis=0).var() / 50
    cells = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    assert found.var() == pytest.approx(by_draw + by_image + (cells**2).mean() / 400, rel=0.05)

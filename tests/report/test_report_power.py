"""Power of the crossed design is that of the noncentral t at Satterthwaite's degrees of freedom."""

import math

import pytest
from scipy import stats

from headstart.report.statistics.crossed_intervals import VarianceComponents
from headstart.report.statistics.power import power_of

ALPHA = 0.05


def power_by_hand(parts: VarianceComponents, effect: float, allowance: float) -> tuple[float, float]:
    """The power where all seeds share their images, and the degrees of freedom before their bounds."""
    seeds, images = parts.seeds, parts.images
    both = parts.residual / (seeds * images)
    over_seeds, over_images = parts.seed / seeds + both, parts.image / images + both
    variance = over_seeds + over_images - both
    df = variance**2 / (
        over_seeds**2 / (seeds - 1) + over_images**2 / (images - 1) + both**2 / ((seeds - 1) * (images - 1))
    )
    believed = min(max(df, min(seeds - 1, images - 1)), (seeds - 1) ** 2)
    critical = stats.t.isf(ALPHA / 2, believed)
    return float(stats.nct.sf(critical, believed, (effect - allowance) / math.sqrt(variance))), df


@pytest.mark.parametrize("allowance", [0.0, 0.02])
@pytest.mark.parametrize(
    ("seed", "image", "residual", "images", "bound"),
    [(0.002, 0.01, 0.05, 30, "none"), (0.0001, 0.09, 0.02, 200, "above"), (0.0004, 0.09, 0.9, 4, "below")],
)
def test_power_is_that_of_satterthwaites_degrees_of_freedom(seed, image, residual, images, bound, allowance):
    parts = VarianceComponents(seed, image, residual, images, shared=1.0, seeds=4)
    effect = 3 * math.sqrt(parts.variance(4)) + allowance
    power, df = power_by_hand(parts, effect, allowance)
    assert {"none": 3 < df < 9, "above": df > 9, "below": df < 3}[bound]
    assert power_of(parts, effect, ALPHA, seeds=4, allowance=allowance) == pytest.approx(power, abs=1e-6)


def test_nothing_decides_a_difference_within_the_allowance_or_one_seed():
    parts = VarianceComponents(0.001, 0.0, 0.0, math.inf, 0.0, 5)
    assert power_of(parts, 0.02, ALPHA, seeds=5, allowance=0.02) == 0
    assert power_of(parts, -0.01, ALPHA, seeds=5, allowance=0.02) == 0
    assert power_of(parts, 0.5, ALPHA, seeds=1) == 0
    assert power_of(parts, 0.5, 0.0, seeds=5) == power_of(parts, 0.5, 1.0, seeds=5) == 0

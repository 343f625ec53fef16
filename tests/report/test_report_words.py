"""Numbers are written as a person writes them."""

import math

import pytest

from headstart.report.rendering.wording.number_format import difference_text, number, short_values, signed
from headstart.report.statistics.seed_intervals import Interval


@pytest.mark.parametrize(
    ("value", "text"), [(0.9414, "0.941"), (-0.0004, "0.000"), (-0.0312, "−0.031"), (1234.5, "1,234.500")]
)
def test_levels_have_three_decimals_and_zero_has_no_sign(value: float, text: str):
    assert number(value) == text


def test_differences_show_their_sign():
    assert [signed(x) for x in (0.03, -0.03, 0.0001, -0.0001, math.nan)] == [
        "+0.030",
        "−0.030",
        "0.000",
        "0.000",
        "–",
    ]


def test_the_slope_is_compared_as_a_ratio_and_a_transfer_ratio_in_per_cent():
    interval = Interval(math.log(2), 0.0, math.log(4), 5, 0.05, False)
    assert difference_text("slope", interval) == "2.00× [1.00, 4.00]"
    assert (
        difference_text("transfer_ratio_step", Interval(0.1, 0.05, 0.15, 5, 0.01, False)) == "+10.0 % [+5.0 %, +15.0 %]"
    )
    assert difference_text("start", Interval(0.1, math.nan, math.nan, 1, math.nan, False)) == "+0.100"


def test_long_values_of_a_search_are_shortened_where_that_tells_them_apart():
    assert short_values(["0.0068931971813652616", "0.01324904859361751", "5"]) == ["0.006893", "0.01325", "5"]
    assert short_values(["0.0132490485", "0.0132490486"]) == ["0.0132490485", "0.0132490486"]
    assert short_values(["resnet18.a1_in1k", "–", "1e-3"]) == ["resnet18.a1_in1k", "–", "1e-3"]
    assert short_values(["0.0132490485", "0.0132490485", "0.5"]) == ["0.01325", "0.01325", "0.5"]

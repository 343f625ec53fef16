"""Cells that a spreadsheet would compute are text, and each name is found again."""

import pytest

from headstart.system.files.csv_cells import cell, uncelled


@pytest.mark.parametrize(
    "name", ["=1+1", "+cmd|' /C calc'!A0", "-x.jpg", "@SUM(A1)", "\tx", "\rx", "\nx", "'=x", "''-x"]
)
def test_what_begins_as_a_formula_has_an_apostrophe_before_it(name):
    assert cell(name) == f"'{name}"
    assert uncelled(cell(name)) == name


@pytest.mark.parametrize(
    "name", ["", "ants", "a=b", "ants/-1.png", "'quoted'", "'", "0.5", "-1", "+3", "-1.5e-07", "-.5"]
)
def test_other_names_and_numbers_stay_as_they_are(name):
    assert cell(name) == name
    assert uncelled(name) == name


@pytest.mark.parametrize("name", ["-1.png", "-1-2", "+-1", "-", "1-", "-1\n=2"])
def test_a_number_is_all_of_the_cell(name):
    assert cell(name) == (f"'{name}" if name[0] in "+-" else name)

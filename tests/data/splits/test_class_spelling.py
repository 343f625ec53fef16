"""Classes whose names look the same."""

import unicodedata

import pytest

from headstart.data.splits.class_spelling import alike, composed_names, renaming
from headstart.types import UserError

ONE, TWO = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def test_an_accent_is_one_character_whichever_way_it_was_written():
    assert ONE != TWO
    assert list(composed_names({TWO: 1, "tea": 2}, source="photos").items()) == [(ONE, 1), ("tea", 2)]


def test_two_classes_that_are_one_word_are_an_error_that_shows_both_spellings():
    with pytest.raises(
        UserError, match=r"two classes of photos .*'caf\\xe9' and 'cafe\\u0301'; give both one spelling"
    ):
        composed_names({ONE: 1, TWO: 2}, source="photos")


def test_names_that_differ_in_case_width_or_spaces_are_found_together():
    assert alike(["Cat", "dog", "cat", "big  cat", "Big_Cat", "\uff43\uff41\uff54"]) == [
        ("Cat", "cat", "\uff43\uff41\uff54"),
        ("big  cat", "Big_Cat"),
    ]
    assert alike(["1", "01", "NA", "nan"]) == []


def test_a_renaming_is_told_only_where_spelling_explains_it_and_a_command_line_can_say_it():
    assert renaming(["Ant", "bee", "x"], ["ant", "bee"]) == "{Ant: ant}"
    assert renaming(["x"], ["ant"]) == ""
    assert renaming(["A,b"], ["a,b"]) == ""

"""Results of earlier formats are read by the names of today."""

import pytest

from headstart.system.result_format import FORMAT, KEYS, current_result

FIRST = {  # as the version before wrote it
    "format": 1,
    "mode": "gradual",
    "metrics": {"val/accuracy": 0.9},
    "learns": {"parameters": 3, "of": 4},
    "test_per_class": {"0": 1.0},
    "selection": {"figure": "target/infomax", "mode": "max"},
    "tuned": {"trials": 2, "tried": [{"seed": 1, "figure": 0.5}, {"seed": 2, "figure": None}]},
    "phases": [{"phase": "head", "open": ["head"], "store_s": 0.25}, {"phase": "all", "open": [], "store_s": 0.0}],
}
TODAY = {
    "format": 2,
    "mode": "gradual",
    "metrics": {"val/accuracy": 0.9},
    "trainable": {"parameters": 3, "of": 4},
    "test_recall_per_class": {"0": 1.0},
    "selection": {"metric": "target/infomax", "mode": "max"},
    "tuned": {"trials": 2, "tried": [{"seed": 1, "metric": 0.5}, {"seed": 2, "metric": None}]},
    "phases": [
        {"phase": "head", "trainable": ["head"], "cache_s": 0.25},
        {"phase": "all", "trainable": [], "cache_s": 0.0},
    ],
}


def test_each_entry_of_format_1_has_its_name_of_today():
    assert current_result(FIRST) == TODAY
    assert current_result({key: value for key, value in FIRST.items() if key != "format"}) == TODAY


def test_a_result_of_today_is_as_it_is():
    assert current_result(TODAY) == TODAY
    assert TODAY["format"] == FORMAT


def test_entries_that_are_not_there_are_no_error():
    few = {"format": 1, "selection": None, "tuned": None, "phases": [], "metrics": {}}
    assert current_result(few) == {**few, "format": FORMAT}


def test_no_two_entries_get_one_name():
    places = [(path.rpartition(".")[0], key) for path, key in KEYS.items()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("written", [3, "2", None, 1.5])
def test_a_later_format_is_an_error(written):
    with pytest.raises(ValueError, match=f"format 1 or {FORMAT}, got"):
        current_result({"format": written})

"""Places of the classes of data among those of a model."""

import unicodedata

import pytest

from headstart.evaluation.class_indices import class_indices


def refusal(names):
    return ValueError(f"unknown: {', '.join(names)}")


def test_each_class_is_found_by_its_name_in_whichever_way_its_accents_are_written():
    composed, apart = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    assert class_indices(["tea", composed], [apart, "tea"], refusal).tolist() == [1, 0]
    assert class_indices([apart], ["tea", composed], refusal).tolist() == [1]


def test_what_the_model_does_not_know_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown: Tea, milk"):
        class_indices(["Tea", "tea", "milk"], ["tea"], refusal)

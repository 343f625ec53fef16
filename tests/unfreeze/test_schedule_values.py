"""Schedules, phases and plans are values: nothing changes them, and their fields are named where they are many."""

from dataclasses import fields

import pytest

from data_classes import data_classes_of, is_frozen

CLASSES = data_classes_of("headstart.unfreeze")


def test_there_are_such_classes():
    assert {"Phase", "Plateau", "Plan", "RunLength", "Gradual"} <= {cls.__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_value_cannot_change_and_takes_keywords_alone_where_it_can_come_from_a_config(cls):
    assert is_frozen(cls)
    if cls.__module__.startswith("headstart.unfreeze.schedules.") or len(fields(cls)) > 2:
        assert all(field.kw_only for field in fields(cls))

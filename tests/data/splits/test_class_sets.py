"""Class sets of two domains: the same, some, and others that are unknown."""

import numpy as np
import pytest

from headstart.data.splits.class_sets import joint_classes, places_of
from headstart.data.splits.few_labels import renumbered
from headstart.types import UserError

SOURCE = ("a", "b", "c")


@pytest.mark.parametrize(
    ("target", "sets", "want"),
    [
        (("c", "b", "a"), "same", SOURCE),
        (("c", "a"), "partial", SOURCE),
        (("b", "x", "y"), "open", (*SOURCE, "unknown")),
        (("a", "b", "c", "x"), "open", (*SOURCE, "unknown")),
    ],
)
def test_the_joint_classes_are_the_sources_and_unknown_where_open(target, sets, want):
    assert joint_classes(SOURCE, target, sets) == want


def test_labels_become_those_of_the_joint_classes_and_all_others_unknown():
    joint = joint_classes(SOURCE, ("x", "b", "y"), "open")
    assert places_of(("x", "b", "y"), joint) == [3, 1, 3]
    assert renumbered(np.array([0, 1, 2, 1]), ("x", "b", "y"), joint).tolist() == [3, 1, 3, 1]


@pytest.mark.parametrize(
    ("source", "target", "sets", "told"),
    [
        (SOURCE, ("a", "b"), "same", "class_sets=partial"),
        (SOURCE, ("a", "x"), "same", "class_sets=open"),
        (SOURCE, ("a", "x"), "partial", r"got x, which the source has not.*target\.classes=\{x: null\}"),
        (SOURCE, ("x", "y"), "open", "some of the source's classes and with others"),
        (SOURCE, ("a", "b"), "open", "try class_sets=partial"),
        (SOURCE, SOURCE, "open", "try class_sets=same"),
        (SOURCE, ("A", "B", "C"), "same", r"has A, B, C, a, b, c; to .*'target\.classes=\{A: a, B: b, C: c\}'$"),
        (SOURCE, ("A", "b"), "partial", r"got A, which .*; call them as .*'target\.classes=\{A: a\}'$"),
        (SOURCE, ("A", "x"), "open", r"; call classes as the source does: 'target\.classes=\{A: a\}'$"),
        (SOURCE, ("x", "y"), "partial", r"got x, y, which .*; leave classes out: .*x: null"),
        (SOURCE, ("x", "y"), "open", "which share no class"),
        (("a", "unknown"), ("a", "x"), "open", "a name that the source must not have"),
    ],
)
def test_other_class_sets_are_one_message(source, target, sets, told):
    with pytest.raises(UserError, match=told):
        joint_classes(source, target, sets)

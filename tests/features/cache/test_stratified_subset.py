"""A part of a split holds images of each class, as equal in number as can be, and always the same ones."""

import numpy as np
import pytest

from headstart.features.cache.stratified_subset import stratified


def test_the_classes_are_as_equal_as_their_images_allow():
    label = np.repeat([0, 1, 2], [50, 4, 30])
    found = stratified(label, 20, of_each=1)
    assert np.bincount(label[found]).tolist() == [8, 4, 8]
    assert found.tolist() == sorted(set(found.tolist()))
    assert np.array_equal(found, stratified(label, 20, of_each=1))


@pytest.mark.parametrize(("of_each", "counts"), [(1, [1, 1, 1]), (8, [8, 4, 8])])
def test_each_class_has_so_many_images_however_few_are_asked_for(of_each, counts):
    label = np.repeat([2, 0, 1], [30, 50, 4])
    assert np.bincount(label[stratified(label, 1, of_each)]).tolist() == counts


@pytest.mark.parametrize("at_most", [None, 60, 61])
def test_all_images_are_taken_where_no_more_are_there(at_most):
    assert np.array_equal(stratified(np.arange(60) % 7, at_most, 8), np.arange(60))


def test_of_several_labels_common_classes_stay_as_common_and_rare_ones_are_there():
    chance = np.random.default_rng(0)
    label = (chance.random((2000, 4)) < [0.7, 0.3, 0.1, 0]).astype(np.float32)
    label[[700, 900], 3] = 1
    found = stratified(label, 200, of_each=8)
    assert {700, 900} <= set(found.tolist())
    assert 200 <= len(found) <= 200 + 3 * 8 + 2
    assert label[found, :3].mean(axis=0) == pytest.approx(label[:, :3].mean(axis=0), abs=0.08)

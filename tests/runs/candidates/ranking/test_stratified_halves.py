"""Samples and halves keep the classes' shares."""

import numpy as np
import pytest

from headstart.runs.candidates.ranking.stratified_halves import stratified_halves, stratified_sample
from headstart.types import UserError

LABELS = np.repeat([0, 1, 2, 3], [40, 21, 6, 1])


def test_a_half_and_its_complement_are_all_images_and_no_image_is_twice_in_a_half():
    halves = stratified_halves(LABELS, 6, np.random.default_rng(0))
    for one, other in zip(halves[::2], halves[1::2], strict=True):
        assert len(set(one.tolist())) == len(one)
        assert set(one.tolist()) | set(other.tolist()) == set(range(len(LABELS)))
        assert set(one.tolist()) & set(other.tolist()) == {67}  # the only image of its class
        counts = [np.bincount(LABELS[half], minlength=4).tolist() for half in (one, other)]
        assert {count[0] for count in counts} == {20}
        assert {count[1] for count in counts} == {10, 11}


def test_halves_of_one_image_a_class_are_refused_in_a_line():
    with pytest.raises(UserError, match="half_samples=0"):
        stratified_halves(np.arange(5), 2, np.random.default_rng(0))
    assert stratified_halves(np.arange(5), 0, np.random.default_rng(0)) == []


def test_a_sample_has_the_shares_of_all_and_a_few_of_each_class():
    chosen = stratified_sample(np.repeat([0, 1, 2], [600, 300, 5]), 90, np.random.default_rng(0))
    counts = np.bincount(np.repeat([0, 1, 2], [600, 300, 5])[chosen])
    assert counts.tolist() == [60, 30, 2]
    assert stratified_sample(LABELS, 1000, np.random.default_rng(0)).tolist() == list(range(len(LABELS)))

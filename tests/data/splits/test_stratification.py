"""Every part of images with several labels has its share of each label."""

import numpy as np
import pytest

from headstart.data.splits.stratification import stratified, stratified_order


def labels(images=200, seed=0):
    chance = np.random.default_rng(seed)
    label = chance.random((images, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]
    label[:, 3] |= label[:, 4]  # labels that come together
    return [f"{number:03}.png" for number in range(images)], label


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.2,) * 5, (0.6, 0.2, 0.2)])
def test_each_part_has_about_its_share_of_images_and_of_each_label(shares):
    for seed in range(3):
        names, label = labels(seed=seed)
        parts = stratified(names, label, shares, "key")
        assert sorted(position for part in parts for position in part) == list(range(200))
        for part, share in zip(parts, shares, strict=True):
            assert abs(len(part) - 200 * share) <= 3
            assert np.abs(label[part].sum(axis=0) - share * label.sum(axis=0)).max() <= 2


def test_it_deals_labels_out_more_evenly_than_chance():
    names, label = labels()
    chance = np.random.default_rng(0)

    def unevenness(parts):
        return sum(np.abs(label[part].sum(axis=0) - label.sum(axis=0) / 5).sum() for part in parts)

    ours = [unevenness(stratified(names, label, (0.2,) * 5, f"{seed}")) for seed in range(5)]
    blind = [unevenness(np.split(chance.permutation(200), 5)) for _ in range(5)]
    assert max(ours) < 0.5 * min(blind)


def test_four_images_by_hand():
    """The rare label first, one to each part; then the two others, so that each part has two images."""
    label = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], bool)
    for key in "abcd":
        parts = stratified(["a", "b", "c", "d"], label, (0.5, 0.5), key)
        assert [label[part].sum(axis=0).tolist() for part in parts] == [[2, 1], [2, 1]]


def test_chance_is_that_of_the_key_and_the_names_alone():
    names, label = labels()
    parts = stratified(names, label, (0.5, 0.5), "seed 0")
    assert stratified(names, label, (0.5, 0.5), "seed 0") == parts != stratified(names, label, (0.5, 0.5), "seed 1")
    turned = stratified(names[::-1], label[::-1], (0.5, 0.5), "seed 0")
    assert [sorted(199 - position for position in part) for part in turned] == parts


def test_any_first_part_of_a_stratified_order_has_about_its_share_of_each_label():
    names, label = labels()
    order = stratified_order(names, label, "seed 0")
    assert sorted(order) == list(range(200))
    for count in (25, 50, 80, 100, 150):
        found = label[order[:count]].sum(axis=0)
        assert np.abs(found - count / 200 * label.sum(axis=0)).max() <= 4


def test_images_without_any_label_are_dealt_out_too():
    parts = stratified(["a", "b", "c", "d"], np.zeros((4, 2), bool), (0.5, 0.5), "key")
    assert [len(part) for part in parts] == [2, 2]

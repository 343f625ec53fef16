"""Points lie where PCA has them, in the colour of their class."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from explained import QUICK_FIRST, family, plain, subject, untouched
from headstart.explain.picture_protocol import ExplainedImages, UnfitError
from headstart.explain.pictures import feature_space
from headstart.explain.pictures.feature_space import FeatureSpace, planes_of


def test_the_plane_is_scikit_learns_but_for_signs():
    features = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    planes, share = planes_of(features, seed=0)
    pca = PCA(2).fit(features.numpy())
    np.testing.assert_allclose(np.abs(planes["PCA"]), np.abs(pca.transform(features.numpy())), atol=1e-5)
    assert share == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-5)


def test_tsne_keeps_two_far_groups_apart_and_is_the_same_each_time():
    chance = torch.Generator().manual_seed(0)
    features = torch.cat([torch.randn(20, 5, generator=chance), 50 + torch.randn(20, 5, generator=chance)])
    planes, _ = planes_of(features, seed=0)
    one, other = planes["t-SNE"][:20], planes["t-SNE"][20:]
    gap = np.linalg.norm(one[:, None] - other[None], axis=2).min()
    assert gap > np.linalg.norm(one - one.mean(axis=0), axis=1).max()
    assert (planes_of(features, seed=0)[0]["t-SNE"] == planes["t-SNE"]).all()


@pytest.mark.parametrize("features", [torch.ones(5, 4), torch.full((5, 4), torch.nan), torch.randn(2, 4)])
def test_what_lies_on_no_plane_is_told(features):
    with pytest.raises(UnfitError, match="feature_space needs"):
        planes_of(features, seed=0)


def points(monkeypatch, given, **settings):
    """The classes and the marked points of the figure that would be drawn."""
    seen = []
    drawn = feature_space._figure
    monkeypatch.setattr(feature_space, "_figure", lambda *parts: seen.append(parts) or drawn(*parts))
    with given.network.at_rest():
        (shown,) = FeatureSpace(**{"stages": None, "images": 500, "seed": 0} | settings).drawn(given)
    ((_, classes, marked, _),) = seen
    return classes.tolist(), marked, shown


def test_explained_images_of_the_split_are_marked_where_they_are(monkeypatch):
    classes, marked, shown = points(monkeypatch, subject(plain(), count=2, searched=6))
    assert classes == [0, 1, 2, 0, 1, 2]
    assert marked == {0: 0, 1: 1}
    assert shown.caption.startswith("6 images in the features of stage2; ")


def test_other_images_are_points_of_their_own_without_a_class_where_nobody_knows_it(monkeypatch):
    given = subject(plain(), count=2, searched=6)
    given = dataclasses.replace(given, images=ExplainedImages(given.images.pixels, ("1.png", "mine.png")))
    classes, marked, shown = points(monkeypatch, given, images=4)
    assert classes == [0, 1, 2, 0, -1]
    assert marked == {0: 1, 1: 4}
    assert shown.caption.endswith("1: 1.png; 2: mine.png")


def test_several_labels_show_the_first_and_none_is_grey():
    several = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert feature_space._classes(several, None, [0], 2).tolist() == [1, -1, -1]


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_has_one_for_each_stage_and_is_left_as_it_was(name):
    network = family(name)
    with untouched(network), torch.inference_mode(), network.at_rest():
        shown = list(FeatureSpace(stages=list(network.stages), images=5, seed=0).drawn(subject(network, searched=6)))
    assert [one.name for one in shown] == list(network.stages)

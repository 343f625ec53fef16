"""The proxy A-distance is the error of a linear classifier on unseen images."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from headstart.features.a_distance import a_distance


def clouds(shift, counts=(400, 300), width=5):
    drawn = np.random.default_rng(0)
    return [torch.tensor(drawn.normal(by, 1, (count, width))) for count, by in zip(counts, (0, shift), strict=True)]


@pytest.mark.parametrize("shift", [0.2, 0.5, 1.0])
def test_it_is_what_scikit_learns_classifier_gives(shift):
    source, target = clouds(shift)
    learnt = torch.cat([source[:150], target[:150]]).numpy()
    scale = StandardScaler().fit(learnt)
    model = LogisticRegression(C=0.1, tol=1e-10, max_iter=1000).fit(scale.transform(learnt), [0] * 150 + [1] * 150)
    errors = [
        (model.predict(scale.transform(held)) != own).mean() for own, held in ((0, source[150:]), (1, target[150:]))
    ]
    assert a_distance(source, target, strength=0.1) == pytest.approx(2 * (1 - 2 * np.mean(errors)), abs=1e-9)


def test_separated_clouds_have_2_and_two_draws_of_one_cloud_about_0():
    assert a_distance(*clouds(20.0), strength=0.1) == 2
    assert abs(a_distance(*clouds(0.0, counts=(4000, 4000)), strength=0.1)) < 0.1


def test_many_more_images_of_one_domain_are_no_distance():
    """Of 250 images of the target that are looked at, a share right by chance has the standard error 0.03."""
    assert abs(a_distance(*clouds(0.0, counts=(4500, 500)), strength=0.1)) < 0.2


def test_many_more_images_of_one_domain_hide_no_distance():
    """The clouds' middles are 0.5 sqrt(16) = 2 apart, so that the best line errs in Phi(-1) = 0.159 of the images."""
    found = a_distance(*clouds(0.5, counts=(4500, 200), width=16), strength=0.01)
    assert found == pytest.approx(2 * (1 - 2 * norm.cdf(-1)), abs=0.25)


def test_what_is_learnt_by_heart_is_no_distance():
    """More features than images: the halves that are learnt from are told apart without an error."""
    assert abs(a_distance(*clouds(0.0, counts=(400, 400), width=600), strength=0.1)) < 0.3


def test_a_domain_of_constant_features_beside_an_equal_one_has_0():
    assert a_distance(torch.ones(20, 3), torch.ones(20, 3), strength=0.1) == 0

"""Principal directions are those of the definition, with stable signs."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from headstart.features.pca import directions


def cloud(count, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, width, generator=generator) * torch.linspace(3, 0.5, width)
    return mixed @ torch.linalg.qr(torch.randn(width, width, generator=generator)).Q + 5


@pytest.mark.parametrize(("count", "width"), [(60, 8), (7, 20), (8, 8), (9, 8)])
def test_the_directions_are_scikit_learns_with_its_signs(count, width):
    features = cloud(count, width)
    n = 5
    reference = PCA(n, svd_solver="full").fit(features.numpy().astype(np.float64))
    found = directions(features, n)
    np.testing.assert_allclose(found.components, reference.components_, atol=1e-5)
    np.testing.assert_allclose(found.variance, reference.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(found.share, reference.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(found.of(features), reference.transform(features.numpy()), atol=1e-4)


def test_the_variances_are_the_squared_singular_values_of_the_centred_features():
    features = cloud(50, 6)
    singular = np.linalg.svd((features - features.mean(0)).numpy().astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(directions(features, 6).variance, singular**2 / 49, rtol=1e-5)
    assert float(directions(features, 6).share.sum()) == pytest.approx(1)


def test_what_is_projected_has_no_mean_no_covariance_and_the_said_variance():
    features = cloud(200, 10)
    found = directions(features, 4)
    places = found.of(features)
    torch.testing.assert_close(places.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cov(places.T), torch.diag(found.variance), atol=1e-4, rtol=1e-4)


def test_all_directions_keep_the_distances_between_images():
    features = cloud(30, 6).double()
    places = directions(features, 6).of(features)
    torch.testing.assert_close(torch.cdist(places, places), torch.cdist(features, features), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [40, 6])
def test_turning_the_features_over_turns_no_sign_of_a_direction(count):
    features = cloud(count, 8)
    torch.testing.assert_close(directions(-features, 3).components, directions(features, 3).components)
    torch.testing.assert_close(
        directions(features.flip(0), 3).components, directions(features, 3).components, atol=1e-5, rtol=0
    )
    largest = directions(features, 3).components
    assert all(row[row.abs().argmax()] > 0 for row in largest)


def test_features_that_do_not_vary_have_no_share():
    found = directions(torch.ones(5, 3), 2)
    assert found.variance.tolist() == [0, 0]
    assert found.share.tolist() == [0, 0]


@pytest.mark.parametrize(("count", "width", "n", "most"), [(5, 9, 5, 4), (9, 4, 5, 4), (5, 5, 0, 4)])
def test_more_directions_than_there_is_variance_are_an_error(count, width, n, most):
    with pytest.raises(ValueError, match=f"1 to {most} principal directions, got n={n}"):
        directions(cloud(count, width), n)

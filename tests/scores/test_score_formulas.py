"""Scores of random features equal other implementations of the papers' formulas."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import multivariate_normal, spearmanr
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from headstart import scores
from headstart.scores.feature_moments import feature_moments


def cloud(images=60, width=7, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(images) % classes)
    features = rng.normal(size=(images, width)) * rng.uniform(0.3, 2, width) + rng.normal(size=(classes, width))[labels]
    return features + 3, labels


@pytest.mark.parametrize("width", [7, 40])  # fewer features than images, and more
def test_logme_is_the_largest_evidence(width):
    """Direct maximisation of ln N(t; 0, I/β + FFᵀ/α), which LogME is, over α and β."""
    features, labels = cloud(images=24, width=width)

    def evidence(column):
        def loss(precisions):
            alpha, beta = np.exp(precisions)
            covariance = np.eye(len(column)) / beta + features @ features.T / alpha
            return -multivariate_normal(cov=covariance).logpdf(column)

        return -min(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10}).fun
                    for start in ([0.0, 0.0], [3.0, 3.0]))  # fmt: skip

    expected = np.mean([evidence((labels == label).astype(float)) for label in range(3)]) / len(labels)
    assert scores.logme(features, labels) == pytest.approx(expected, abs=1e-6)


def test_logme_is_the_papers_fixed_point():
    features, labels = cloud(images=200)
    left, single, _ = np.linalg.svd(features, full_matrices=False)
    total = []
    for label in range(3):
        target = (labels == label).astype(float)
        along, alpha, beta = left.T @ target, 1.0, 1.0
        rest = target @ target - along @ along
        for _ in range(500):
            ratio = alpha / beta
            gamma = (single**2 / (single**2 + ratio)).sum()
            weights = (single**2 * along**2 / (single**2 + ratio) ** 2).sum()
            error = (along**2 * (ratio / (single**2 + ratio)) ** 2).sum() + rest
            alpha, beta = gamma / weights, (len(target) - gamma) / error
        total.append(7 / 2 * np.log(alpha) + 100 * np.log(beta) - np.log(alpha + beta * single**2).sum() / 2
                     - beta / 2 * error - alpha / 2 * weights - 100 * np.log(2 * np.pi))  # fmt: skip
    assert scores.logme(features, labels) == pytest.approx(np.mean(total) / 200, abs=1e-6)


def test_h_score_is_a_trace_of_covariances():
    features, labels = cloud(seed=1)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])[labels]
    expected = np.trace(np.linalg.pinv(np.cov(features.T)) @ np.cov(means.T))
    assert scores.h_score(features, labels) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("width", [7, 90])
def test_regularised_h_score_takes_scikit_learns_covariance(width):
    features, labels = cloud(width=width, seed=2)
    covariance, alpha = ledoit_wolf(features)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])[labels]
    expected = np.trace(np.linalg.inv(covariance) @ ((1 - alpha) * np.cov(means.T, bias=True)))
    assert feature_moments(features, labels).shrinkage == pytest.approx(alpha, abs=1e-9)
    assert scores.regularised_h_score(features, labels) == pytest.approx(expected, rel=1e-6)


def test_leep_and_nce_by_loops():
    rng = np.random.default_rng(3)
    labels, theta = rng.integers(0, 4, 80), softmax(2 * rng.normal(size=(80, 6)), axis=1)
    joint = {(y, z): sum(theta[n, z] for n in range(80) if labels[n] == y) / 80 for y in range(4) for z in range(6)}
    given = {z: sum(joint[y, z] for y in range(4)) for z in range(6)}
    said = [np.log(sum(joint[labels[n], z] / given[z] * theta[n, z] for z in range(6))) for n in range(80)]
    assert scores.leep(theta, labels) == pytest.approx(np.mean(said), abs=1e-10)

    hard = theta.argmax(axis=1)
    both = {(y, z): np.mean((labels == y) & (hard == z)) for y in range(4) for z in range(6)}
    expected = sum(p * np.log(p / np.mean(hard == z)) for (y, z), p in both.items() if p > 0)
    assert scores.nce(hard, labels) == pytest.approx(expected, abs=1e-10)
    assert scores.nce(theta, labels) == scores.nce(hard, labels)


def test_gbc_is_the_overlap_of_gaussians():
    """The Bhattacharyya coefficient ∫ √(p q) of two Gaussians, by numerical integration over one feature."""
    features, labels = cloud(width=1, classes=2, seed=4)
    grid = np.linspace(-20, 30, 200_001)
    density = []
    for label in range(2):
        mean, deviation = features[labels == label].mean(), features[labels == label].std()
        density.append(np.exp(-(((grid - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi)))
    overlap = np.sqrt(density[0] * density[1]).sum() * (grid[1] - grid[0])
    assert scores.gbc(features, labels) == pytest.approx(-2 * overlap, rel=1e-6)
    assert scores.gbc(features, labels, covariance="spherical") == pytest.approx(-2 * overlap, rel=1e-6)


def test_parc_by_the_papers_matrices():
    features, labels = cloud(seed=5)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    upper = np.triu_indices(60, 1)
    of_labels = np.round(1 - np.corrcoef(np.eye(3)[labels]), 12)  # 0 or 1.5, of which rounding makes several ranks
    expected = spearmanr((1 - np.corrcoef(standard))[upper], of_labels[upper]).statistic
    assert scores.parc(features, labels) == pytest.approx(100 * expected, abs=1e-9)


@pytest.mark.parametrize("width", [7, 90])
def test_transrate_by_determinants(width):
    features, labels = cloud(width=width, seed=6)
    z = features - features.mean(axis=0)

    def rate(rows):
        return np.linalg.slogdet(np.eye(width) + rows.T @ rows / (len(rows) * 1e-4))[1] / 2

    expected = rate(z) - np.mean([rate(z[labels == label]) for label in range(3)])
    assert scores.transrate(features, labels) == pytest.approx(expected, rel=1e-9)


def discriminant(features, labels, shrinkage):
    """ln p(class | features) as the papers write it: not centred, by an inverse."""
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    shares = np.bincount(labels) / len(labels)
    within = sum(share * np.cov(features[labels == label].T, bias=True) for label, share in enumerate(shares))
    if shrinkage is None:
        shrinkage = max(np.exp(-5 * np.linalg.eigvalsh(within)[-1]), 1e-10)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    directions = np.linalg.inv(within) @ means.T
    logits = features @ directions - np.diag(means @ directions) / 2 + np.log(shares)
    return log_softmax(logits, axis=1), shrinkage


def test_sfda_and_etran_by_the_papers_steps():
    features, labels = cloud(seed=7)
    features *= 0.3  # a shrinkage that is felt
    rows = np.arange(60)
    posterior, shrinkage = discriminant(features, labels, None)
    assert 0.01 < shrinkage < 0.9
    assert scores.etran_classification(features, labels) == pytest.approx(posterior[rows, labels].mean(), abs=1e-8)

    kept = softmax(np.exp(posterior), axis=1)[rows, labels][:, None]
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    others = np.stack([means[[other for other in range(3) if other != label]].mean(axis=0) for label in range(3)])
    mixed = kept * features + (1 - kept) * others[labels]
    expected = discriminant(mixed, labels, shrinkage)[0][rows, labels].mean()
    assert scores.sfda(features, labels) == pytest.approx(expected, abs=1e-8)


def test_etrans_discriminant_without_shrinkage_is_scikit_learns():
    features, labels = cloud(seed=8)
    features *= 5  # within-class variances of some 25: exp(-5 x 25) is nothing
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(features, labels)
    expected = model.predict_log_proba(features)[np.arange(60), labels].mean()
    assert scores.etran_classification(features, labels) == pytest.approx(expected, abs=1e-6)


def test_neighbours_are_scikit_learns():
    features, labels = cloud(images=90, seed=9)
    centred = features - features.mean(axis=0)
    right = 0
    for left_out in range(90):
        others = np.arange(90) != left_out
        model = KNeighborsClassifier(1, metric="cosine").fit(centred[others], labels[others])
        right += int(model.predict(centred[left_out : left_out + 1])[0] == labels[left_out])
    assert scores.neighbour_accuracy(features, labels, k=1) == right / 90

"""Distances of domains and class confusion equal their papers' equations."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from torch.nn.functional import cross_entropy

from headstart.adaptation.afn import AFN, step_up
from headstart.adaptation.coral import coral
from headstart.adaptation.dan import DAN
from headstart.adaptation.jan import JAN
from headstart.adaptation.mcc import class_confusion
from headstart.adaptation.mcd import MCD, discrepancy
from headstart.adaptation.mdd import MDD, mistrust
from headstart.adaptation.mmd import gaussians, median_scale, mmd, squared_distances
from loss_cases import C, D, S, T, a_head

OCTAVES = (-2, -1, 0, 1, 2)


def test_coral_matches_numpy_and_ignores_a_shift_of_the_mean(clouds):
    source, target = clouds
    want = ((np.cov(source.T) - np.cov(target.T)) ** 2).sum() / (4 * D**2)
    assert coral(source, target).item() == pytest.approx(want, rel=1e-5)
    assert coral(source, source + 3).item() == pytest.approx(0, abs=1e-6)
    assert coral(target, source).item() == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("width", [3, 40])
def test_squared_distances_match_scipys(width):
    x = torch.randn(9, width, generator=torch.Generator().manual_seed(0)) + 100
    np.testing.assert_allclose(squared_distances(x).numpy(), cdist(x, x, "sqeuclidean"), rtol=1e-3, atol=2e-3)


def by_force(kernel, n, estimate):
    """Loops over the pairs that the estimate's definition names."""
    m = len(kernel) - n
    if estimate == "linear":
        pairs = [(2 * i, 2 * i + 1) for i in range(min(n, m) // 2)]
        return np.mean([kernel[a, b] + kernel[n + a, n + b] - kernel[a, n + b] - kernel[b, n + a] for a, b in pairs])
    own = [
        np.mean([kernel[i, j] for i in part for j in part if estimate == "biased" or i != j])
        for part in (range(n), range(n, n + m))
    ]
    return sum(own) - 2 * np.mean([kernel[i, j] for i in range(n) for j in range(n, n + m)])


@pytest.mark.parametrize("estimate", ["biased", "unbiased", "linear"])
def test_dan_matches_loops_over_pairs_in_float64(estimate, sides):
    source, target = sides
    x = torch.cat([source.features, target.features]).detach().double().numpy()
    d = cdist(x, x, "sqeuclidean")
    median = np.sort(d[np.triu_indices(len(x), 1)])[(len(x) * (len(x) - 1) // 2 - 1) // 2]  # torch's: the lower one
    kernel = np.mean([np.exp(-d / (2.0**k * median)) for k in OCTAVES], axis=0)
    one = DAN(weight=0.5, ramp="constant", octaves=OCTAVES, estimate=estimate)
    term = one(source=source, target=target, head=a_head(), strength=0.5)
    assert term.item() == pytest.approx(0.5 * by_force(kernel, S, estimate), rel=1e-3, abs=1e-6)
    assert one.metrics["kernel_scale"].item() == pytest.approx(median, rel=1e-4)


def test_jan_multiplies_the_kernels_of_features_and_of_probabilities(sides):
    source, target = sides
    x = torch.cat([source.features, target.features]).detach().double()
    p = torch.cat([source.logits, target.logits]).double().softmax(1)
    parts = []
    for rows, octaves in ((x, OCTAVES), (p, (0,))):
        d = squared_distances(rows)
        parts.append(np.mean([np.exp(-d.numpy() / (2.0**k * median_scale(d).item())) for k in octaves], axis=0))
    one = JAN(weight=1, ramp="constant", octaves=OCTAVES, estimate="unbiased")
    term = one(source=source, target=target, head=a_head(), strength=1.0)
    assert term.item() == pytest.approx(by_force(parts[0] * parts[1], S, "unbiased"), rel=1e-3, abs=1e-6)


def test_biased_mmd_is_nothing_on_equal_clouds_and_never_negative(clouds):
    def biased(one, other):
        d = squared_distances(torch.cat([one, other]))
        return mmd(gaussians(d, median_scale(d), OCTAVES), len(one), "biased").item()

    source, target = clouds
    assert biased(source, source.flip(0)) == pytest.approx(0, abs=1e-6)
    assert biased(source, target) == pytest.approx(biased(target, source), rel=1e-5)
    assert biased(source, target) > 0


def test_linear_and_unbiased_mmd_have_the_same_mean():
    """Over many draws of 8 and 8 images; the kernel is fixed, as the mean of a ratio would not be."""
    drawn = torch.Generator().manual_seed(0)
    found = {"linear": [], "unbiased": []}
    for _ in range(4000):
        x = torch.cat([torch.randn(8, 2, generator=drawn), torch.randn(8, 2, generator=drawn) + 0.7])
        kernel = gaussians(squared_distances(x), torch.tensor(2.0), [0])
        for estimate, values in found.items():
            values.append(mmd(kernel, 8, estimate).item())
    linear, unbiased = (np.array(values) for values in found.values())
    error = math.hypot(linear.std(), unbiased.std()) / math.sqrt(4000)
    assert abs(linear.mean() - unbiased.mean()) < 3 * error
    assert linear.std() > 1.5 * unbiased.std()
    assert (unbiased < 0).any()


def test_afn_wants_each_norm_a_step_longer(sides):
    source, target = sides
    assert step_up(source.features, 0.5).item() == pytest.approx(0.25)
    one = AFN(weight=1, ramp="constant", step=0.5)
    one(source=source, target=target, head=a_head(), strength=2.0).backward()
    for side in sides:
        x = side.features.detach()
        want = 2.0 * 2 * 0.5 * -x / x.norm(dim=1, keepdim=True) / len(x)  # strength * d/dx of (|f| + r - |x|)^2
        torch.testing.assert_close(side.features.grad, want)


def test_class_confusion_matches_numpy():
    logits = np.random.default_rng(0).normal(size=(T, C))
    p = softmax(logits / 2.5, axis=1)
    h = -(p * np.log(p)).sum(axis=1)
    w = T * (1 + np.exp(-h)) / (1 + np.exp(-h)).sum()
    confusion = np.einsum("ij,i,ik->jk", p, w, p)
    confusion /= confusion.sum(axis=1, keepdims=True)
    want = (confusion.sum() - np.trace(confusion)) / C
    assert class_confusion(torch.from_numpy(logits), 2.5).item() == pytest.approx(want)


def test_class_confusion_is_nothing_for_a_sure_model_and_all_but_a_share_for_a_guess():
    assert class_confusion(torch.eye(C) * 100, 1.0).item() == pytest.approx(0, abs=1e-6)
    assert class_confusion(torch.zeros(T, C), 1.0).item() == pytest.approx(1 - 1 / C)


def test_mistrust_matches_numpy_and_stays_finite_for_a_sure_head():
    logits = np.random.default_rng(0).normal(size=(T, C))
    said = np.arange(T) % C
    want = -np.log(1 - softmax(logits, axis=1)[np.arange(T), said]).mean()
    assert mistrust(torch.from_numpy(logits), torch.from_numpy(said)).item() == pytest.approx(want)
    sure = torch.eye(C) * 100
    assert mistrust(sure, torch.arange(C)).item() == pytest.approx(100 - math.log(2), rel=1e-6)


def test_mdd_weighs_the_source_by_its_margin(sides):
    source, target = sides
    torch.manual_seed(2)
    one = MDD(weight=1, ramp="constant", margin=4, hidden=8)
    one.prepare(width=D, num_classes=C, source_classes=C)
    term = one(source=source, target=target, head=a_head(), strength=1.0)
    with torch.no_grad():
        s, t = (one.second(side.features).numpy() for side in sides)
    said = [side.logits.argmax(1).numpy() for side in sides]
    on_source = (logsumexp(s, axis=1) - s[np.arange(S), said[0]]).mean()
    on_target = -np.log(1 - softmax(t, axis=1)[np.arange(T), said[1]]).mean()
    assert term.item() == pytest.approx(4 * on_source + on_target, rel=1e-5)


def test_mcd_teaches_the_heads_to_disagree_and_the_backbone_to_leave_no_room(sides):
    source, target = sides
    head = a_head()
    torch.manual_seed(2)
    one = MCD(weight=1, ramp="constant")
    one.prepare(width=D, num_classes=C, source_classes=C)
    term = one(source=source, target=target, head=head, strength=0.5)
    gap = discrepancy(head(target.features).softmax(1), one.second(target.features).softmax(1))
    assert term.item() == pytest.approx(
        (cross_entropy(one.second(source.features), source.label) - gap).item(), rel=1e-5
    )
    found = torch.autograd.grad(term, [target.features, head.weight])
    want = torch.autograd.grad(gap, [target.features, head.weight])
    torch.testing.assert_close(found[0], 0.5 * want[0])  # the backbone: downhill
    torch.testing.assert_close(found[1], -want[1])  # the heads: uphill


def test_discrepancy_is_the_mean_absolute_difference():
    one, other = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    assert discrepancy(one, other).item() == 0.5

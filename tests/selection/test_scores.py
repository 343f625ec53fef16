"""Scores of a model on an unlabelled target equal their equations."""

import inspect
import math

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import get_class
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from composed import CONF
from headstart.adaptation.adaptation import Side
from headstart.runs.training.checkpoint_selection import scores
from headstart.selection import snd
from headstart.selection.density_ratio import density_ratio
from headstart.selection.dev import DEV, dev
from headstart.selection.entropy import mean_entropy
from headstart.selection.infomax import mutual_information
from headstart.selection.iwcv import IWCV, iwcv
from headstart.selection.score_inputs import Sides
from headstart.selection.snd import soft_neighbourhood_density

approx = pytest.approx

SURE = 1000.0  # a logit that leaves the other classes nothing


@pytest.fixture
def drawn():
    return np.random.default_rng(0)


def softmax(logits):
    power = np.exp(logits - logits.max(1, keepdims=True))
    return power / power.sum(1, keepdims=True)


def numpy_snd(logits, temperature):
    answer = softmax(logits)
    answer = answer / np.linalg.norm(answer, axis=1, keepdims=True)
    total = 0.0
    for own in range(len(answer)):
        cosines = np.array([answer[own] @ answer[other] for other in range(len(answer)) if other != own])
        share = softmax(cosines[None] / temperature)[0]
        total -= (share * np.log(share)).sum()
    return total / len(answer)


def sides(drawn, *, shift=0.0, count=60, width=3):
    def side(many, by, labelled):
        features, logits = drawn.normal(by, 1, (many, width)), drawn.normal(0, 2, (many, 4))
        label = torch.from_numpy(drawn.integers(0, 4, many)) if labelled else None
        return Side(torch.tensor(features).float(), torch.tensor(logits).float(), label)

    return Sides(side(count, 0, True), side(count // 2, 0, True), side(count + 5, shift, False))


def test_entropy_and_mutual_information_match_numpy(drawn):
    logits = drawn.normal(0, 3, (50, 7))
    share = softmax(logits)
    entropy = -(share * np.log(share)).sum(1).mean()
    of_mean = -(share.mean(0) * np.log(share.mean(0))).sum()
    assert mean_entropy(torch.tensor(logits)).item() == approx(entropy, rel=1e-12)
    assert mutual_information(torch.tensor(logits)).item() == approx(of_mean - entropy, rel=1e-12)


def test_sure_answers_have_no_entropy_and_undecided_ones_that_of_all_classes():
    assert mean_entropy(SURE * torch.eye(6)).item() == 0
    assert mean_entropy(torch.zeros(5, 6)).item() == approx(math.log(6))


def test_balanced_sure_answers_tell_ln_c_and_one_answer_for_all_images_tells_nothing():
    assert mutual_information(SURE * torch.eye(6).repeat(3, 1)).item() == approx(math.log(6))
    assert mutual_information(SURE * torch.eye(6)[:1].repeat(9, 1)).item() == 0
    assert mutual_information(torch.tensor([[1.0, 2, 3]]).repeat(9, 1)).item() == approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.05, 0.7])
@pytest.mark.parametrize("chunk", [snd.CHUNK, 40 * 7])
def test_soft_neighbourhood_density_matches_numpy_in_any_chunks(drawn, monkeypatch, temperature, chunk):
    monkeypatch.setattr(snd, "CHUNK", chunk)
    logits = drawn.normal(0, 3, (40, 5))
    found = soft_neighbourhood_density(torch.tensor(logits), temperature=temperature).item()
    assert found == approx(numpy_snd(logits, temperature), rel=1e-5)


def test_answers_in_sure_groups_of_n_have_the_density_of_n_minus_1_neighbours():
    groups = SURE * torch.eye(3).repeat(8, 1)  # other groups are at a cosine of 0: e^-20 of a neighbour each
    assert soft_neighbourhood_density(groups, temperature=0.05).item() == approx(math.log(7), rel=1e-6)


def test_answers_that_are_all_the_same_look_densest_of_all():
    """Why the model before its first step is no candidate of a score."""
    same = torch.zeros(24, 3)
    assert soft_neighbourhood_density(same, temperature=0.05).item() == approx(math.log(23))


def test_weights_of_1_leave_the_plain_risk(drawn):
    loss = torch.tensor(drawn.exponential(1, 30))
    assert iwcv(loss, torch.ones(30)).item() == approx(loss.mean().item())
    assert dev(loss, torch.ones(30)).item() == approx(loss.mean().item())


def test_true_density_ratios_give_the_risk_on_the_target():
    """Two kinds of image, 3 of 4 of the first kind in the source, 1 of 4 in the target."""
    loss, weight = torch.tensor([1.0, 1, 1, 5]), torch.tensor([1 / 3, 1 / 3, 1 / 3, 3])
    assert iwcv(loss, weight).item() == approx(1 / 4 * 1 + 3 / 4 * 5)


def test_dev_matches_numpy(drawn):
    loss, weight = drawn.exponential(1, 40), drawn.exponential(1, 40)
    weighted = loss * weight
    eta = -np.cov(weighted, weight)[0, 1] / np.var(weight, ddof=1)
    want = weighted.mean() + eta * weight.mean() - eta
    assert dev(torch.tensor(loss), torch.tensor(weight)).item() == approx(want)


def test_the_control_variate_leaves_the_risk_as_it_is_where_the_weights_mean_is_1(drawn):
    loss, weight = torch.tensor(drawn.exponential(1, 40)), torch.tensor(drawn.exponential(1, 40))
    weight = weight / weight.mean()
    assert dev(loss, weight).item() == approx(iwcv(loss, weight).item())


def test_over_many_draws_dev_has_the_mean_of_iwcv_and_less_variance(drawn):
    """x from N(0, 1) in the source and N(0.5, 1) in the target, the loss x^2: its risk there is 1.25.

    But for what an estimated eta adds, which shrinks with the number of images.
    """
    x = torch.tensor(drawn.normal(0, 1, (1000, 1000)))
    loss, weight = x**2, (0.5 * x - 0.125).exp()
    weighted = torch.stack([iwcv(*draw) for draw in zip(loss, weight, strict=True)])
    controlled = torch.stack([dev(*draw) for draw in zip(loss, weight, strict=True)])
    assert weighted.mean().item() == approx(1.25, abs=0.02)
    assert controlled.mean().item() == approx(1.25, abs=0.02)
    assert controlled.var() < 0.6 * weighted.var()


def test_density_ratios_are_those_of_scikit_learns_classifier(drawn):
    source, target, at = (drawn.normal(by, scale, (count, 3)) * [1, 10, 0.1] for by, scale, count in
                          ((0, 1, 60), (0.5, 1.5, 40), (0.2, 1, 10)))  # fmt: skip
    both = np.concatenate([source, target])
    scale = StandardScaler().fit(both)
    model = LogisticRegression(C=0.01, tol=1e-10).fit(scale.transform(both), np.arange(100) >= 60)
    odds = model.predict_proba(scale.transform(at))
    found = density_ratio(*map(torch.tensor, (source, target, at)), strength=0.01)
    np.testing.assert_allclose(found, 60 / 40 * odds[:, 1] / odds[:, 0], rtol=1e-4)


def test_density_ratios_of_two_normal_clouds_are_the_known_ones(drawn):
    """ln of N(1, 1) over N(0, 1) is x - 1/2, whatever the sizes of the two samples."""
    clouds = [torch.tensor(drawn.normal(by, 1, (count, 1))) for by, count in ((0, 40000), (1, 20000))]
    at = torch.linspace(-2, 3, 11).double()[:, None]
    found = density_ratio(*clouds, at, strength=1e6)
    assert (found.log() - (at[:, 0] - 0.5)).abs().max() < 0.15


def test_a_feature_that_is_the_same_everywhere_says_nothing_of_the_domain():
    same = torch.full((20, 2), 3.0)
    assert density_ratio(same, same, same[:5], strength=0.01).tolist() == approx([1.0] * 5)


@pytest.mark.parametrize("kind", [IWCV, DEV])
def test_an_importance_weighted_score_is_made_of_the_sources_val_and_no_label_of_the_target(drawn, kind):
    both = sides(drawn, shift=1.0)
    own = softmax(both.source_val.logits.double().numpy())
    loss = -np.log(own[np.arange(30), both.source_val.label.numpy()])
    weight = density_ratio(
        both.source_train.features, both.target_val.features[:60], both.source_val.features, strength=0.5
    )
    want = {IWCV: iwcv, DEV: dev}[kind](torch.tensor(loss), weight)
    assert kind(strength=0.5)(both) == approx(want.item(), rel=1e-6)


def test_of_a_model_whose_numbers_are_too_large_every_score_is_nan(drawn):
    both = sides(drawn)
    for side in (both.source_val, both.target_val):
        side.features[0, 0] = side.logits[0, 0] = torch.inf
    assert all(math.isnan(score(both)) for score in scores(None, sees_source=True))


def test_the_chosen_score_stands_with_its_own_settings_in_the_place_of_the_usual_one():
    assert [
        (type(one), one.strength) for one in scores(DEV(strength=3.0), sees_source=True) if isinstance(one, DEV)
    ] == [(DEV, 3.0)]
    assert {one.metric for one in scores(DEV(), sees_source=True)} == {
        one.metric for one in scores(None, sees_source=True)
    }


def test_no_score_weighs_training_images_of_a_source_that_is_not_seen():
    left = {one.metric for one in scores(None, sees_source=False)}
    assert {one.metric for one in scores(None, sees_source=True)} - left == {"target/iwcv", "target/dev"}


@pytest.mark.parametrize("path", sorted((CONF / "selection").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_yaml_and_the_signature_have_the_same_defaults(path):
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    kind = get_class(own.pop("_target_"))
    assert own == {name: one.default for name, one in inspect.signature(kind).parameters.items()}

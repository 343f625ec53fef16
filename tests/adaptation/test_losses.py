"""Each adaptation term equals its paper's equation."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax

from headstart.adaptation.adaptation import sigmoid_ramp
from headstart.adaptation.cdan import CDAN, certainty, entropy_of, outer
from headstart.adaptation.coral import CORAL
from headstart.adaptation.dann import DANN
from headstart.adaptation.domain_discriminator import domain_accuracy, domain_loss
from headstart.adaptation.gradient_reversal import reversed_gradient
from loss_cases import C, D, S, a_head


def test_the_ramp_is_dannns():
    assert sigmoid_ramp(0) == 0
    assert sigmoid_ramp(0.1) == pytest.approx(2 / (1 + math.e**-1) - 1)
    assert sigmoid_ramp(1) == pytest.approx(0.9999092, abs=1e-7)


@pytest.mark.parametrize(("ramp", "want"), [("constant", 0.3), ("sigmoid", 0.3 * 0.9866143)])
def test_strength_is_the_weight_times_the_ramp(ramp, want):
    assert CORAL(weight=0.3, ramp=ramp).strength(0.5) == pytest.approx(want, rel=1e-6)


def test_a_reversed_gradient_is_minus_strength_times_the_finite_difference():
    x = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64, requires_grad=True)

    def loss(value):
        return (value.sin() * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).sum()

    y = reversed_gradient(x, 0.7)
    assert torch.equal(y, x)
    loss(y).backward()
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    found = torch.stack([(loss(x.detach() + d) - loss(x.detach() - d)) / 2e-6 for d in step])
    torch.testing.assert_close(x.grad, -0.7 * found, rtol=1e-6, atol=1e-8)


def test_the_domain_loss_is_both_means_of_log_likelihoods():
    source, target = torch.tensor([2.0, -1.0]), torch.tensor([0.5])
    want = np.mean(np.log1p(np.exp([-2.0, 1.0]))) + math.log1p(math.exp(0.5))
    assert domain_loss(source, target).item() == pytest.approx(want, rel=1e-6)
    assert domain_loss(torch.zeros(5), torch.zeros(3)).item() == pytest.approx(2 * math.log(2))
    weighted = domain_loss(source, target, torch.tensor([3.0, 1.0]), torch.tensor([7.0]))
    assert weighted.item() == pytest.approx(
        np.average(np.log1p(np.exp([-2.0, 1.0])), weights=[3, 1]) + math.log1p(math.exp(0.5))
    )


def test_the_domain_accuracy_counts_both_domains_alike():
    assert domain_accuracy(torch.tensor([1.0, 1.0, -1.0, 1.0]), torch.tensor([-1.0])).item() == (0.75 + 1) / 2


@pytest.mark.parametrize("method", ["dann", "cdan", "cdan_random"])
def test_the_backbone_gets_minus_strength_times_what_the_discriminator_would_give(method, sides):
    """The discriminator's own gradient has full strength, whatever the strength."""
    source, target = sides
    torch.manual_seed(2)
    settings = {"weight": 1.0, "ramp": "constant", "hidden": 8}
    if method == "dann":
        one = DANN(**settings)
    else:
        one = CDAN(**settings, entropy=False, product_limit=4096 if method == "cdan" else 2, random_width=5)
    one.prepare(width=D, num_classes=C, source_classes=C)

    def gradients(strength):
        term = one(source=source, target=target, head=a_head(), strength=strength)
        return torch.autograd.grad(term, [source.features, target.features, *one.parameters()])

    forwards, backwards = gradients(-1.0), gradients(0.25)
    for plain, reversed_ in zip(forwards[:2], backwards[:2], strict=True):
        assert plain.abs().sum() > 0
        torch.testing.assert_close(reversed_, -0.25 * plain)
    for plain, own in zip(forwards[2:], backwards[2:], strict=True):
        torch.testing.assert_close(own, plain)


def test_cdan_sees_the_outer_product_and_its_random_map_keeps_inner_products_on_average(clouds):
    features, probability = clouds[0].detach(), torch.randn(S, C, generator=torch.Generator().manual_seed(3)).softmax(1)
    product = outer(features, probability)
    want = np.einsum("bc,bd->bcd", probability.numpy(), features.numpy()).reshape(S, -1)
    np.testing.assert_allclose(product.numpy(), want, rtol=1e-6)
    torch.manual_seed(0)
    wide = CDAN(weight=1, ramp="constant", hidden=4, entropy=False, product_limit=2, random_width=200_000)
    wide.prepare(width=D, num_classes=C, source_classes=C)
    joint = wide._joint(features, probability)
    np.testing.assert_allclose((joint @ joint.T).numpy(), (product @ product.T).numpy(), atol=0.15)


def test_cdan_takes_the_random_map_above_the_limit_only():
    settings = {"weight": 1, "ramp": "constant", "hidden": 4, "entropy": False, "random_width": 7}
    for limit, is_random in ((D * C, False), (D * C - 1, True)):
        one = CDAN(**settings, product_limit=limit)
        one.prepare(width=D, num_classes=C, source_classes=C)
        assert one.is_random == is_random
        assert one.discriminator.layers[0].in_features == (7 if is_random else D * C)


def test_no_gradient_reaches_the_logits_through_cdan(sides):
    source, target = (side._replace(logits=side.logits.requires_grad_()) for side in sides)
    one = CDAN(weight=1, ramp="constant", hidden=4, entropy=True, product_limit=4096, random_width=5)
    one.prepare(width=D, num_classes=C, source_classes=C)
    one(source=source, target=target, head=a_head(), strength=1.0).backward()
    assert source.logits.grad is None
    assert target.logits.grad is None


def test_certainty_is_two_where_the_model_is_sure_and_one_and_a_share_where_it_guesses():
    probability = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(certainty(probability), torch.tensor([2.0, 1 + 1 / 3]))
    torch.testing.assert_close(entropy_of(probability), torch.tensor([0.0, math.log(3)]))


def test_the_entropy_weights_of_cdan_e_weigh_each_domain_by_itself(sides):
    source, target = sides
    torch.manual_seed(2)
    one = CDAN(weight=1, ramp="constant", hidden=4, entropy=True, product_limit=4096, random_width=5)
    one.prepare(width=D, num_classes=C, source_classes=C)
    term = one(source=source, target=target, head=a_head(), strength=1.0)
    want = 0.0
    for side, sign in ((source, -1), (target, 1)):
        p = softmax(side.logits.numpy(), axis=1)
        logits = one.discriminator(outer(side.features.detach(), torch.from_numpy(p))).detach().numpy()
        weights = 1 + np.exp((p * np.log(p)).sum(axis=1))
        want += np.average(np.log1p(np.exp(sign * logits)), weights=weights)
    assert term.item() == pytest.approx(want, rel=1e-5)

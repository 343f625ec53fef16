"""An image comes back from its features, as far as they determine it."""

import pytest
import torch
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.backbones.denormalise import eight_bit
from headstart.explain.pictures.feature_inversion import (
    FeatureInversion,
    InversionSettings,
    inverted,
    noise,
    norm,
    stride_of,
    variation,
)

SETTINGS = {
    "stages": None, "images": 2, "lr": 0.05, "alpha": 6.0, "alpha_weight": 1e-4, "beta": 2.0, "variation_weight": 1e-2,
    "seed": 0, "side": 16,
}  # fmt: skip


def free(*, steps, lr, variation_weight=0.0):
    """Settings without a term besides the distance of the features."""
    return InversionSettings(
        steps=steps, lr=lr, alpha=6.0, alpha_weight=0.0, beta=2.0, variation_weight=variation_weight
    )


def start(x):
    return torch.stack([noise(x.shape[1:], seed=n) for n in range(len(x))])


def test_from_a_stage_that_loses_nothing_the_image_comes_back():
    turning = nn.Conv2d(3, 12, 2, stride=2, bias=False)  # a rotation of each block of 2 x 2 pixels
    network = of_stages({"only": turning}, size=8)
    with torch.no_grad():
        turning.weight.copy_(torch.linalg.qr(torch.randn(12, 12))[0].view(12, 3, 2, 2))
    given = subject(network).images.pixels
    x = network.entering(given)
    with network.at_rest():
        found, error = inverted(network, x, start(x), "only", free(steps=300, lr=0.1), progress=iter)
    assert error.max() < 0.01
    assert (eight_bit(found, network.backbone.pixels).int() - given.int()).abs().max() <= 3


def test_what_a_stage_does_not_see_stays_as_it_began():
    one = nn.Conv2d(3, 1, 1, bias=False)
    network = of_stages({"only": one}, size=6)
    with torch.no_grad():
        one.weight.copy_(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))  # red alone
    x = network.entering(subject(network).images.pixels)
    begun = start(x).clamp(-1, 1)
    with network.at_rest():
        found, _ = inverted(network, x, begun, "only", free(steps=200, lr=0.1), progress=iter)
    assert torch.equal(found[:, 1:], begun[:, 1:])
    assert torch.allclose(found[:, :1], x[:, :1], atol=0.02)


def test_the_error_is_the_distance_over_the_length_of_the_features():
    network = plain()
    x = network.entering(subject(network).images.pixels)
    with network.at_rest():
        found, error = inverted(network, x, start(x), "stage1", free(steps=3, lr=0.05), progress=iter)
        with torch.no_grad():
            want, own = network.activations(x, "stage1"), network.activations(found, "stage1")
    for nth in range(2):
        assert float(error[nth]) == pytest.approx(float((own[nth] - want[nth]).norm() / want[nth].norm()), rel=1e-5)


def test_norm_and_variation_by_hand():
    x = torch.tensor([[[[1.0, -2.0], [3.0, 0.0]]]])
    assert norm(x, 3.0).tolist() == pytest.approx([(1 + 8 + 27) / 4])
    assert variation(x, 2.0).tolist() == pytest.approx([9 + 4])  # one place has a neighbour to the right and one below
    assert variation(x, 1.0).tolist() == pytest.approx([13**0.5])
    flat = torch.ones(1, 1, 3, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(variation(flat, 1.0).sum(), flat)
    assert slope.isfinite().all()


def test_the_stride_is_the_root_of_pixels_a_place():
    x = torch.zeros(2, 3, 8, 8)
    shapes = {(2, 5, 4, 4): 2, (2, 16, 7): 2, (2, 9): 8, (2, 5, 8, 8): 1}  # maps, tokens, features
    assert {shape: stride_of(x, torch.zeros(shape)) for shape in shapes} == shapes


def test_the_heavier_variation_weighs_the_smoother_is_the_image():
    network = plain()
    x = network.entering(subject(network).images.pixels)
    with network.at_rest():
        rough, smooth = (
            inverted(network, x, start(x), "stage2", free(steps=60, lr=0.05, variation_weight=weight), progress=iter)[0]
            for weight in (0.0, 1.0)
        )
    assert (variation(smooth, 2.0) < 0.5 * variation(rough, 2.0)).all()


def test_the_global_random_numbers_do_not_matter_and_none_are_drawn():
    network = plain()
    pictures = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with network.at_rest():
            pictures.append(list(FeatureInversion(**SETTINGS, steps=5).drawn(subject(network))))
        assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(*pictures, strict=True):
        assert (one.image == other.image).all()
        assert one.caption == other.caption


def test_an_image_beside_others_is_inverted_as_alone():
    network = plain()
    pictures = []
    for batch_size in (1, 3):
        with network.at_rest():
            given = subject(network, count=3, batch_size=batch_size)
            pictures.append(list(FeatureInversion(**SETTINGS | {"images": 3}, steps=5).drawn(given)))
    for one, other in zip(*pictures, strict=True):  # rounding in another order turns a step where a slope is nearly 0
        assert abs(one.image.astype(int) - other.image).mean() < 0.1
        assert one.name == other.name


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_in_every_family_steps_bring_the_features_nearer_and_leave_the_network_alone(name):
    network = family(name)
    x = network.entering(subject(network, count=1).images.pixels)
    begun = start(x)
    stages = network.stages[:1] + network.stages[-1:]
    with untouched(network), network.at_rest():
        for stage in stages:
            found, error = inverted(network, x, begun, stage, free(steps=12, lr=0.05), progress=iter)
            with torch.no_grad():
                target, at_first = network.activations(x, stage), network.activations(begun, stage)
            assert error[0] < (at_first - target).norm() / target.norm()
            assert found.isfinite().all()

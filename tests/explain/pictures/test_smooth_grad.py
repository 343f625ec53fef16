"""SmoothGrad is the mean of gradients, and leaves no trace."""

import pytest
import torch

from explained import of_stages, plain, subject, untouched
from headstart.explain.pictures.input_gradient import gradient
from headstart.explain.pictures.smooth_grad import SmoothGrad, smooth_grad
from one_convolution import one_convolution


def image(network):
    pixels = network.backbone.pixels
    return torch.randn(1, pixels.channels, pixels.size, pixels.size, generator=torch.Generator().manual_seed(4))


def test_without_noise_it_is_the_gradient():
    network = plain()
    x = image(network)
    with network.at_rest(), untouched(network):
        want = gradient(network, x, index=torch.tensor([1]))[0]
        found = smooth_grad(network, x, index=1, samples=5, noise=0.0, seed=0, batch_size=2)
    torch.testing.assert_close(found, want, atol=1e-7, rtol=1e-5)


def test_it_is_the_gradient_of_the_network_blurred_by_the_noise():
    """The gradient is 1.5 where x > 0: with noise of deviation s, 1.5 times the chance that x + e > 0, Phi(x / s)."""
    network = one_convolution()
    x = torch.tensor([[[[0.0, 1.0], [-1.0, 3.0]]]])  # a range of 4, of which a quarter is s = 1
    with network.at_rest():
        found = smooth_grad(network, x, index=0, samples=20_000, noise=0.25, seed=0, batch_size=5_000)
    want = 1.5 * torch.distributions.Normal(0.0, 1.0).cdf(x[0])
    torch.testing.assert_close(found, want, atol=0.03, rtol=0)  # 4 standard errors are 0.02


def test_a_seed_is_a_result_and_the_worlds_random_numbers_go_on_as_before():
    network = plain()
    x = image(network)
    settings = {"index": 0, "samples": 4, "noise": 0.2, "batch_size": 4}
    state = torch.random.get_rng_state()
    with network.at_rest():
        one, same, other = (smooth_grad(network, x, seed=seed, **settings) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("samples", "batch_size"), [(7, 3), (2, 8), (1, 1)])
def test_no_batch_is_larger_than_it_may_be_and_all_samples_count(samples, batch_size):
    network = of_stages({"stage1": torch.nn.Conv2d(3, 2, 3)}, size=8)
    sizes, logits = [], type(network).logits

    class Counts(type(network)):
        def logits(self, images):
            sizes.append(len(images))
            return logits(self, images)

    counting = Counts(network.backbone, network.head)
    x = image(network)
    with counting.at_rest():
        found = smooth_grad(counting, x, index=0, samples=samples, noise=0.5, seed=0, batch_size=batch_size)
        want = gradient(network, x, index=torch.tensor([0]))[0]
    assert max(sizes) <= batch_size
    assert sum(sizes) == samples
    torch.testing.assert_close(found, want)  # a linear network's gradient is the same everywhere


def test_the_picture_leaves_the_network_as_it_was():
    network = plain()
    with torch.inference_mode(), untouched(network), network.at_rest():
        one, other = (
            list(SmoothGrad(samples=3, noise=0.1, seed=seed, of="label").drawn(subject(network))) for seed in (0, 0)
        )
    assert [shown.name for shown in one] == ["001", "002"]
    assert all((a.image == b.image).all() for a, b in zip(one, other, strict=True))
    assert "mean gradient of 3 copies with noise of 0.1 of its range" in one[0].caption

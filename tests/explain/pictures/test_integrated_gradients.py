"""The pixels add up to what the logit gained."""

import pytest
import torch
from torch import nn

from explained import of_stages, plain, subject, untouched
from headstart.explain.pictures.integrated_gradients import IntegratedGradients, baseline, integrated_gradients


def image(network):
    pixels = network.backbone.pixels
    return torch.randn(1, pixels.channels, pixels.size, pixels.size, generator=torch.Generator().manual_seed(4))


def test_one_convolution_has_the_shares_that_one_computes_by_hand():
    """logit = mean relu(2 x) - 1 of 2 pixels, from x = -1 to 3 and from 1 to -1: of the first 3 of 4 steps count."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    network = of_stages({"stage1": nn.Sequential(conv, nn.ReLU(), nn.AvgPool2d((1, 2)))}, size=2, channels=1, classes=1)
    with torch.no_grad():
        conv.weight.fill_(2)
        network.head.linear.weight.fill_(1)
        network.head.linear.bias.fill_(-1)
    x = torch.tensor([[[[3.0, -1.0], [0.0, 0.0]]]])
    start = torch.tensor([[[[-1.0, 1.0], [0.0, 0.0]]]])
    with network.at_rest():
        found = integrated_gradients(network, x, start, index=0, steps=500, batch_size=500)
    # each pixel counts a quarter: relu(2 * 3) / 4 = 1.5 gained, relu(2 * 1) / 4 = 0.5 lost
    assert found.values[0].flatten().tolist() == pytest.approx([1.5, -0.5, 0, 0], abs=0.01)
    assert found.difference == pytest.approx(1.0, abs=1e-6)


def test_a_linear_networks_shares_are_exact_in_one_step():
    network = of_stages({"stage1": nn.Conv2d(3, 4, 3)}, size=6)
    x = image(network)
    with network.at_rest():
        found = integrated_gradients(network, x, torch.zeros_like(x), index=1, steps=1, batch_size=1)
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network.logits(leaf)[0, 1], leaf)
    torch.testing.assert_close(found.values, (slope * x)[0], atol=1e-6, rtol=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["black", "grey", "blurred"])
def test_the_shares_sum_to_the_difference_and_the_more_steps_the_closer(kind):
    network = plain()
    x = image(network)
    gaps = {}
    with network.at_rest():
        start = baseline(network, x, kind=kind)
        want = (network.logits(x) - network.logits(start))[0, 2].item()
        for steps in (4, 256):
            found = integrated_gradients(network, x, start, index=2, steps=steps, batch_size=64)
            assert found.difference == pytest.approx(want, abs=1e-6)
            assert found.values.sum().item() == pytest.approx(want + found.gap, abs=1e-6)
            gaps[steps] = abs(found.gap)
    assert gaps[256] < 0.01 * found.values.abs().sum()
    assert gaps[256] < gaps[4]


def test_the_result_does_not_hang_on_the_batch_size_and_no_batch_is_larger():
    network = plain()
    x, sizes = image(network), []
    logits = type(network).logits

    class Counts(type(network)):
        def logits(self, images):
            sizes.append(len(images))
            return logits(self, images)

    counting = Counts(network.backbone, network.head)
    with counting.at_rest(), untouched(counting):
        one, other = (
            integrated_gradients(counting, x, torch.zeros_like(x), index=0, steps=10, batch_size=size)
            for size in (3, 10)
        )
    assert max(sizes[: sizes.index(10)]) == 3
    torch.testing.assert_close(one.values, other.values, atol=1e-6, rtol=1e-5)


def test_black_is_pixels_of_0_and_grey_the_mean_and_blurred_has_no_edges():
    network = plain()
    x = image(network)
    assert baseline(network, x, kind="grey").unique().tolist() == [0]
    assert baseline(network, x, kind="black").unique().tolist() == [-1]  # mean and deviation are 0.5
    half = torch.zeros_like(x)
    half[..., 8:] = 1
    blurred = baseline(network, half, kind="blurred")
    assert (blurred.diff(dim=3).max() / half.diff(dim=3).max()).item() < 0.3
    assert blurred.mean().item() == pytest.approx(0.5, abs=1e-5)
    flat = torch.full_like(x, 0.7)
    torch.testing.assert_close(baseline(network, flat, kind="blurred"), flat)


def test_the_caption_says_how_far_the_sum_is_from_the_difference():
    network = plain()
    given = subject(network, count=1)
    with torch.inference_mode(), untouched(network), network.at_rest():
        (shown,) = IntegratedGradients(baseline="black", steps=8, of="label").drawn(given)
        x = network.entering(given.images.pixels)
        start = baseline(network, x, kind="black")
        found = integrated_gradients(network, x, start, index=0, steps=8, batch_size=given.batch_size)
    assert shown.caption.endswith(
        f": {found.difference:+.3g} from a black image to this one; "
        f"the pixels sum to {found.values.sum().item():+.3g} in 8 steps"
    )

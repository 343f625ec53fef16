"""Gradient pictures work for each family of networks, or say why not."""

import pytest
import torch

from explained import QUICK_FIRST, family, subject, untouched
from headstart.explain.gradients.relu_backward_rules import relu_rule
from headstart.explain.picture_protocol import TO_ALL, UnfitError
from headstart.explain.pictures.deconvnet import Deconvnet
from headstart.explain.pictures.guided_backpropagation import GuidedBackpropagation, guided_backpropagation
from headstart.explain.pictures.input_gradient import gradient
from headstart.explain.pictures.integrated_gradients import integrated_gradients
from headstart.explain.pictures.smooth_grad import smooth_grad

# the ReLUs on a deconvnet's way to the classes, which does not go through gates; else what is met instead
MET = {
    "resnet18": 17, "regnet_y_400mf": 49, "densenet121": 121, "convnext_tiny": "GELU", "swin_t": "GELU, softmax",
    "vit_b_32": "GELU, attention", "googlenet": 57, "inception_v3": 94, "shufflenet_v2_x0_5": 37,
    "efficientnet_b0": "SiLU", "mobilenet_v2": 35, "mobilenet_v3_small": "hardswish", "squeezenet1_1": 25,
    "mnasnet0_5": 35, "vgg11": 10, "alexnet": 7, "maxvit_t": "tanh, GELU, softmax",
}  # fmt: skip


@pytest.fixture(scope="module", params=QUICK_FIRST)  # of which pytest keeps one at a time
def network(request):
    return family(request.param), MET[request.param]


def test_a_family_computes_what_it_did_and_each_relu_is_met(network):
    network, met = network
    with network.at_rest(), untouched(network):
        leaf = network.entering(subject(network, count=1).images.pixels).requires_grad_()
        want = network.logits(leaf.clone())
        (slope,) = torch.autograd.grad(want[:, 0].sum(), leaf)
        with relu_rule("gradient") as way:
            output = network.logits(leaf.clone())
        assert torch.equal(output, want)
        assert torch.equal(torch.autograd.grad(output[:, 0].sum(), leaf)[0], slope)
        with relu_rule("deconvnet") as way:
            output = network.logits(leaf.clone())
        assert torch.equal(output, want)
    found = way.met(output)
    assert (found.relus if isinstance(met, int) else ", ".join(found.others)) == met


def test_gradients_apply_to_each_family(network):
    network, _ = network
    x = network.entering(subject(network, count=1).images.pixels)
    with torch.inference_mode(), untouched(network), network.at_rest():
        slope = gradient(network, x, index=torch.tensor([1]))[0]
        smooth = smooth_grad(network, x, index=1, samples=1, noise=0.0, seed=0, batch_size=1)
        start = torch.zeros_like(x)
        shares = integrated_gradients(network, x, start, index=1, steps=2, batch_size=1)
        gained = (network.logits(x) - network.logits(start))[0, 1].item()
    assert slope.abs().max() > 0
    torch.testing.assert_close(smooth, slope, rtol=1e-3, atol=1e-5 * float(slope.abs().max()))
    assert shares.difference == pytest.approx(gained, rel=1e-3, abs=1e-5)


def test_deconvnet_and_guided_backpropagation_apply_to_a_family_or_say_why_not(network):
    network, met = network
    given = subject(network, count=1)
    x = network.entering(given.images.pixels)
    with torch.no_grad(), untouched(network), network.at_rest():
        if isinstance(met, int):
            last = network.stages[-1]
            sheets = [one.name for one in Deconvnet(stages=[network.stages[0], last], units=1).drawn(given)]
            assert sheets == [f"001-{network.stages[0]}", f"001-{last}"]
            assert guided_backpropagation(network, x, index=torch.tensor([0])).abs().max() > 0
            return
        for kind, drawn in (
            ("deconvnet", Deconvnet(stages=None, units=1).drawn(given)),
            ("guided_backpropagation", GuidedBackpropagation(of="label").drawn(given)),
        ):
            with pytest.raises(UnfitError) as said:
                list(drawn)
            assert str(said.value).startswith(f"{kind} goes back through ReLUs, and on the way to ")
            assert any(other in str(said.value) for other in met.split(", "))
            assert all(other in str(said.value) for other in TO_ALL)

"""A backward rule holds for every ReLU, and for nothing else."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from headstart.explain.gradients.relu_backward_rules import relu_rule
from headstart.explain.picture_protocol import UnfitError

f = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 7.0, 9.0])  # what enters
R = torch.tensor([3.0, -3.0, 3.0, -3.0, 3.0, -4.0, 5.0, -5.0])  # what comes back
PASSES = {
    "gradient": [0, 0, 0, -3, 3, -4, 5, -5],
    "deconvnet": [3, 0, 3, 0, 3, 0, 5, 0],
    "guided": [0, 0, 0, 0, 3, 0, 5, 0],
}
RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp by place": lambda x: torch.clamp(x, 0),
    "clip": lambda x: x.clip(0),
    "clamp_min": lambda x: x.clamp_min(0),
}
CUT = {
    "ReLU6": nn.ReLU6(),
    "ReLU6 in place": nn.ReLU6(inplace=True),
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "hardtanh in place": lambda x: F.hardtanh_(x, 0.0, 6.0),
    "clamp": lambda x: x.clamp(0, 6),
}


def back(function, rule):
    leaf = f.clone().requires_grad_()
    with relu_rule(rule) as way:
        output = function(leaf * 1)
    assert way.met(output).relus == 1
    return output.detach(), torch.autograd.grad(output, leaf, R)[0].tolist()


@pytest.mark.parametrize("rule", PASSES)
@pytest.mark.parametrize("name", RELUS)
def test_what_passes_a_relu_is_what_its_rule_says(name, rule):
    output, signal = back(RELUS[name], rule)
    assert output.tolist() == [0, 0, 0, 1, 2, 5, 7, 9]
    assert signal == PASSES[rule]


@pytest.mark.parametrize("name", CUT)
def test_above_six_a_relu6_has_no_gradient_and_lets_the_other_rules_through(name):
    for rule, want in PASSES.items():
        output, signal = back(CUT[name], rule)
        assert output.tolist() == [0, 0, 0, 1, 2, 5, 6, 6]
        assert signal == ([*want[:-2], 0, 0] if rule == "gradient" else want)


def test_what_works_in_place_is_read_again_under_the_old_name():
    def forgets(x):
        F.relu(x, inplace=True)
        return x + 1

    output, signal = back(forgets, "guided")
    assert output.tolist() == [1, 1, 1, 2, 3, 6, 8, 10]
    assert signal == PASSES["guided"]


def test_a_relu_used_twice_has_its_rule_twice():
    relu, leaf = nn.ReLU(inplace=True), torch.tensor([1.0, -1.0], requires_grad=True)
    with relu_rule("deconvnet") as way:
        output = relu(-relu(leaf * 1))
    assert way.met(output).relus == 2
    # of the signal (1, -2) the second lets 1 through, the sign turns it, the first lets nothing through
    assert torch.autograd.grad(output, leaf, torch.tensor([1.0, -2.0]))[0].tolist() == [0, 0]


@pytest.mark.parametrize("other", [lambda x: x.clamp(min=1e-3), lambda x: x.clamp(max=0), lambda x: F.hardtanh(x)])
def test_other_bounds_are_no_relu(other):
    with relu_rule("guided") as way:
        assert way.met(other(f.clone().requires_grad_())).relus == 0


def test_max_poolings_are_counted_as_switches():
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    with relu_rule("deconvnet") as way:
        output = F.avg_pool2d(F.max_pool2d(F.adaptive_max_pool2d(x, 4), 2), 2)
    assert way.met(output) == (0, (), 2)


def test_whole_numbers_are_left_alone():
    with relu_rule("guided"):
        assert torch.tensor([-1, 2]).clamp(min=0).tolist() == [0, 2]


class Doubles(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return 2 * x

    @staticmethod
    def backward(_, signal):
        return 2 * signal


OTHERS = {
    "GELU": nn.GELU(), "SiLU": nn.SiLU(), "Mish": nn.Mish(), "hardswish": nn.Hardswish(), "tanh": nn.Tanh(),
    "hardsigmoid": nn.Hardsigmoid(), "sigmoid": nn.Sigmoid(), "log sigmoid": nn.LogSigmoid(), "hardtanh": nn.Hardtanh(),
    "leaky ReLU": nn.LeakyReLU(), "PReLU": nn.PReLU(), "ELU": nn.ELU(), "softplus": nn.Softplus(), "GLU": nn.GLU(),
    "hardshrink": nn.Hardshrink(), "softshrink": nn.Softshrink(), "threshold": nn.Threshold(1.0, 0.0),
    "softmax": nn.Softmax(dim=-1), "CELU": nn.CELU(),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "RReLU": nn.RReLU().train(), "a function of its own, Doubles": Doubles.apply,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_bends_the_signal_otherwise_is_named(name):
    x = torch.randn(4, 4, requires_grad=True)
    with relu_rule("guided") as way:
        output = OTHERS[name](F.relu(x) * 1)
    assert way.met(output)[:2] == (1, (name,))
    with pytest.raises(UnfitError, match=f"guided goes back .* the end this network has {name};.*occlusion"):
        way.check(output, kind="guided", to="the end")


def test_a_relu_in_compiled_code_is_no_relu_that_a_rule_has_met():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scripted = torch.jit.trace(lambda x: torch.relu(x), torch.zeros(2))
    with relu_rule("guided") as way:
        output = scripted(torch.ones(2, requires_grad=True) * 1)
    assert way.met(output)[:2] == (0, ("ReLU in compiled code",))


def test_a_gate_has_its_derivative_but_a_deconvnet_holds_it():
    """y = sum(x) sigmoid(mean(x)), of two pixels 1 and 3: with s = sigmoid(2), dy/dx = s + 4 s (1 - s) / 2."""

    def gated(x):
        return (x * F.relu(x).mean(dim=(2, 3), keepdim=True).sigmoid()).sum()

    s, found = torch.sigmoid(torch.tensor(2.0)).item(), {}
    for rule in PASSES:
        x = torch.tensor([[[[1.0, 3.0]]]], requires_grad=True)
        with relu_rule(rule) as way:
            output = gated(x)
        assert way.met(output).others == ()
        found[rule] = torch.autograd.grad(output, x)[0].flatten().tolist()
    assert found["gradient"] == pytest.approx([s + 2 * s * (1 - s)] * 2)
    assert found["guided"] == found["gradient"]
    assert found["deconvnet"] == pytest.approx([s, s])

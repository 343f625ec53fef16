"""An adapter is a bottleneck with a skip connection behind its layer, and leaves the model unchanged at first."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from headstart.backbones.injected.adapters import Adapters
from headstart.backbones.stages import Backbone
from headstart.types import UserError
from headstart.unfreeze.parameter_kinds import of_kind
from injected_backbones import BACKBONES, PIXELS, images, learned, mixed


def adapters(**settings):
    return Adapters(**{"width": 3, "layers": None} | settings)


@pytest.mark.parametrize("name", BACKBONES)
def test_at_the_start_the_features_are_the_sources_to_the_bit(name):
    plain = BACKBONES[name]().eval()
    injected = copy.deepcopy(plain)
    adapters().inject(injected)
    x = images(plain)
    with torch.no_grad():
        assert torch.equal(injected.eval()(x), plain(x))
        assert not torch.equal(learned(injected)(x), plain(x))


def test_behind_a_layer_it_is_x_plus_up_of_relu_of_down_at_each_place():
    backbone = mixed()
    adapters(layers=["first.0"]).inject(backbone)
    layer = learned(backbone).stages["first"][0]
    x = torch.randn(2, 2, 8, 8)
    plain = nn.functional.conv2d(x, layer.weight, layer.bias, stride=2, padding=1).detach().double().numpy()
    down, up = layer.adapter.down, layer.adapter.up
    wd, bd, wu, bu = (p.detach().double().numpy() for p in (down.weight, down.bias, up.weight, up.bias))
    hidden = np.maximum(np.einsum("mc,bchw->bmhw", wd[:, :, 0, 0], plain) + bd[:, None, None], 0)
    want = plain + np.einsum("cm,bmhw->bchw", wu[:, :, 0, 0], hidden) + bu[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), want, rtol=1e-4, atol=1e-4)


def test_behind_attention_it_changes_what_it_gives_and_not_its_weights():
    backbone = mixed()
    x = torch.randn(2, 5, 8)
    given, weights = backbone.stages["second"].attention(x, x, x)
    adapters(layers=["second"]).inject(backbone)
    attention = learned(backbone).stages["second"].attention
    got, got_weights = attention(x, x, x)
    torch.testing.assert_close(got, attention.adapter(given))
    torch.testing.assert_close(got_weights, weights)
    assert not torch.allclose(got, given, atol=1e-3)


def test_the_sources_numbers_keep_their_names_and_an_adapters_number_is_2_c_m_and_its_biases():
    plain, backbone = mixed(), mixed()
    found = adapters().inject(backbone)
    assert set(plain.state_dict()) < set(backbone.state_dict())
    assert found.layers == ("first.0", "first.2", "second.attention", "third.0")
    sizes = {name: p.numel() for name, p in backbone.named_parameters()}
    own = of_kind(backbone)["adapters"]
    assert own == set(backbone.state_dict()) - set(plain.state_dict())
    assert sum(sizes[name] for name in own) == sum(2 * c * 3 + 3 + c for c in (8, 8, 8, 6))


def test_every_number_that_is_put_in_has_a_gradient():
    backbone = mixed()
    adapters().inject(backbone)
    own = of_kind(backbone)["adapters"]
    learned(backbone)(images(backbone)).square().sum().backward()
    assert {name for name, p in backbone.named_parameters() if p.grad is not None and p.grad.any()} >= own


def test_a_copy_has_adapters_of_its_own():
    backbone = mixed()
    adapters().inject(backbone)
    other = copy.deepcopy(backbone)
    before = other.eval()(images(other)).detach()
    learned(backbone)
    assert torch.equal(other(images(other)), before)


def test_a_network_without_such_layers_is_told_so():
    with pytest.raises(UserError, match=r"adapters\.layers finds no layer in only that can be taken: there is none"):
        adapters().inject(Backbone({"only": nn.AvgPool2d(2)}, pixels=PIXELS, keep=None))

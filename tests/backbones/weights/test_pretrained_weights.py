"""Pretrained weights equal the library's own, whatever their file calls them."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_pixels, torchvision_weights
from headstart.backbones.weights.pretrained_weights import differences
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.weights.torchvision_weights import (
    as_named_now,
    pretrained,
    summed_over_colours,
)
from headstart.types import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


def test_the_default_and_the_names_are_torchvisions():
    assert torchvision_weights("resnet50", None) is models.ResNet50_Weights.DEFAULT
    assert torchvision_weights("resnet50", "IMAGENET1K_V1") is models.ResNet50_Weights.IMAGENET1K_V1
    with pytest.raises(UserError, match=r"must be IMAGENET1K_V1 or IMAGENET1K_V2.*did you mean IMAGENET1K_V1"):
        torchvision_weights("resnet50", "imagenet1k_v1")


def saved(net, path):
    torch.save(net.state_dict(), path)
    return tensors_in(path)


@pytest.mark.parametrize("name", ["mnasnet0_5", "squeezenet1_1", "vit_b_32"])  # MNASNet must know who wrote the file
def test_a_file_of_torchvisions_gives_its_own_numbers(name, tmp_path):
    net = models.get_model(name, weights=None)
    found = as_named_now(name, saved(net, tmp_path / "w.pth"), size=224)
    want = net.state_dict()
    assert found.keys() == want.keys()
    assert all(torch.equal(found[key], want[key]) for key in want)


def test_names_with_dots_of_old_densenet_files_are_todays(tmp_path):
    net = models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): t for name, t in net.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    found = as_named_now("densenet121", old, size=224)
    assert all(torch.equal(found[key], tensor) for key, tensor in net.state_dict().items())


def test_a_transformer_s_positions_are_interpolated_and_stay_smooth(tmp_path):
    net = models.vit_b_32(weights=None)
    ramp = torch.linspace(0, 1, 7)[None, :].expand(7, 7)  # from left to right
    with torch.no_grad():
        net.encoder.pos_embedding[0, 1:] = ramp.reshape(49, 1)
    found = as_named_now("vit_b_32", saved(net, tmp_path / "w.pth"), size=448)["encoder.pos_embedding"]
    assert found.shape == (1, 1 + 14 * 14, 768)
    assert torch.equal(found[0, 0], net.encoder.pos_embedding[0, 0])
    wide = found[0, 1:, 0].reshape(14, 14)
    torch.testing.assert_close(wide, wide[:1].expand(14, 14))
    assert (wide[0].diff() > 0).all()


def test_a_file_of_another_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="the file is not of resnet34"):
        as_named_now("resnet34", saved(models.resnet50(weights=None), tmp_path / "w.pth"), size=224)


def test_a_convolution_summed_over_colours_sees_a_grey_image_as_three_equal_channels():
    colour, grey = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(1, 4, 3, bias=False)
    grey.load_state_dict(summed_over_colours(colour.state_dict(), "weight"))
    image = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(grey(image), colour(image.expand(-1, 3, -1, -1)))


def test_what_is_not_as_the_weights_were_evaluated_is_listed():
    pixels = torchvision_pixels("resnet50", size=None, channels=3)
    old = pixels._replace(resize=256)
    assert differences(pixels, pixels) == []
    assert differences(pixels, old) == ["resize 232 instead of 256 (target.resize=256)"]
    assert differences(pixels._replace(size=64, interpolation="bicubic"), old) == [
        "size 64 instead of 224 (backbone.size=224)", "interpolation bicubic instead of bilinear",
    ]  # fmt: skip
    assert differences(pixels._replace(mean=(0.5, 0.5, 0.5)), pixels) == [
        "mean 0.500/0.500/0.500 instead of 0.485/0.456/0.406"
    ]


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", None])
def test_torchvisions_weights_say_the_pixels_of_their_own_metadata(name, cache):
    weights = torchvision_weights("mobilenet_v2", name)
    cache.mkdir(parents=True)
    torch.save(models.mobilenet_v2().state_dict(), cache / Path(weights.url).name)
    pixels = torchvision_pixels("mobilenet_v2", size=64, channels=1)
    found = pretrained("mobilenet_v2", name, pixels)
    made_for = weights.transforms()
    assert (found.name, found.url, found.made_for.size) == (weights.name, weights.url, 224)
    assert (found.made_for.resize, found.made_for.interpolation) == (made_for.resize_size[0], "bilinear")
    assert found.tensors["features.0.0.weight"].shape == (32, 1, 3, 3)

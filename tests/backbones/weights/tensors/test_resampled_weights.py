"""Weights of a file at half and double the image size equal what timm's and torchvision's own loading makes of them."""

from collections import OrderedDict

import pytest
import torch
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from headstart.backbones.weights.preprocessing.timm_preprocessing import timm_pixels
from headstart.backbones.weights.tensors.tensor_fitting import fitted
from headstart.backbones.weights.timm_weights import _loaded, resampled
from headstart.backbones.zoo.timm_models import built
from headstart.backbones.zoo.timm_models import timm as timm_backbone
from headstart.backbones.zoo.torchvision_models import torchvision

library = pytest.importorskip("timm")


def cut(name, size):
    return timm_backbone(name=name, size=size, channels=3, keep=None)


def same(tensors, backbone, net):
    """Whether all of the backbone's tensors are those of a network of timm, to 1e-6."""
    want = {backbone.original[name]: t for name, t in net.state_dict().items() if name in backbone.original}
    assert set(want) == set(backbone.state_dict())
    return all(
        tensors[name].shape == tensor.shape and torch.allclose(tensors[name], tensor, rtol=0, atol=1e-6)
        for name, tensor in want.items()
    )


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("name", [
    "test_vit",  # pos_embed with a class token
    "test_vit3",
    pytest.param("vit_tiny_patch16_224", marks=pytest.mark.slow),
    pytest.param("vit_base_patch32_siglip_256", marks=pytest.mark.slow),  # without a class token, attention pooling
    pytest.param("vit_small_patch14_reg4_dinov2", marks=pytest.mark.slow),  # registers, 37 x 37 patches
    pytest.param("vit_small_patch16_dinov3", marks=pytest.mark.slow),  # rotary positions, which need none
    pytest.param("swin_tiny_patch4_window7_224", marks=pytest.mark.slow),  # tables of relative positions
    pytest.param("swinv2_tiny_window8_256", marks=pytest.mark.slow),  # the same, of continuous positions
    pytest.param("beit_base_patch16_224", marks=pytest.mark.slow),  # a table with a class token
    pytest.param("deit3_small_patch16_224", marks=pytest.mark.slow),
    pytest.param("vit_relpos_small_patch16_224", marks=pytest.mark.slow),
])  # fmt: skip
def test_timm_s_own_loading_gives_the_same_tensors_at_half_and_double_size(name, factor):
    torch.manual_seed(1)
    net = library.create_model(name)
    for parameter in net.parameters():  # tables that begin with zeros would be resampled to zeros whatever is done
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    state = net.state_dict()
    made_for = timm_pixels(name, size=None, channels=3)
    patches = 28 if "patch14" in name else 32
    pixels = made_for._replace(size=int(made_for.size * factor) // patches * patches)
    want = built(name, pixels, tensors=state)
    backbone = cut(name, pixels.size)
    ours = fitted({f"module.{key}": t for key, t in state.items()}, backbone, prefix=None, reset_from=None)
    assert same(ours.tensors, backbone, want)


@pytest.mark.parametrize("size", [112, 448])
@pytest.mark.parametrize("name", ["cait_xxs24_224", pytest.param("hiera_tiny_224", marks=pytest.mark.slow)])
def test_positions_that_timm_s_loading_leaves_are_resampled_by_timm_s_function(name, size):
    state = {key: t.clone() for key, t in library.create_model(name).state_dict().items()}
    state["pos_embed"].normal_()
    with torch.device("meta"):
        side = round(built(name, timm_pixels(name, size=size, channels=3)).pos_embed.shape[1] ** 0.5)
    want = library.layers.resample_abs_pos_embed(state["pos_embed"], new_size=[side, side], num_prefix_tokens=0)
    found = resampled(name, state, timm_pixels(name, size=size, channels=3))
    torch.testing.assert_close(found["pos_embed"], want, rtol=0, atol=1e-6)
    net = _loaded(name, timm_pixels(name, size=size, channels=3), state)
    torch.testing.assert_close(net.pos_embed.detach(), want, rtol=0, atol=1e-6)
    assert resampled(name, state, timm_pixels(name, size=224, channels=3))["pos_embed"] is state["pos_embed"]


def test_the_same_size_is_taken_as_it_is():
    state = library.create_model("test_vit").state_dict()
    assert fitted(state, cut("test_vit", None), prefix=None, reset_from=None).changes == ""


@pytest.mark.parametrize("size", [112, 448])
def test_torchvision_s_transformer_takes_positions_as_torchvision_interpolates_them(size):
    state = models.vit_b_32(weights=None, num_classes=5).state_dict()  # with a head of one's own
    state["encoder.pos_embedding"].normal_()
    backbone = torchvision(name="vit_b_32", size=size // 32 * 32, channels=3, keep=1)
    ours = fitted(state, backbone, prefix=None, reset_from=None)
    want = interpolate_embeddings(size // 32 * 32, 32, OrderedDict(state))["encoder.pos_embedding"]
    torch.testing.assert_close(ours.tensors["stages.embedding.pos_embedding"], want, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin_t", "swin_v2_t"])
def test_torchvision_s_windows_are_of_one_size_for_any_image(name):
    state = models.get_model(name, weights=None).state_dict()
    for size in (112, 448):
        backbone = torchvision(name=name, size=size, channels=3, keep=None)
        assert fitted(state, backbone, prefix=None, reset_from=None).changes == ""

"""Each torchvision model is the chain of its stages, at every cut, and is frozen where it should be."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision import models

from backbone_contract import check_every_cut, check_frozen
from headstart.backbones.stages import pooled
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.types import UserError

# the smallest model of each way to cut, at a size that is small for it
FAMILIES = {
    "resnet18": 64, "regnet_y_400mf": 64, "densenet121": 64, "convnext_tiny": 64, "swin_t": 64, "vit_b_32": 64,
    "googlenet": 64, "inception_v3": 96, "shufflenet_v2_x0_5": 64, "efficientnet_b0": 64, "mobilenet_v2": 64,
    "mobilenet_v3_small": 64, "squeezenet1_1": 64, "mnasnet0_5": 64, "alexnet": 64,
}  # fmt: skip
# of each of its relatives in other sizes one, in the slow tests, and of families that take seconds
RELATIVES = {
    "vgg11": 64, "maxvit_t": 224,
    "resnext50_32x4d": 64, "wide_resnet50_2": 64, "regnet_x_400mf": 64, "swin_v2_t": 64, "efficientnet_v2_s": 64,
    "mobilenet_v3_large": 64, "squeezenet1_0": 64, "vgg11_bn": 64,
}  # fmt: skip
ALL = [*FAMILIES.items(), *(pytest.param(*one, marks=pytest.mark.slow) for one in RELATIVES.items())]
LARGE = [name for name in models.list_models(module=models) if name not in FAMILIES]


def of(name, size, *, channels=3, keep=None):
    torch.manual_seed(0)
    return torchvision(name=name, size=size, channels=channels, keep=keep).eval()


def original(name, backbone):
    """torchvision's own model with the backbone's numbers, and the layer whose input are the features."""
    settings = {}
    if name in ("googlenet", "inception_v3"):
        settings = {"aux_logits": False, "init_weights": False}
    elif name.startswith("vit"):
        settings = {"image_size": backbone.pixels.size}
    net = models.get_model(name, weights=None, **settings).eval()
    own = backbone.state_dict()
    state = OrderedDict((there, own[here]) for there, here in backbone.original.items())
    state._metadata = net.state_dict()._metadata  # type: ignore[attr-defined]  # MNASNet wants to know who wrote them
    unmatched = net.load_state_dict(state, strict=False)
    assert not unmatched.unexpected_keys
    if name.startswith("squeezenet"):
        return net, net.classifier, unmatched.missing_keys
    *_, last = (module for module in net.modules() if isinstance(module, nn.Linear))
    return net, last, unmatched.missing_keys


def check_equals_the_original(name, backbone):
    net, last, missing = original(name, backbone)
    titles = {title for title, module in net.named_modules() if module is last}
    assert all(any(key.startswith(f"{title}.") for title in titles) for key in missing), missing
    seen = []
    last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = torch.randn(2, backbone.pixels.channels, backbone.pixels.size, backbone.pixels.size, dtype=torch.float64)
    with torch.no_grad():
        net.double()(image)
        features = backbone.double()(image)
    assert features.shape == (2, backbone.width)
    torch.testing.assert_close(features, pooled(seen[0]), rtol=1e-9, atol=1e-9)
    assert len(set(backbone.original.values())) == len(backbone.original)  # each tensor is in one stage
    assert set(backbone.original.values()) == set(backbone.state_dict())


@pytest.mark.parametrize(("name", "size"), ALL)
def test_the_stages_chained_are_torchvisions_own_model_up_to_its_last_layer(name, size):
    check_equals_the_original(name, of(name, size))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LARGE if name not in ("vit_h_14", "regnet_y_128gf")])
def test_all_other_models_are_too_at_the_size_that_their_weights_were_made_for(name):
    check_equals_the_original(name, of(name, None))


@pytest.mark.parametrize(("name", "size"), ALL)
def test_every_cut_is_the_same_chain_and_what_is_closed_does_not_change(name, size):
    whole = of(name, size)
    image = torch.randn(2, 3, size, size)
    check_every_cut(whole, image)
    check_frozen(whole, image)


def test_stages_have_the_names_that_their_papers_use():
    assert of("resnet18", 64).names == ("stem", "layer1", "layer2", "layer3", "layer4")
    assert of("convnext_tiny", 64).names == ("stem", "stage1", "stage2", "stage3", "stage4")
    assert of("vit_b_32", 64).names == ("embedding", "blocks1", "blocks2", "blocks3", "blocks4")
    assert of("densenet121", 64).names == ("stem", "block1", "block2", "block3", "block4")
    assert of("vgg11", 64).names == ("stem", "stage1", "stage2", "stage3", "stage4", "fc")


def test_each_stage_of_mobilenet_v2_ends_where_the_resolution_does_but_the_last():
    backbone, x = of("mobilenet_v2", 64), torch.zeros(1, 3, 64, 64)
    found = {}
    for name, stage in backbone.stages.items():
        x = stage(x)
        found[name] = (x.shape[1], x.shape[-1])
    assert found == {  # Sandler et al. 2018, table 2
        "stem": (16, 32), "stage1": (24, 16), "stage2": (32, 8), "stage3": (96, 4), "stage4": (320, 2),
        "last": (1280, 2),
    }  # fmt: skip


@pytest.mark.parametrize("keep", [None, 2])
def test_a_backbone_knows_what_its_tensors_were_called_in_the_network_that_it_was_cut_from(keep):
    backbone, net = of("mobilenet_v2", 64, keep=keep), models.mobilenet_v2()
    assert set(net.state_dict()) - set(backbone.original) == {"classifier.1.weight", "classifier.1.bias"}
    assert backbone.original["features.3.conv.0.0.weight"] == "stages.stage1.3.conv.0.0.weight"
    assert set(backbone.original.values()) >= set(backbone.state_dict())


def test_the_twelve_blocks_of_a_transformer_are_four_groups_of_three():
    groups = [
        len([n for n, _ in stage.named_children() if n.startswith("encoder_layer")])
        for stage in of("vit_b_32", 64).stages.values()
    ]
    assert groups == [0, 3, 3, 3, 3]


def test_no_stage_is_a_pooling_layer_alone():
    for name, size in FAMILIES.items():
        if name.startswith(("vgg", "alexnet", "squeezenet", "mnasnet")):
            assert all(list(stage.parameters()) for stage in of(name, size).stages.values()), name


def test_maps_between_the_stages_of_a_swin_have_channels_first():
    backbone = of("swin_t", 64)
    x = torch.randn(1, 3, 64, 64)
    shapes = []
    for stage in backbone.stages.values():
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(96, 16, 16), (96, 16, 16), (192, 8, 8), (384, 4, 4), (768, 2, 2)]


@pytest.mark.parametrize("name", ["resnet18", "vit_b_32", "densenet121", "vgg11", "inception_v3", "mobilenet_v2"])
def test_grey_images_have_a_first_convolution_of_their_own(name):
    backbone = of(name, (FAMILIES | RELATIVES)[name], channels=1)
    assert backbone(torch.zeros(1, 1, backbone.pixels.size, backbone.pixels.size)).shape == (1, backbone.width)
    assert len(backbone.pixels.mean) == len(backbone.pixels.std) == 1


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("resnet5", None, r"got 'resnet5'; the closest are .*resnet50"),
        ("zzz", None, "must be a classification model of torchvision"),
        ("vit_b_16", 225, r"vit_b_16 cannot take images of 225 pixels.*backbone.size=224"),
        ("alexnet", 16, r"alexnet cannot take images of 16 pixels.*backbone.size=224"),
        ("inception_v3", 32, r"inception_v3 cannot take images of 32 pixels.*backbone.size=299"),
    ],
)
def test_what_cannot_be_is_told(name, size, told):
    with pytest.raises(UserError, match=told):
        of(name, size)

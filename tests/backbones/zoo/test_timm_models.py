"""Each timm model is the chain of its stages, at every cut, and is frozen where it should be."""

import copy
import sys
from collections import OrderedDict

import pytest
import torch

from backbone_contract import check_every_cut, check_frozen
from headstart.backbones.stages import pooled
from headstart.backbones.weights.preprocessing.timm_preprocessing import timm_pixels
from headstart.backbones.zoo.timm_models import timm
from headstart.cli import main
from headstart.types import UserError

library = pytest.importorskip("timm")

# a small model of each family, at a size that is small for it
FAMILIES = {
    "test_resnet": 32, "test_vit": 32, "test_vit2": 32, "test_convnext": 32, "test_efficientnet": 32, "test_nfnet": 32,
    "test_byobnet": 32, "test_maxvit": 160, "test_mambaout": 32, "mobilenetv3_small_050": 32, "regnetx_002": 32,
    "eva02_tiny_patch14_224": 56, "starnet_s1": 32,
}  # fmt: skip
HEAVIER = {
    "densenet121": 64, "vgg11_bn": 64, "swin_tiny_patch4_window7_224": 224, "swinv2_tiny_window8_256": 256,
    "xcit_nano_12_p8_224": 64, "mvitv2_tiny": 224, "cait_xxs24_224": 64, "convit_tiny": 224, "volo_d1_224": 224,
    "inception_v3": 128, "legacy_xception": 96, "dla34": 64, "dpn68": 64, "pvt_v2_b0": 64, "caformer_s18": 64,
    "poolformer_s12": 64, "mixer_s32_224": 224, "convmixer_768_32": 64, "levit_128s": 224, "hiera_tiny_224": 224,
    "tresnet_m": 64, "vit_base_patch32_siglip_256": 256, "beit_base_patch16_224": 224, "coatnet_nano_rw_224": 224,
    "edgenext_xx_small": 64, "efficientformer_l1": 224, "fastvit_t8": 64, "focalnet_tiny_srf": 224, "nest_tiny": 224,
    "gcvit_xxtiny": 224, "rdnet_tiny": 64, "sequencer2d_s": 224, "tiny_vit_5m_224": 224, "resnetv2_18": 64,
    "mobilevit_xs": 64, "vit_small_patch16_dinov3": 64, "vit_tiny_r_s16_p8_224": 224, "legacy_seresnet18": 64,
    "hgnet_tiny": 64, "visformer_tiny": 224, "cs3darknet_s": 64, "rexnet_100": 64, "ese_vovnet19b_dw": 64,
    "ghostnet_050": 64, "repvit_m1_0": 64, "efficientvit_b0": 64,
}  # fmt: skip
ALL = [*FAMILIES.items(), *(pytest.param(*one, marks=pytest.mark.slow) for one in HEAVIER.items())]


def of(name, size, *, channels=3, keep=None):
    torch.manual_seed(0)
    return timm(name=name, size=size, channels=channels, keep=keep).eval()


def shaken(backbone):
    """Every number another one: layers that begin as zeros or ones would hide what is left out."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return backbone.double()


@pytest.mark.parametrize(("name", "size"), ALL)
def test_the_stages_chained_are_timms_own_model_at_every_cut_and_what_is_closed_does_not_change(name, size):
    backbone = of(name, size)
    image = torch.randn(2, 3, size, size)
    reached = check_every_cut(backbone, image)
    assert all(x.shape[2] == x.shape[3] for x in reached if x.ndim == 4)  # channels first
    check_frozen(backbone, image)
    _check_equals_the_model(name, shaken(backbone.eval()), image.double())


def _check_equals_the_model(name, backbone, image):
    try:
        net = library.create_model(name, img_size=image.shape[-1]).eval().double()
    except TypeError:  # a convolutional network takes any size
        net = library.create_model(name).eval().double()
    own = backbone.state_dict()
    state = OrderedDict((there, own[here]) for there, here in backbone.original.items())
    unmatched = net.load_state_dict(state, strict=False)
    assert not unmatched.unexpected_keys
    classifier = net.get_classifier()  # two of them where a model was distilled
    classifiers = classifier if isinstance(classifier, tuple) else (classifier,)
    heads = {id(tensor) for one in classifiers for tensor in one.state_dict(keep_vars=True).values()}
    here = net.state_dict(keep_vars=True)
    auxiliary = "aux_head."  # VOLO's, of training
    assert all(id(here[key]) in heads or key.startswith(auxiliary) for key in unmatched.missing_keys)
    assert len(set(backbone.original.values())) == len(backbone.original)
    assert set(backbone.original.values()) == set(own)
    with torch.no_grad():
        want = pooled(net.forward_head(net.forward_features(image), pre_logits=True))
        features = backbone(image)
    assert features.shape == (2, backbone.width)
    torch.testing.assert_close(features, want, rtol=1e-6, atol=1e-6 * float(want.abs().max()))


def test_stages_have_the_names_that_their_papers_use():
    assert of("test_resnet", 32).names == ("stem", "layer1", "layer2", "layer3", "layer4")
    assert of("test_convnext", 32).names == ("stem", "stage1", "stage2", "stage3", "stage4")
    assert of("test_vit", 32).names == ("embedding", "blocks1", "blocks2", "blocks3", "blocks4")
    assert of("test_mambaout", 32).names == ("stem", "stage1", "stage2", "stage3", "stage4", "fc")


def test_the_twelve_blocks_of_a_transformer_are_four_groups_of_three():
    backbone = of("vit_tiny_patch16_224", 32)
    groups = [[name for name, _ in stage.named_children() if name.isdigit()] for stage in backbone.stages.values()]
    assert groups == [[], ["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"], ["9", "10", "11"]]
    assert backbone.original["blocks.4.attn.qkv.weight"] == "stages.blocks2.4.attn.qkv.weight"
    assert backbone.original["cls_token"].startswith("stages.embedding.")


def test_timms_resnet_has_the_tensors_of_torchvisions_in_the_same_stages():
    from headstart.backbones.zoo.torchvision_models import torchvision

    assert of("resnet18", 32).original == dict(
        torchvision(name="resnet18", size=32, channels=3, keep=None).original.items()
    )


@pytest.mark.slow
def test_dropout_that_is_a_call_in_the_models_code_is_off_in_evaluation_and_on_in_training():
    backbone = of("ghostnet_050", 32)  # drops a fifth of the features before its classifier
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(backbone(image), backbone(image))
    for norm in (module for module in backbone.train().modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.eval()
    assert not torch.equal(backbone(image), backbone(image))


def test_building_one_model_or_another_leaves_the_runs_random_numbers_as_its_initialisation_does():
    torch.manual_seed(0)
    library.create_model("test_resnet", num_classes=0)
    want = torch.rand(1)
    torch.manual_seed(0)
    timm(name="test_resnet", size=32, channels=3, keep=None)
    assert torch.equal(torch.rand(1), want)


@pytest.mark.parametrize("name", ["convnext_tiny.fb_in22k", "vit_base_patch16_224.augreg_in21k", "efficientnet_b0"])
def test_the_pixels_are_what_timms_own_evaluation_transform_does(name):
    from timm.data import create_transform, resolve_model_data_config

    with torch.device("meta"):
        config = resolve_model_data_config(library.create_model(name))
    transform = create_transform(**config)
    pixels = timm_pixels(name, size=None, channels=3)
    resize, crop = transform.transforms[0], transform.transforms[1]
    assert (pixels.size, pixels.resize) == (crop.size[0], resize.size)
    assert pixels.interpolation == config["interpolation"]
    assert pixels.mean == pytest.approx(config["mean"])
    assert pixels.std == pytest.approx(config["std"])


def test_tags_of_one_architecture_have_pixels_of_their_own():
    plain, in22k = (timm_pixels(f"convnext_tiny.{tag}", size=None, channels=3) for tag in ("fb_in1k", "fb_in22k"))
    assert plain.resize == in22k.resize == 256
    assert timm_pixels("convnext_tiny.in12k_ft_in1k", size=None, channels=3).resize == int(224 / 0.95)
    assert timm_pixels("vit_base_patch16_224.augreg_in21k", size=None, channels=3).mean == (0.5, 0.5, 0.5)
    assert timm_pixels("convnext_tiny.fb_in22k", size=112, channels=1).resize == 128


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_enter_a_first_convolution_of_their_own(name, channels):
    backbone = of(name, 32, channels=channels)
    assert backbone(torch.zeros(1, channels, 32, 32)).shape == (1, backbone.width)
    assert len(backbone.pixels.mean) == len(backbone.pixels.std) == channels


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("convnext_tinny", None, r"got 'convnext_tinny'; the closest are .*convnext_tiny"),
        ("convnext_tiny.fb_in2k", None, r"convnext_tiny has no weights 'fb_in2k'; there are .*did you mean fb_in22k"),
        ("test_vit", 10, r"test_vit cannot take images of 10 pixels .*backbone.size=160"),
        ("test_maxvit", 65, r"test_maxvit cannot take images of 65 pixels .*backbone.size=160"),
        ("crossvit_tiny_240", None, r"crossvit_tiny_240 cannot be cut into stages: its own code cannot be followed"),
        ("pit_ti_224", None, r"pit_ti_224 cannot be cut into stages: more than one tensor passes between its blocks"),
    ],
)
def test_what_cannot_be_is_told(name, size, told):
    with pytest.raises(UserError, match=told):
        of(name, size)


def test_two_backbones_of_one_model_say_the_same_of_themselves_and_copies_compute_the_same():
    """By which the store of features tells structures, and averages of weights are taken."""
    one, other = of("test_vit", 32), of("test_vit", 32)
    assert str(one.stages) == str(other.stages)
    copied, image = copy.deepcopy(one), torch.randn(1, 3, 32, 32)
    assert torch.equal(copied(image), one(image))
    with torch.no_grad():
        next(one.parameters()).zero_()
    assert not torch.equal(copied(image), one(image))


def test_the_command_line_describes_a_model_and_tells_a_misspelt_one_in_a_line(capsys):
    assert main(["task=describe", "backbone=timm", "backbone.name=test_resnet.r160_in1k"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "images 3x160x160; weights=pretrained: timm test_resnet.r160_in1k"
    assert [line.split()[1] for line in lines[3:]] == ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert main(["task=describe", "backbone=timm", "backbone.name=test_resnett"]) != 0
    told = capsys.readouterr().err
    assert "the closest are test_resnet" in told
    assert "Traceback" not in told


def test_without_the_package_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"needs the package timm.*pip install 'headstart\[timm\]'"):
        of("test_resnet", 32)

"""The receptive field follows from kernels, strides, paddings and dilations."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from explained import QUICK_FIRST, family, of_stages, subject, untouched
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.explain.explained_network import Network, maps
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.receptive_field import ReceptiveFields, described
from headstart.explain.receptive_fields.pixel_box import PixelBox
from headstart.explain.receptive_fields.receptive_search import FieldFinder, field
from headstart.explain.receptive_fields.receptive_size import extents
from headstart.types import UserError


class Layer(NamedTuple):
    kernel: int
    stride: int
    padding: int
    dilation: int = 1
    ceil: bool = False

    def gives(self, size):
        """How many places a row of so many has after it."""
        steps = (size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) / self.stride
        return (math.ceil(steps) if self.ceil else math.floor(steps)) + 1


def by_hand(layers, place, size):
    """First and last pixel + 1 along one axis, cut by the borders of all maps on the way.

    Dumoulin & Visin 2016, A guide to convolution arithmetic (arXiv:1603.07285): place i sees the
    places i stride - padding + dilation j, j = 0 to kernel - 1, of the map before.
    """
    sizes = [size]
    for layer in layers:
        sizes.append(layer.gives(sizes[-1]))
    first = last = place
    for layer, before in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        first = max(0, first * layer.stride - layer.padding)
        last = min(before - 1, last * layer.stride - layer.padding + layer.dilation * (layer.kernel - 1))
    return first, last + 1


def layers_of(module):
    """A chain's own kernels, of its convolutions and poolings in the order that they stand in."""
    found = []
    for one in module.modules():
        if isinstance(one, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            numbers = [one.kernel_size, one.stride, one.padding, getattr(one, "dilation", 1)]
            numbers = [value[0] if isinstance(value, tuple) else value for value in numbers]
            found.append(Layer(*numbers, getattr(one, "ceil_mode", False)))  # type: ignore[call-arg]
    return found


def square(span):
    return PixelBox(span[0], span[0], span[1], span[1])


CHAINS = {
    "one convolution": [nn.Conv2d(3, 4, 5, padding=2)],
    "dilated": [nn.Conv2d(3, 4, 3, dilation=3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2)],
    "max pooling": [nn.Conv2d(3, 4, 3), nn.ReLU6(inplace=True), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 5, 3, padding=1)],
    "dilated max pooling": [nn.MaxPool2d(2, 1, dilation=4), nn.Conv2d(3, 4, 2, stride=2), nn.Hardswish()],
    "max pooling beyond the border": [
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Hardtanh(),
        nn.MaxPool2d(2, ceil_mode=True),
    ],
    "mean pooling": [nn.AvgPool2d(3, 2), nn.GELU(), nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.BatchNorm2d(4)],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("size", [24, 31])
def test_each_unit_of_a_chain_sees_what_the_closed_form_says(name, size):
    stage = nn.Sequential(*CHAINS[name])
    fields = FieldFinder(of_stages({"only": stage}, size=size))
    rows, columns = fields.places("only")
    for place in [(0, 0), (rows // 2, columns // 2), (1, columns - 1), (rows - 1, 2)]:
        (top, bottom), (left, right) = (by_hand(layers_of(stage), at, size) for at in place)
        assert fields.box("only", place) == PixelBox(top, left, bottom, right)
        assert int(fields.mask("only", place).sum()) == (bottom - top) * (right - left) or "dilated" in name


def test_between_dilated_taps_a_unit_sees_nothing():
    network = of_stages({"only": nn.Conv2d(3, 2, 2, dilation=3)}, size=8)
    assert FieldFinder(network).mask("only", (1, 2)).nonzero().tolist() == [[1, 2], [1, 5], [4, 2], [4, 5]]


def test_weights_that_are_zero_and_units_that_are_off_see_as_far_as_others():
    network = of_stages({"only": nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU())}, size=9)
    with torch.no_grad():
        for weight in network.backbone.parameters():
            weight.zero_()
    assert field(network, "only", (1, 2)) == PixelBox(1, 2, 6, 7)


def test_one_channel_sees_less_than_all_where_they_come_by_two_ways():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.near, self.far = nn.Conv2d(3, 1, 1), nn.Conv2d(3, 1, 5, padding=2)

        def forward(self, x):
            return torch.cat([self.near(x), self.far(x)], dim=1)

    network = of_stages({"only": Two()}, size=9)
    assert field(network, "only", (4, 4), channel=0) == PixelBox(4, 4, 5, 5)
    assert field(network, "only", (4, 4), channel=1) == field(network, "only", (4, 4)) == PixelBox(2, 2, 7, 7)


FUNCTIONS = {
    "relu": lambda x: F.relu(x, True), "clamp": lambda x: x.clamp(min=0), "clamp_": lambda x: x.clamp_(0, 6),
    "relu_": torch.relu_, "threshold": lambda x: F.threshold(x, 0.1, 0, True), "elu": F.elu,
    "maximum": lambda x: torch.maximum(x, -x), "hardsigmoid": F.hardsigmoid, "silu": F.silu,
    "hardtanh": lambda x: F.hardtanh(input=x), "thrown away": lambda x: (F.relu(x, inplace=True), x)[1],
}  # fmt: skip
POOLINGS = {
    "indices": lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True)[0], "maxima": nn.MaxPool2d(3, 1, 1),
    "torch's": lambda x: torch.max_pool2d(x, 3, 1, 1),
    "adaptive": lambda x: F.adaptive_max_pool2d(F.pad(x, 4 * [9]), 9),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FUNCTIONS, *POOLINGS])
def test_functions_pass_what_modules_pass(name):
    class Acting(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)

        def forward(self, x):
            return self.two((FUNCTIONS | POOLINGS)[name](self.one(x)))

    want = {"adaptive": PixelBox(0, 0, 9, 9)}.get(
        name, PixelBox(1, 1, 8, 8) if name in POOLINGS else PixelBox(2, 2, 7, 7)
    )
    fields = FieldFinder(of_stages({"only": Acting()}, size=9))
    assert fields.box("only", (4, 4)) == want
    assert int(fields.mask("only", (4, 4)).sum()) == want.height * want.width


def test_what_is_computed_under_open_gradients_is_what_the_network_computes():
    stage = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(True), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Hardswish())
    network = of_stages({"only": stage}, size=12)
    fields = FieldFinder(network)
    with torch.no_grad():
        want = stage.double()(fields._image)
    assert torch.allclose(fields._output("only"), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), [("vgg11", 96), ("alexnet", 224)])
def test_of_a_plain_network_the_middle_unit_sees_what_the_closed_form_says(name, size):
    backbone = torchvision(name=name, size=size, channels=3, keep=4 if name == "vgg11" else 3).eval()
    network = Network(backbone, nn.Identity())
    fields = FieldFinder(network)
    before = []
    for stage, module in backbone.stages.items():
        before += layers_of(module)
        middle = fields.places(stage)[0] // 2
        assert fields.box(stage, None) == square(by_hand(before, middle, size))


RESNET18 = {  # the way through all 3x3 convolutions, which see furthest
    "stem": [Layer(7, 2, 3), Layer(3, 2, 1)],
    "layer1": [Layer(3, 1, 1)] * 4,
    **{f"layer{n}": [Layer(3, 2, 1), *[Layer(3, 1, 1)] * 3] for n in (2, 3, 4)},
}


def test_the_units_of_a_resnet_see_as_far_as_the_longest_way_does():
    network = family("resnet18")
    fields, found = FieldFinder(network), extents(network, network.stages)
    layers = []
    for stage, own in RESNET18.items():
        layers += own
        for place in (0, fields.places(stage)[0] // 2):
            assert fields.box(stage, (place, place)) == square(by_hand(layers, place, 64))
        first, last = by_hand(layers, 500, 10**5)
        assert (found[stage].height, found[stage].width) == (last - first, last - first)
    assert [found[stage].height for stage in RESNET18] == [11, 43, 99, 211, 435]
    assert [found[stage].stride for stage in RESNET18] == [4, 4, 8, 16, 32]


def test_one_pass_over_the_whole_map_sees_the_whole_image():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.gate = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.first(x)
            return x * F.hardsigmoid(self.gate(F.adaptive_avg_pool2d(F.relu(x), 1)))

    network = of_stages({"near": nn.Conv2d(3, 3, 3, padding=1), "gated": Gated()}, size=20)
    found = extents(network, network.stages)
    assert described(found["near"]) == "3 x 3 pixels, stride 1, 2.2 % of the image"
    assert described(found["gated"]) == "the whole image, stride 1"


def test_a_token_sees_its_patch_before_attention_and_the_whole_image_after():
    network = family("vit_b_32")
    fields = FieldFinder(network)
    assert fields.box("embedding", (1, 0)) == PixelBox(32, 0, 64, 32)
    assert fields.box("blocks1", (1, 0)) == fields.box("blocks4", None) == PixelBox(0, 0, 64, 64)


def test_a_stage_that_is_not_there_and_one_without_gradients_are_errors():
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach()

    network = of_stages({"stage1": nn.Conv2d(3, 2, 3), "cut": Cut()}, size=8)
    with pytest.raises(UserError, match="did you mean stage1"):
        field(network, "stage2", (0, 0))
    with pytest.raises(UserError, match="rows 0 to 5 and columns 0 to 5, got"):
        field(network, "stage1", (6, 0))
    with pytest.raises(UnfitError, match="none leads from cut"):
        field(network, "cut", (0, 0))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_in_every_family_fields_grow_with_depth_and_nothing_else_is_seen(name):
    """Against the network itself: what lies outside the field of a unit does not change it."""
    network = family(name)
    size = network.backbone.pixels.size
    fields, shares = FieldFinder(network), []
    with untouched(network), torch.no_grad():
        masks = {stage: fields.mask(stage, None) for stage in network.stages}
        for stage, mask in masks.items():
            shares.append(float(mask.double().mean()))
            placed = fields.places(stage)
            if placed and not mask.all():
                images = torch.rand(3, 3, size, size)
                images = torch.where(mask, images[:1], images)
                row, column = placed[0] // 2, placed[1] // 2
                seen = maps(network.activations(images, stage))[..., row, column]
                assert torch.allclose(seen[1:], seen[:1], atol=1e-5, rtol=1e-4)
    assert shares == sorted(shares)
    assert shares[0] > 0


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", pytest.param("mobilenet_v3_small", marks=pytest.mark.slow)])
def test_the_caption_tells_size_stride_and_share_of_each_stage(name):
    network = family(name)
    with untouched(network), network.at_rest():
        (shown,) = ReceptiveFields(stages=None).drawn(subject(network))
    for stage in network.stages:
        assert f"{stage}: " in shown.caption
    first = {
        "shufflenet_v2_x0_5": "stem: 7 x 7 pixels, stride 4, 1.2 % of the image",
        "vit_b_32": "blocks4: the whole image",
    }
    assert first.get(name, "stage1: the whole image, stride 4") in shown.caption

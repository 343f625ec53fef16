"""A user's network, cut where the user says, computes what it did."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision import models

from headstart.backbones.weights.backbone_weights import Weights, load
from headstart.backbones.weights.tensors.tensor_matching import complete, matching
from headstart.backbones.zoo.user_module import module
from headstart.cli import main
from headstart.types import UserError


class Plain(nn.Module):
    """Much of it is no layer: rectifiers, pooling, dropout, the way to the classifier."""

    def __init__(self, *, width=4):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3)
        self.fc1, self.fc2 = nn.Linear(2 * width, 6), nn.Linear(6, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.dropout(x.mean((2, 3)), 0.5, training=self.training)
        return functional.log_softmax(self.fc2(functional.relu(self.fc1(x))), dim=1)

    def features(self, x):
        x = functional.relu(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(self.fc1(functional.max_pool2d(x, 2).mean((2, 3))))


class Asking(nn.Module):
    """Its code asks the numbers in an image; its layers are called one after the other."""

    def __init__(self, *, scale=False):
        super().__init__()
        self.low, self.high = nn.Conv2d(1, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 8, 3), nn.AdaptiveAvgPool2d(1))
        self.flat, self.head = nn.Flatten(), nn.Linear(8, 3)
        self.scale = scale

    def forward(self, x):
        if x.isnan().any():
            raise ValueError("no image")
        x = self.low(x)
        return self.head(self.flat(self.high(2 * x if self.scale else x)))


class Backwards(nn.Module):
    def __init__(self):
        super().__init__()
        self.second, self.first, self.head = nn.Conv2d(2, 3, 1), nn.Conv2d(1, 2, 1), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.second(self.first(x)).mean((2, 3)))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.join = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.join(torch.cat([self.left(x), self.right(x)], 1)).mean((2, 3))


HERE = __name__
of = partial(module, settings={}, classifier=None, size=16, channels=1, mean=None, std=None, keep=None)
image = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def the_net(cls, backbone):
    """The network itself, with the backbone's numbers."""
    net = cls().eval()
    own = backbone.state_dict()
    net.load_state_dict({there: own[here] for there, here in backbone.original.items()}, strict=False)
    return net


def test_a_networks_own_code_between_its_layers_is_kept():
    backbone = of(target=f"{HERE}.Plain", stages=["conv1", "conv2", "fc1"]).eval()
    assert backbone.names == ("conv1", "conv2", "fc1")
    assert (backbone.pixels.mean, backbone.width) == ((0.5,), 6)
    torch.testing.assert_close(backbone(image), the_net(Plain, backbone).features(image))
    assert set(backbone.original.values()) == set(backbone.state_dict())
    assert set(Plain().state_dict()) - set(backbone.original) == {"fc2.weight", "fc2.bias"}


def test_its_dropout_is_on_in_training_alone():
    backbone = of(target=f"{HERE}.Plain", stages=["conv1", "conv2"], settings={"width": 40}, classifier="fc1")
    assert torch.equal(backbone.eval()(image), backbone(image))
    assert backbone.width == 80
    share = (backbone.train()(image) == 0).float().mean() - (backbone.eval()(image) == 0).float().mean()
    assert 0.2 < share < 0.8


@pytest.mark.parametrize(
    "stages",
    [
        {"low": ["conv1", "bn1"], "high": ["conv2", "fc1"]},
        {"low": "(conv|bn)1", "high": "conv2|fc1"},
        {"low": ["conv1", "bn1"], "high": "conv2|fc1"},
    ],
)
def test_stages_may_be_lists_of_layers_or_regular_expressions(stages):
    backbone = of(target=f"{HERE}.Plain", stages=stages).eval()
    assert backbone.names == ("low", "high")
    assert set(backbone.stages["low"].state_dict()) == {
        f"{layer}.{name}" for layer in ("conv1", "bn1") for name in getattr(Plain(), layer).state_dict()
    }
    torch.testing.assert_close(backbone(image), the_net(Plain, backbone).features(image))


def test_torchvisions_resnet_by_the_names_of_its_layers_is_the_one_that_is_built_in():
    from headstart.backbones.zoo.torchvision_models import torchvision

    stages = {"stem": ["conv1", "bn1"], **{f"layer{n}": [f"layer{n}"] for n in (1, 2, 3, 4)}}
    target = "torchvision.models.resnet18"
    backbone = module(
        target=target, settings={"weights": None}, stages=stages, classifier=None, size=32, channels=3,
        mean=None, std=None, keep=None,
    ).eval()  # fmt: skip
    built_in = torchvision(name="resnet18", size=32, channels=3, keep=None).eval()
    assert backbone.names == built_in.names
    for name in built_in.names[:-1]:  # the last one ends with the network's own pooling
        assert set(backbone.stages[name].state_dict()) == set(built_in.stages[name].state_dict())
    net = models.resnet18(weights=None).eval()
    for one in (backbone, built_in):
        found = matching(net.state_dict(), one, prefix=None)
        load(one, Weights(backbone=complete(found, one, reset_from=None)))
    pixels = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(backbone(pixels), built_in(pixels))
    torch.testing.assert_close(net.fc(backbone(pixels)), net(pixels))


def numbered():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))


def test_layers_that_have_numbers_for_names_and_no_classifier_make_stages_with_names():
    backbone = of(target=f"{HERE}.numbered", stages=["0", "2.0"]).eval()
    assert backbone.names == ("layer0", "layer2_0")
    net = the_net(numbered, backbone)
    torch.testing.assert_close(backbone(image), net(image).mean((2, 3)))


def test_from_the_command_line_with_settings_and_names_of_stages(capsys, monkeypatch):
    given = [
        "task=describe", "backbone=module", f"backbone.target={HERE}.Plain", "+backbone.settings.width=5",
        "backbone.size=16", "backbone.channels=1",
    ]  # fmt: skip
    assert main([*given, "backbone.stages={low: [conv1, bn1], high: conv2|fc1}"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[3:]] == ["low", "high"]
    assert main([*given, "backbone.stages=[conv1,conv3]"]) != 0
    told = capsys.readouterr().err
    assert "conv3 is no layer of Plain; did you mean conv2?" in told
    assert "Traceback" not in told
    assert main([*given, "backbone.stages=3"]) != 0
    assert "backbone.stages must be a list" in capsys.readouterr().err


def test_code_that_cannot_be_followed_is_replaced_by_the_chain_of_its_layers_where_that_is_the_same():
    backbone = of(target=f"{HERE}.Asking", stages=["low", "high"]).eval()
    assert backbone.names == ("low", "high")
    net = the_net(Asking, backbone)
    torch.testing.assert_close(net.head(backbone(image)), net(image))


def test_and_refused_with_the_place_where_it_is_not():
    with pytest.raises(UserError, match=r"what enters high.0 is not what low gives.*write what is between them"):
        of(target=f"{HERE}.Asking", settings={"scale": True}, stages=["low", "high"])


@pytest.mark.parametrize(
    ("net", "stages", "told"),
    [
        ("Plain", ["conv1", "convv2"], r"stage convv2: convv2 is no layer of Plain; did you mean conv2"),
        ("Plain", {"low": "x+"}, r"stage low: x\+ is no layer of Plain; its layers are conv1"),
        ("Plain", {"low": ["conv1"], "high": ["conv2"]}, r"bn1 learns and is in no stage"),
        ("Plain", ["conv2"], r"uses conv1 before the first stage"),
        ("Backwards", ["second", "first"], r"uses second of stage second after stage first; name the stages in"),
        ("Branches", ["left", "right", "join"], r"cannot be cut at stage right: more than one tensor passes at right"),
        ("Plain", {"low": ["conv1", "bn1"], "head": ["conv2"]}, r"and not head, all, biases, norms, got 'head'"),
        ("Plain", {"low": "conv1("}, r"'conv1\(' is neither a layer nor a regular expression"),
        ("Nothing", ["a"], r"must be the dotted name of a class or function.*Nothing; is it spelt"),
        ("image", ["a"], r"must be the dotted name of a class or function"),
        ("the_net", ["a"], r"cannot be called with backbone.settings=\{\}"),
    ],
)
def test_what_cannot_be_is_told(net, stages, told):
    with pytest.raises(UserError, match=told):
        of(target=f"{HERE}.{net}", stages=stages)


def test_images_that_the_network_cannot_take_and_values_of_other_channels_are_told():
    with pytest.raises(UserError, match=r"Plain cannot take images 3x16x16 .*try other backbone.size"):
        of(target=f"{HERE}.Plain", stages=["conv1", "conv2"], channels=3)
    with pytest.raises(UserError, match=r"must have 1 values, one a channel"):
        of(target=f"{HERE}.Plain", stages=["conv1"], mean=[0.5, 0.5])

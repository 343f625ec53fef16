"""The units that never answer, and those always at their bound, are the planted ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.dead_units import DeadUnits, tallies


def identity(*biases, act, size=6):
    """One channel a bias, all of them the image's first channel, normalised to -1 to 1, plus that."""
    conv = nn.Conv2d(3, len(biases), 1)
    network = of_stages({"only": nn.Sequential(conv, act)}, size=size)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, 0] = 1.0
        conv.bias.copy_(torch.tensor(biases))
    return network


def seen(network, images, batch_size=2):
    parts = [images[at : at + batch_size] for at in range(0, len(images), batch_size)]
    with network.at_rest():
        return tallies(network, parts, network.stages)


IMAGES = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
DEAD, BETWEEN, FULL = -1.5, 0.5, 9.0  # of the image's -1 to 1


@pytest.mark.parametrize(
    ("act", "dead", "saturated"),
    [
        (nn.ReLU(), [0], []), (nn.ReLU(inplace=True), [0], []), (nn.ReLU6(), [0], [2]), (nn.GELU(), [0], []),
        (nn.Hardtanh(-1, 1), [], [2]), (nn.Hardtanh(0, 3), [0], [2]), (nn.Sigmoid(), [], [2]), (nn.Tanh(), [], [2]),
        (nn.Hardsigmoid(), [], [2]), (nn.Hardswish(), [0], []), (nn.SiLU(), [0], []), (nn.LeakyReLU(), [0], []),
    ],
)  # fmt: skip
def test_a_planted_dead_unit_and_a_planted_saturated_one_are_found_and_no_other(act, dead, saturated):
    (tally,) = seen(identity(DEAD, BETWEEN, FULL, act=act), IMAGES)
    assert (tally.dead(), tally.saturated(0.99)) == (dead, saturated)
    assert tally.places == 5 * 36


@pytest.mark.parametrize("cut", [torch.relu, torch.Tensor.relu_, lambda x: x.clamp(min=0), lambda x: x.clamp_min_(0.0)])
def test_a_relu_is_one_however_it_is_called(cut):
    class Cut(nn.Module):
        def forward(self, x):
            return cut(x)

    (tally,) = seen(identity(DEAD, BETWEEN, act=Cut()), IMAGES)
    assert (tally.kind.called, tally.dead()) == ("relu", [0])


def test_one_positive_place_of_one_image_is_enough_to_be_alive():
    images = torch.full((5, 3, 6, 6), -1.0)
    network = identity(0.0, -0.5, act=nn.ReLU())
    images[3, 0, 2, 4] = 0.25
    (tally,) = seen(network, images)
    assert tally.dead() == [1]


def test_saturated_is_a_share_of_the_places():
    images = torch.full((1, 3, 10, 10), 1.0)
    images[0, 0, 0, 0] = -1.0
    network = identity(5.0, act=nn.ReLU6(), size=10)
    (tally,) = seen(network, images)  # 99 of 100 places are at 6
    assert tally.saturated(0.99) == [0]
    assert tally.saturated(0.995) == []


def test_batches_do_not_change_what_is_found():
    network = plain()
    images = torch.rand(7, 3, 16, 16)
    for one, other in zip(seen(network, images, 1), seen(network, images, 7), strict=True):
        assert torch.equal(one.positive, other.positive)
        assert torch.equal(one.bound, other.bound)
        assert one.places == other.places


def test_a_function_that_is_called_twice_has_two_sets_of_units():
    relu = nn.ReLU()
    one, two = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 3, 1)
    network = of_stages({"a": nn.Sequential(one, relu, two, relu), "b": nn.Conv2d(3, 2, 1)}, size=4)
    with torch.no_grad():
        one.bias[:] = torch.tensor([-50.0, 50.0])
        two.bias[:] = torch.tensor([90.0, -90.0, 90.0])
        two.weight.clamp_(-0.1, 0.1)
    found = seen(network, IMAGES[..., :4, :4])
    assert [(tally.stage, tally.dead()) for tally in found] == [("a", [0]), ("a", [1])]
    with network.at_rest():
        (shown,) = DeadUnits(stages=None, saturated=0.99).drawn(subject(network))
    assert "a: 5 units of 2 relu, 2 dead (1:0, 2:1)." in shown.caption


def test_after_a_linear_layer_the_last_dimension_is_the_units():
    class Last(nn.Module):
        """As ConvNeXt and Swin have it: maps with the channels last, of as many rows as channels before."""

        def __init__(self):
            super().__init__()
            self.wide = nn.Linear(3, 7)

        def forward(self, x):
            return F.gelu(self.wide(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

    stage = Last()
    network = of_stages({"only": stage}, size=5)
    with torch.no_grad():
        stage.wide.bias[:] = 20.0
        stage.wide.bias[4] = -20.0
    (tally,) = seen(network, IMAGES[..., :5, :5])
    assert tally.dead() == [4]
    assert tally.places == 5 * 25


def test_a_network_without_activation_functions_is_told():
    network = of_stages({"only": nn.Conv2d(3, 2, 3)}, size=6)
    with pytest.raises(UnfitError, match="none was met"), network.at_rest():
        list(DeadUnits(stages=None, saturated=0.99).drawn(subject(network)))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_in_every_family_each_stage_tells_of_its_functions(name):
    network = family(name)
    few = subject(network, searched=2, batch_size=2)
    with untouched(network), network.at_rest():
        found = tallies(network, (batch.image for batch in few.searched()), network.stages)
        (shown,) = DeadUnits(stages=None, saturated=0.99).drawn(few)
    widths = {module.num_features for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)}
    widths |= {module.out_channels for module in network.backbone.modules() if isinstance(module, nn.Conv2d)}
    widths |= {module.out_features for module in network.backbone.modules() if isinstance(module, nn.Linear)}
    for tally in found:
        assert len(tally.bound) in widths
        assert f"{tally.stage}: " in shown.caption


def test_of_a_resnet_all_units_of_all_its_functions_are_counted():
    network = family("resnet18")
    few = subject(network, searched=2)
    found = tallies(network, (batch.image for batch in few.searched()), network.stages)
    assert sum(len(tally.bound) for tally in found) == 64 + 4 * (64 + 128 + 256 + 512)

"""A projection is the way back through switches, ReLUs and transposed filters."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import SqueezeExcitation

from explained import family, of_stages, plain, subject, untouched
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.deconvnet import Deconvnet, box, projection, projections, strongest
from headstart.types import UserError
from relu_hooks import lets_positive, resnet_with_statistics, with_hooks


def image(network, seed=0):
    pixels = network.backbone.pixels
    return torch.randn(1, pixels.channels, pixels.size, pixels.size, generator=torch.Generator().manual_seed(seed))


def test_one_convolution_projects_its_filter_times_the_activation():
    """y = relu(2 x[0,0] - x[0,1] + x[1,0] + 5): the bias makes the unit stronger and is not gone back through."""
    conv = nn.Conv2d(1, 1, 2)
    network = of_stages({"stage1": nn.Sequential(conv, nn.ReLU())}, size=3, channels=1)
    with torch.no_grad():
        conv.weight[0, 0] = torch.tensor([[2.0, -1.0], [1.0, 0.0]])
        conv.bias.fill_(5)
    x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    with network.at_rest():
        found = projection(network, x, stage="stage1", channel=0, place=(1, 1))  # 2*5 - 6 + 8 + 5 = 17
    assert found[0].tolist() == [[0, 0, 0], [0, 34, -17], [0, 17, 0]]


def test_the_signal_is_cut_at_relus_that_lie_below():
    """Two units below with filters 1 and -1, of which the one above takes -3 and 2: only the 2 comes back."""
    below, above = nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1)
    network = of_stages({"stage1": nn.Sequential(below, nn.ReLU(), above)}, size=2, channels=1)
    with torch.no_grad():
        below.weight[:, 0, 0, 0] = torch.tensor([1.0, -1.0])
        above.weight[0, :, 0, 0] = torch.tensor([-3.0, 2.0])
        above.bias.fill_(10)
    x = torch.ones(1, 1, 2, 2)
    with network.at_rest():
        found = projection(network, x, stage="stage1", channel=0, place=(0, 1))  # 10 - 3 = 7
    assert found[0].tolist() == [[0, -14], [0, 0]]  # 7 * 2 * -1, though that unit was off


def chain_of_zeiler(network, x, channel, place):
    """The way back, step by step, with torch's own unpooling and transposed convolutions."""
    first, second = (network.backbone.stages[name][0] for name in ("stage1", "stage2"))
    a, where_a = F.max_pool2d(F.relu(first(x)), 2, return_indices=True)
    b, where_b = F.max_pool2d(F.relu(second(a)), 2, return_indices=True)
    kept = torch.zeros_like(b)
    kept[0, channel, *place] = b[0, channel, *place]
    back = F.conv_transpose2d(F.relu(F.max_unpool2d(kept, where_b, 2)), second.weight, padding=1)
    return F.conv_transpose2d(F.relu(F.max_unpool2d(back, where_a, 2)), first.weight, padding=1)[0]


@torch.no_grad()
def test_the_plain_network_is_gone_back_through_by_switches_relus_and_transposed_filters():
    network = plain()
    for seed in range(3):
        x = image(network, seed)
        for channel in range(8):
            for place in ((0, 0), (1, 3), (3, 2)):
                want = chain_of_zeiler(network, x, channel, place)
                with network.at_rest():
                    found = projection(network, x, stage="stage2", channel=channel, place=place)
                torch.testing.assert_close(found, want, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def resnet():
    return resnet_with_statistics()


@pytest.mark.parametrize("stage", ["stem", "layer1", "layer2", "layer3", "layer4"])
def test_a_resnet_is_gone_back_through_as_by_hooks_on_relus_of_their_own(resnet, stage):
    x = image(resnet)
    hooked = with_hooks(resnet.backbone, lets_positive)
    leaf = x.clone().requires_grad_()
    output = hooked.eval().outputs(leaf)[stage]
    for channel in (0, 5):
        place = divmod(int(output[0, channel].argmax()), output.shape[3])
        signal = torch.zeros_like(output)
        signal[0, channel, *place] = output[0, channel, *place]
        (want,) = torch.autograd.grad(output, leaf, signal.detach(), retain_graph=True)
        with resnet.at_rest(), untouched(resnet):
            found = projection(resnet, x, stage=stage, channel=channel, place=None)
        torch.testing.assert_close(found, want[0], atol=1e-5 * float(want.abs().max()), rtol=1e-5)
        assert found.abs().max() > 0


@pytest.mark.parametrize("name", ["regnet_y_400mf", "mobilenet_v2"])
def test_gates_are_held_and_relu6_is_a_relu(name):
    """Whose ReLUs are modules that are used once; in a copy each has a hook, and each gate is a number."""
    network = family(name)
    copied = copy.deepcopy(network.backbone)
    for module in copied.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6)):
            module.inplace = False
            module.register_full_backward_hook(lets_positive)
        if isinstance(module, SqueezeExcitation):
            module.scale_activation.register_forward_hook(lambda _, into, out: out.detach())  # noqa: ARG005
    x, stage = image(network), network.stages[-2]
    leaf = x.clone().requires_grad_()
    output = copied.outputs(leaf)[stage]
    channel = int(output.flatten(2).amax(dim=2)[0].argmax())
    place = divmod(int(output[0, channel].argmax()), output.shape[3])
    signal = torch.zeros_like(output)
    signal[0, channel, *place] = output[0, channel, *place].detach()
    (want,) = torch.autograd.grad(output, leaf, signal)
    with network.at_rest(), untouched(network):
        found = projection(network, x, stage=stage, channel=channel, place=None)
    torch.testing.assert_close(found, want[0], atol=1e-5 * float(want.abs().max()), rtol=1e-5)
    assert found.abs().max() > 0


def test_captums_deconvolution_of_a_neuron_times_its_activation_is_the_projection():
    from captum.attr import NeuronDeconvolution

    network = of_stages({"whole": nn.Sequential(*plain().backbone.stages.values())}, size=16)
    x, stage = image(network), network.backbone.stages["whole"]
    captums = copy.deepcopy(stage)
    reference = NeuronDeconvolution(nn.Sequential(captums), captums)
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        want = reference.attribute(x.clone().requires_grad_(), neuron_selector=(3, 1, 2)).detach()
    activation = stage(x)[0, 3, 1, 2].item()
    with network.at_rest():
        found = projection(network, x, stage="whole", channel=3, place=(1, 2))
    torch.testing.assert_close(found, want[0] * activation, atol=1e-6, rtol=1e-5)


def test_each_image_of_several_is_projected_by_itself():
    network = plain()
    x = torch.cat([image(network, 0), image(network, 1)])
    with network.at_rest():
        both = projections(network, x, stage="stage2", channels=[2, 6], places=[(0, 1), (3, 3)])
        for row, (channel, place) in enumerate([(2, (0, 1)), (6, (3, 3))]):
            alone = projection(network, x[row : row + 1], stage="stage2", channel=channel, place=place)
            torch.testing.assert_close(both[row], alone, atol=1e-6, rtol=1e-5)


def test_without_max_pooling_a_projection_is_the_same_for_each_image_but_for_its_strength():
    """Which Springenberg et al. 2014, section 3.4, say of deconvnets; with it, it is not."""
    for network, same in ((family("mobilenet_v2"), True), (plain(), False)):
        x, stage = torch.cat([image(network, 0), image(network, 1)]), network.stages[-1]
        with network.at_rest():
            unit = strongest(network, x[:1], stage=stage, count=1)[0]
            found = projections(network, x, stage=stage, channels=[unit.channel] * 2, places=[unit.place] * 2)
            strength = network.activations(x, stage)[:, unit.channel, *unit.place].detach()
        assert (strength > 0).all()
        one, other = found / strength[:, None, None, None]
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 * float(one.abs().max())) == same


def test_no_place_is_the_strongest_of_the_map():
    network = plain()
    x = image(network)
    with network.at_rest():
        activations = network.activations(x, "stage1")[0, 4]
        place = divmod(int(activations.argmax()), activations.shape[1])
        found = projection(network, x, stage="stage1", channel=4, place=None)
        assert torch.equal(found, projection(network, x, stage="stage1", channel=4, place=place))


def test_the_strongest_units_are_the_largest_maxima_of_maps():
    network = plain()
    x = image(network)
    with network.at_rest():
        maxima = network.activations(x, "stage2")[0].amax(dim=(1, 2))
        units = strongest(network, x, stage="stage2", count=3)
        activations = network.activations(x, "stage2")[0]
    assert [unit.activation for unit in units] == maxima.sort(descending=True).values[:3].tolist()
    assert all(activations[unit.channel, *unit.place] == unit.activation for unit in units)


def test_features_are_maps_of_one_place():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False), nn.ReLU())
    network = of_stages({"fc": flat}, size=2, channels=1)
    with torch.no_grad():
        flat[1].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 0.0, 0.0]]))
    with network.at_rest():
        found = projection(network, torch.ones(1, 1, 2, 2), stage="fc", channel=0, place=None)
    assert found[0].tolist() == [[10, 20], [30, 40]]


def test_a_first_layer_that_works_in_place_does_not_change_the_image():
    network = of_stages({"stage1": nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.ReLU())}, size=8)
    x = image(network)
    before = x.clone()
    with network.at_rest():
        found = projection(network, x, stage="stage1", channel=0, place=None)
    assert torch.equal(x, before)
    assert found.min() >= 0  # the last on the way back is a ReLU


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_whatever_mode_the_caller_is_in(mode):
    network = plain()
    x = image(network)
    with network.at_rest():
        want = projection(network, x, stage="stage2", channel=1, place=None)
    with mode(), network.at_rest():
        assert torch.equal(projection(network, x, stage="stage2", channel=1, place=None), want)
        assert want.abs().max() > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stage": "stage3", "channel": 0, "place": None}, "the stages are stage1, stage2, got 'stage3'"),
        ({"stage": "stage1", "channel": 6, "place": None}, "the channels of stage1 are 0 to 5, got 6"),
        ({"stage": "stage2", "channel": 0, "place": (0, 4)}, r"rows 0 to 3 and columns 0 to 3, got \(0, 4\)"),
    ],
)
def test_what_is_not_there_is_said(settings, said):
    network = plain()
    with network.at_rest(), pytest.raises(UserError, match=said):
        projection(network, image(network), **settings)


def test_a_network_without_relus_is_unfit():
    network = of_stages({"stage1": nn.Conv2d(3, 2, 3)}, size=8)
    with network.at_rest(), pytest.raises(UnfitError, match="this network has none; gradient, "):
        projection(network, image(network), stage="stage1", channel=0, place=None)


def test_stages_below_another_activation_are_drawn_and_those_above_it_left_out():
    network = of_stages(
        {
            "stage1": nn.Conv2d(3, 4, 3),
            "stage2": nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3)),
            "stage3": nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3), nn.GELU()),
        },
        size=12,
    )
    with network.at_rest():
        drawn = list(Deconvnet(stages=None, units=2).drawn(subject(network, count=2)))
        # though no ReLU is on the way to stage1
        assert [shown.name for shown in drawn] == ["001-stage1", "001-stage2", "002-stage1", "002-stage2"]
        with pytest.raises(UnfitError, match="on the way to stage3 this network has GELU"):
            list(Deconvnet(stages=["stage3"], units=2).drawn(subject(network, count=1)))


def test_the_box_of_a_projection_is_where_it_is_something():
    found = torch.zeros(3, 10, 12)
    found[0, 2, 3], found[2, 4, 9] = 1.0, -0.5
    found[1, 9, 0] = 0.04  # too little
    rows, columns = box(found)
    assert (columns.start, columns.stop) == (3, 10)
    assert (rows.start, rows.stop) == (0, 7)  # as high as wide, about the middle, within the image
    assert box(torch.zeros(3, 10, 12)) == (slice(0, 10), slice(0, 12))


def test_a_sheet_names_its_units_and_does_not_hang_on_the_batch_size():
    network = plain()
    with network.at_rest(), untouched(network):
        one, other = (
            list(Deconvnet(stages=["stage2"], units=3).drawn(subject(network, count=1, batch_size=size)))
            for size in (1, 3)
        )
        x = network.entering(subject(network, count=1).images.pixels)
        units = strongest(network, x, stage="stage2", count=3)
    assert (one[0].image == other[0].image).all()
    for unit in units:
        row, column = unit.place
        assert f"channel {unit.channel} at row {row}, column {column}: {unit.activation:.3g}" in one[0].caption
    assert one[0].caption.startswith("0.png, stage2")

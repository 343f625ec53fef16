"""Class activation maps equal those of the papers."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.picture_protocol import ExplainedImages, UnfitError
from headstart.explain.pictures.grad_cam import (
    GradCAM,
    GradCAMPlusPlus,
    Slopes,
    grad_cam,
    grad_cam_plus_plus,
    last_with_slopes,
    slopes,
)
from headstart.explain.rendering import map_rendering


def test_the_map_is_that_which_one_computes_by_hand():
    """Means of the derivatives are 1 and -2: the first map once, less the second twice, where that is positive."""
    maps = torch.tensor([[[[4.0, 1.0], [2.0, 3.0]], [[1.0, 1.0], [0.0, 2.0]]]])
    gradient = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]], [[-2.0, -2.0], [-2.0, -2.0]]]])
    assert grad_cam(Slopes(maps, gradient)).tolist() == [[[2, 0], [2, 0]]]


def test_the_map_of_grad_cam_plus_plus_is_that_which_one_computes_by_hand():
    """Of a map with sum 10 and derivatives 2 and -1: alpha 4 / (8 + 80) and 1 / (2 - 10); only the 2 has a weight."""
    maps = torch.tensor([[[[4.0, 1.0], [2.0, 3.0]]]])
    gradient = torch.tensor([[[[2.0, -1.0], [0.0, 0.0]]]])
    found = grad_cam_plus_plus(Slopes(maps, gradient))
    torch.testing.assert_close(found, 2 * 4 / 88 * maps[:, 0])


def test_places_whose_derivatives_are_nothing_do_not_become_nan():
    assert grad_cam_plus_plus(Slopes(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2))).eq(0).all()


def test_two_objects_count_alike_in_grad_cam_plus_plus_where_one_map_is_larger():
    """Two maps raise the logit as much per place, one in 1 place and one in 9: Grad-CAM weighs them 1 to 9."""
    maps = torch.zeros(1, 2, 6, 6)
    maps[0, 0, 0, 0], maps[0, 1, 3:6, 3:6] = 1.0, 1.0
    gradient = maps.clone()
    plain_map, plus = grad_cam(Slopes(maps, gradient))[0], grad_cam_plus_plus(Slopes(maps, gradient))[0]
    assert plain_map[0, 0] / plain_map[4, 4] == pytest.approx(1 / 9)
    assert plus[0, 0] / plus[4, 4] > 0.4


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_it_is_captums(stage):
    network = plain()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with network.at_rest():
        found = grad_cam(slopes(network, x, torch.tensor([2, 0]), stage=stage))
        whole = nn.Sequential(network.backbone, network.head)
        want = LayerGradCam(whole, network.backbone.stages[stage]).attribute(
            x, target=torch.tensor([2, 0]), relu_attributions=True
        )
    torch.testing.assert_close(found, want[:, 0])


def test_the_last_stage_whose_places_reach_the_logit_is_taken():
    """The class token of a transformer's last block is all that the logit is read from."""
    vit = family("vit_b_32")
    x = vit.entering(subject(vit).images.pixels[:1])
    with vit.at_rest():
        assert last_with_slopes(vit, x, torch.tensor([0])) == "blocks3"
        network = plain()
        assert last_with_slopes(network, torch.randn(1, 3, 16, 16), torch.tensor([0])) == "stage2"


def test_a_network_without_maps_is_told_which_kinds_apply():
    network = of_stages({"only": nn.Sequential(nn.Flatten(), nn.Linear(48, 5))}, size=4)
    with network.at_rest(), pytest.raises(UnfitError, match=r"none; gradient, .* and occlusion apply"):
        list(GradCAM(stage=None, of="label").drawn(subject(network)))


@pytest.mark.parametrize("name", QUICK_FIRST)
@pytest.mark.parametrize("kind", [GradCAM, GradCAMPlusPlus])
def test_every_family_has_a_map_of_a_stage_with_places_and_is_left_as_it_was(name, kind):
    network = family(name)
    with untouched(network), torch.inference_mode(), network.at_rest():
        shown = list(kind(stage=None, of="label").drawn(subject(network, count=2)))
    assert [one.name for one in shown] == ["001", "002"]
    places = shown[0].caption.split(": from ")[1].split(" places of ")[0]
    assert all(int(side) > 1 for side in places.split(" x "))


def test_a_map_of_a_thousandth_looks_like_nothing_beside_one_of_the_whole_and_the_caption_says_both():
    network = of_stages(
        {"only": nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())}, size=32, channels=1, classes=2
    )
    with torch.no_grad():
        network.backbone.stages["only"][0].weight.fill_(1)
        network.head.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    strong = torch.full((1, 32, 32), 255, dtype=torch.uint8)  # normalised: 1
    weak = torch.full((1, 32, 32), 128, dtype=torch.uint8)  # 128 / 255 is 0.502, normalised 0.0039
    images = ExplainedImages(torch.stack([strong, weak]), ("strong.png", "weak.png"), torch.tensor([0, 0]))
    given = replace(subject(network), images=images)
    with network.at_rest():
        first, second = GradCAM(stage=None, of="label").drawn(given)
    side = map_rendering.SIDE
    for shown, level, grey in ((first, 1.0, 255), (second, 0.0, 128)):
        colour = np.array(matplotlib.colormaps["turbo"](level)[:3]) * 255
        middle = shown.image[side // 2, side + map_rendering.GAP + side // 2].astype(float)
        assert middle == pytest.approx(0.5 * grey + 0.5 * colour, abs=4), shown.name
    greatest = 1 / 32**2  # the derivative of the mean, times 1
    assert f"its greatest place has {greatest:.3g}, red is {greatest:.3g}" in first.caption
    assert f"red is {greatest:.3g}, the greatest of all 2 images" in second.caption

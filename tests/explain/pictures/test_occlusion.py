"""Occlusion maps show the effect of hiding a square, at its place."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from explained import FAMILIES, QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.picture_protocol import ExplainedImages
from headstart.explain.pictures.occlusion import Occlusion, occlusion
from headstart.explain.rendering import map_rendering


def summing(size=8):
    """One map, the image itself where it is positive; two classes, of logits mean and -mean."""
    network = of_stages(
        {"only": nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())}, size=size, channels=1, classes=2
    )
    with torch.no_grad():
        network.backbone.stages["only"][0].weight.fill_(1)
        network.head.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network.head.linear.bias.copy_(torch.tensor([-0.5, 0.5]))
    return network


def occluded(network, x, *, number=0, stage="only", patch, stride, batch_size=4):
    with network.at_rest():
        return occlusion(
            subject(network, batch_size=batch_size), x, number=number, stage=stage, patch=patch, stride=stride
        )


def test_an_image_of_four_pixels_has_the_maps_that_one_computes_by_hand():
    """The mean of 8, 0, 4, 0 is 3; without the 8 it is 1, without the 4 it is 2: logits mean - 0.5 and 0.5 - mean."""
    x = torch.tensor([[[[8.0, 0.0], [4.0, -2.0]]]])
    found = occluded(summing(2), x, patch=1, stride=1)
    means = torch.tensor([[1.0, 3.0], [2.0, 3.0]])
    torch.testing.assert_close(found.probability, torch.sigmoid(2 * (means - 0.5)))
    assert found.activity.tolist() == [[4, 12], [8, 12]]  # the sum of the map; the negative pixel has no part
    assert found.best.tolist() == [[0, 0], [0, 0]]
    assert found.channel == 0
    assert found.whole == (pytest.approx(torch.sigmoid(torch.tensor(5.0)).item()), 12, 0)


def test_the_most_probable_class_changes_where_the_evidence_is_hidden():
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 5, 2] = 64.0  # a mean of 1, class 0; without it 0, class 1
    found = occluded(summing(), x, patch=2, stride=2)
    assert found.best.tolist() == [[0] * 4, [0] * 4, [0, 1, 0, 0], [0] * 4]


@pytest.mark.parametrize(("patch", "stride"), [(4, 2), (5, 3), (3, 3), (6, 4), (7, 5)])
@pytest.mark.parametrize("place", [(0, 0), (7, 13), (15, 15), (9, 4)])
def test_a_planted_pixel_is_found_to_within_the_stride_and_no_pixel_is_left_out(patch, stride, place):
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, *place] = 300.0
    found = occluded(summing(16), x, patch=patch, stride=stride)
    assert found.probability.shape == (math.ceil(16 / stride), math.ceil(16 / stride))
    low = (found.probability == found.probability.min()).nonzero().float()
    assert float(found.probability.min()) < 0.5
    middle = (low.mean(dim=0) + 0.5) * stride - 0.5  # of the cells, in pixels
    assert (middle - torch.tensor(place)).abs().max() <= stride


def test_the_square_is_the_grey_of_the_data_s_mean():
    """Where the image is that grey already, nothing changes."""
    network = plain(size=16)
    found = occluded(network, torch.zeros(1, 3, 16, 16), number=1, stage="stage2", patch=6, stride=4)
    torch.testing.assert_close(found.probability, torch.full((4, 4), found.whole[0]))
    torch.testing.assert_close(found.activity, torch.full((4, 4), found.whole[1]))


def test_batches_change_nothing_and_none_is_larger_than_it_may_be():
    network, sizes = plain(size=16), []
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    want = occluded(network, x, stage="stage1", patch=4, stride=3, batch_size=100)
    handle = network.backbone.stages["stage1"].register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    found = occluded(network, x, stage="stage1", patch=4, stride=3, batch_size=7)
    handle.remove()
    assert max(sizes) == 7
    assert sum(sizes) == 36 + 1  # each place once, and the image as it is once
    torch.testing.assert_close(found.probability, want.probability)
    torch.testing.assert_close(found.activity, want.activity)
    assert torch.equal(found.best, want.best)


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_has_a_probability_for_each_place_and_is_left_as_it_was(name):
    network = family(name)
    given = subject(network, count=1)
    side = FAMILIES[name]
    with untouched(network), torch.inference_mode(), network.at_rest():
        (shown,) = Occlusion(patch=side // 2, stride=side // 2, stage=None, of="label").drawn(given)
    x = network.entering(given.images.pixels[:1])
    hidden = x.clone()
    hidden[:, :, : side // 2, : side // 2] = 0
    with torch.no_grad():
        want = network.probabilities(x)[0, 0]
    assert f"has {want:.3f}, with it" in shown.caption
    assert shown.image.shape[1] > shown.image.shape[0]


def test_pictures_of_a_probability_share_a_scale_from_0_to_1_and_those_of_a_map_that_of_its_greatest(monkeypatch):
    figures = []
    monkeypatch.setattr(
        map_rendering, "drawing", lambda figure: figures.append(figure) or np.zeros((2, 2, 3), np.uint8)
    )
    network = summing()
    bright = torch.full((1, 8, 8), 255, dtype=torch.uint8)
    dim = torch.full((1, 8, 8), 153, dtype=torch.uint8)  # normalised 1 and 0.2
    images = ExplainedImages(torch.stack([bright, dim]), ("bright.png", "dim.png"), torch.tensor([0, 0]))
    with network.at_rest():
        list(Occlusion(patch=4, stride=4, stage=None, of="label").drawn(replace(subject(network), images=images)))
    assert len(figures) == 2
    for figure in figures:
        probability, activity = (figure.axes[place].images[0].get_clim() for place in (1, 2))
        assert probability == (0, 1)
        assert activity == pytest.approx((0, 48), rel=1e-3)  # of 64 bright pixels 16 are hidden

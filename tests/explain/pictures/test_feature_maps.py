"""The maps are those of the stage, the strongest first."""

import pytest
import torch
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.feature_maps import FeatureMaps, strongest
from headstart.explain.rendering.map_rendering import heat, photo, signed

SETTINGS = {"stages": None, "most": 3, "side": 16}


def test_channels_come_by_their_energy_whatever_its_sign_and_equals_in_their_order():
    found = torch.zeros(4, 2, 2)
    found[1, 0, 0], found[2] = -3.0, 1.0  # of energy 9 and 4
    assert strongest(found).tolist() == [1, 2, 0, 3]


def tiles(image, count, side=16, gap=2):
    """The tiles of a sheet, from the left above."""
    wide = (image.shape[1] + gap) // (side + gap)
    places = [divmod(n, wide) for n in range(count)]
    return [
        image[r * (side + gap) : r * (side + gap) + side, c * (side + gap) : c * (side + gap) + side] for r, c in places
    ]


def test_a_tile_is_the_map_after_the_image():
    """An identity of the colours: the maps are the image's own normalised planes."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    network = of_stages({"only": conv}, size=16)
    with torch.no_grad():
        conv.weight.copy_((torch.eye(3) * torch.tensor([1.0, 3.0, 2.0])).view(3, 3, 1, 1))
    given = subject(network)
    with network.at_rest():
        one, two = FeatureMaps(**SETTINGS).drawn(given)
    assert "channels 1, 2, 0" in one.caption
    x = network.entering(given.images.pixels)
    for shown, pixels, planes in zip((one, two), given.images.pixels, x, strict=True):
        first, *maps = tiles(shown.image, 4)
        assert (first == photo(pixels)).all()
        for tile, channel in zip(maps, (1, 2, 0), strict=True):
            assert (tile == signed(planes[channel])).all()


def test_after_a_relu_dark_is_zero():
    network = of_stages({"only": nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())}, size=16)
    given = subject(network, count=1)
    with network.at_rest():
        (shown,) = FeatureMaps(**SETTINGS).drawn(given)
        with torch.no_grad():
            (found,) = network.activations(network.entering(given.images.pixels), "only")
    for tile, channel in zip(tiles(shown.image, 3)[1:], strongest(found).tolist(), strict=True):
        assert (tile == heat(found[channel], low=0.0)).all()


def test_neither_batches_nor_a_next_stage_that_works_in_place_change_the_maps():
    one, two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
    pictures = []
    for after in (nn.ReLU(inplace=True), nn.ReLU()):
        network = of_stages({"first": one, "second": nn.Sequential(after, two)}, size=8)
        for batch_size in (1, 3):
            with network.at_rest():
                found = list(FeatureMaps(**SETTINGS).drawn(subject(network, count=3, batch_size=batch_size)))
            pictures.append({shown.name: shown for shown in found})
    assert sorted(pictures[0]) == [f"{n:03d}-{stage}" for n in range(3) for stage in ("first", "second")]
    for other in pictures[1:]:
        assert other.keys() == pictures[0].keys()
        for name, shown in pictures[0].items():
            assert (shown.image == other[name].image).all()
            assert shown.caption == other[name].caption


def test_no_more_images_are_in_the_network_at_once_than_asked_for():
    network = plain()
    sizes = []
    handle = network.backbone.stages["stage1"].register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    with network.at_rest():
        list(FeatureMaps(**SETTINGS).drawn(subject(network, count=5, batch_size=2)))
    handle.remove()
    assert sizes == [2, 2, 1]


def test_a_stage_of_features_alone_is_told():
    network = of_stages({"only": nn.Flatten()}, size=4)
    # a network has parameters somewhere
    network.backbone.stages["only"].register_parameter("unused", nn.Parameter(torch.zeros(1)))
    with network.at_rest(), pytest.raises(UnfitError, match="only have none"):
        list(FeatureMaps(**SETTINGS).drawn(subject(network)))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_in_every_family_each_stage_with_places_has_a_sheet_of_the_strongest_channels(name):
    network = family(name)
    given = subject(network, count=1)
    with untouched(network), network.at_rest():
        shown = {one.name: one for one in FeatureMaps(**SETTINGS).drawn(given)}
    flat = {"convnext_tiny": ["stage4"], "vit_b_32": ["blocks4"]}.get(name, ["fc"])
    assert list(shown) == [f"000-{stage}" for stage in network.stages if stage not in flat]

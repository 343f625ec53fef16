"""The picture shows the same unit of the same image before and after, and the unit that changed most."""

import copy

import pytest
import torch
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.changed_channels import BeforeAfter, most_changed

ALL = BeforeAfter(stages=None, columns=4)


def twice(network):
    """A network as it is, to be its own past."""
    return Network(copy.deepcopy(network.backbone), copy.deepcopy(network.head))


def test_a_channels_change_is_the_sum_of_squares_over_images_and_places():
    before, now = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    before[0, 1] = 1.0
    now[0, 1], now[1, 2, 0, 0] = 3.0, -1.5
    change, was = most_changed(before, now)
    assert change.tolist() == [0, 4 * 4, 1.5**2]
    assert was.tolist() == [0, 4, 0]


def test_the_channel_whose_filter_changed_is_shown_for_every_image_and_with_its_change():
    network = of_stages({"only": nn.Conv2d(3, 5, 1)}, size=8)
    before = twice(network)
    with torch.no_grad():  # what it gave doubles: |now - before| / |before| is 1
        network.backbone.stages["only"].weight[3] *= 2
        network.backbone.stages["only"].bias[3] *= 2
    with untouched(network), untouched(before), network.at_rest():
        shown = list(ALL.drawn(subject(network, count=5, before=before, batch_size=2)))
    assert [one.name for one in shown] == ["000", "001", "002", "003", "004"]
    assert all(one.caption.endswith("over all 5 images: only channel 3 (100 %)") for one in shown)
    assert [one.caption.partition(":")[0] for one in shown] == [f"{n}.png" for n in range(5)]


def test_both_maps_are_painted_in_the_same_colours():
    network = of_stages({"only": nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU())}, size=8)
    with torch.no_grad():
        network.backbone.stages["only"][0].weight.zero_()
        network.backbone.stages["only"][0].bias.fill_(1.0)
    before = twice(network)
    with torch.no_grad():
        before.backbone.stages["only"][0].bias.fill_(0.0)
    (shown,) = ALL.drawn(subject(network, count=1, before=before))
    colours = {tuple(colour) for colour in shown.image.reshape(-1, 3).tolist()}
    assert {(68, 1, 84), (253, 231, 36)} <= colours  # viridis at 0 above and at the greatest below
    assert "(was 0)" in shown.caption


def test_only_the_stages_that_are_asked_for_are_shown():
    network = plain()
    (shown,) = BeforeAfter(stages=["stage2"], columns=4).drawn(subject(network, count=1, before=twice(network)))
    assert "stage2 channel 0 (0 %)" in shown.caption
    assert "stage1" not in shown.caption


def test_what_does_not_apply_is_said():
    with pytest.raises(UnfitError, match=r"explain\.run_dir"):
        list(ALL.drawn(subject(plain())))
    network = of_stages({"flat": nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))}, size=8)
    with pytest.raises(UnfitError, match="flat have none"):
        list(ALL.drawn(subject(network, before=twice(network))))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_shows_its_stages_with_maps(name):
    network = family(name)
    before = twice(network)
    chosen = network.stages[:2]
    with untouched(network), network.at_rest():
        shown = list(BeforeAfter(stages=chosen, columns=2).drawn(subject(network, count=1, before=before)))
    assert len(shown) == 1
    assert f"{chosen[0]} channel 0 (0 %)" in shown[0].caption

"""The picture shows how far training moved each stage; a frozen one did not move."""

import copy
import math
import re

import pytest
import torch
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.stage_changes import Changes, layers_moved, moved, together


def trained(network, *stages, by=0.5):
    """The network as it was, and these stages of it made others."""
    before = Network(copy.deepcopy(network.backbone), copy.deepcopy(network.head))
    with torch.no_grad():
        for stage in stages:
            for weight in network.backbone.stages[stage].parameters():
                weight.add_(by * torch.randn_like(weight))
    return before


def said(shown):
    """stage -> (CKA, share moved in percent), as the caption's table says."""
    rows = re.findall(r"(\w+): CKA ([\d.]+|unknown[^,]*, [^,]*), (?:moved ([\d.]+) %|no weights)", shown.caption)
    return {stage: (cka, moved) for stage, cka, moved in rows}


def test_weights_move_by_their_way_over_their_length():
    before = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}
    now = {"a": torch.tensor([3.0, 0.3]), "b": torch.tensor([[4.4]])}
    assert moved(before, now).share == pytest.approx(0.5 / 5)
    assert moved({"a": before["a"]}, {"a": now["a"]}).share == pytest.approx(0.1)
    assert moved(before, before).share == 0
    apart = [moved({name: before[name]}, {name: now[name]}) for name in before]
    assert together(apart) == pytest.approx(moved(before, now))


def test_weights_that_were_zero_moved_infinitely_far_or_not_at_all():
    zero = {"a": torch.zeros(2)}
    assert moved(zero, zero).share == 0
    assert moved(zero, {"a": torch.ones(2)}).share == math.inf
    with pytest.raises(ValueError, match="'b'"):
        moved(zero, {"b": torch.zeros(2)})


def test_a_layers_weights_and_biases_count_together_and_by_themselves():
    before = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for weight, values in zip(before.parameters(), ([[3.0, 0.0]], [4.0], [[2.0]], [0.0]), strict=True):
            weight.copy_(torch.tensor(values))
    now = copy.deepcopy(before)
    with torch.no_grad():
        now[0].bias += 1
        now[2].weight += 1
    shares = {name: layer.share for name, layer in layers_moved(before, now).items()}
    assert shares == {"0": pytest.approx(1 / 5), "2": pytest.approx(1 / 2)}


def test_a_frozen_stage_has_a_cka_of_one_and_no_movement_and_what_follows_an_open_one_drifts_unmoved():
    network = of_stages(
        {
            "first": nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU()),
            "second": nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU()),
            "third": nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU()),
            "pool": nn.MaxPool2d(2),
        },
        size=16,
    )
    before = trained(network, "second", by=1.0)
    with untouched(network), untouched(before), network.at_rest():
        (shown,) = Changes(images=100, drifted=0.95).drawn(subject(network, before=before, searched=12))
    found = said(shown)
    assert found["first"] == ("1.000", "0")
    assert float(found["second"][1]) > 50
    assert float(found["third"][0]) < 0.95
    assert found["third"][1] == "0"
    assert found["pool"][1] == ""
    assert shown.caption.startswith("12 images; drifted (CKA below 0.95): ")
    assert "first" not in shown.caption.split(". ")[0]


def test_no_more_images_are_looked_at_than_asked_for():
    network = plain()
    before = trained(network, "stage1")
    (shown,) = Changes(images=3, drifted=0.9).drawn(subject(network, before=before, searched=12, batch_size=2))
    assert shown.caption.startswith("3 images")


def test_without_a_network_before_the_error_says_where_there_is_one():
    with pytest.raises(UnfitError, match=r"explain\.run_dir=.*callbacks=explain"):
        list(Changes(images=10, drifted=0.9).drawn(subject(plain())))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_has_its_last_stage_moved_and_no_other(name):
    network = family(name)
    stages = [stage for stage in network.stages if list(network.backbone.stages[stage].parameters())]
    before = trained(network, stages[-1], by=0.1)
    with untouched(network), network.at_rest():
        (shown,) = Changes(images=4, drifted=0.9).drawn(subject(network, before=before, searched=4))
    for stage, (cka, share) in said(shown).items():
        if stage == stages[-1]:
            assert float(share) > 0
        elif stage in stages:
            assert (cka, share) == ("1.000", "0")
    assert set(said(shown)) == set(network.stages)

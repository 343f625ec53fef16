"""A gradient is that of the class that the caption names."""

import dataclasses

import pytest
import torch

from explained import plain, subject, untouched
from headstart.explain.chosen_class import explained
from headstart.explain.picture_protocol import ExplainedImages
from headstart.explain.pictures.input_gradient import Gradient, beside, gradient, magnitude
from one_convolution import one_convolution


def image(network, count=1):
    pixels = network.backbone.pixels
    chance = torch.Generator().manual_seed(4)
    return torch.randn(count, pixels.channels, pixels.size, pixels.size, generator=chance)


def test_one_convolution_has_the_gradient_that_one_computes_by_hand():
    """d logit_0 / dx = (1 * 2 + 4 * 1) / 4 where x > 0, d logit_1 / dx = -8 / 4."""
    network = one_convolution()
    x = torch.tensor([[[[1.0, -1.0], [2.0, 0.0]]]])
    with network.at_rest():
        found = gradient(network, x.expand(2, -1, -1, -1), index=torch.tensor([0, 1]))
    assert found[0, 0].tolist() == [[1.5, 0], [1.5, 0]]
    assert found[1, 0].tolist() == [[-2, 0], [-2, 0]]
    assert x.min() == -1  # in place as it works, the ReLU did not meet it


def test_it_is_what_finite_differences_are():
    network = plain()
    network.backbone.double()
    network.head.double()
    x = image(network).double()
    with network.at_rest():
        found = gradient(network, x, index=torch.tensor([2]))[0]
        for at in ((0, 3, 4), (1, 8, 8), (2, 15, 0)):
            step = torch.zeros_like(x)
            step[0, *at] = 1e-6
            slope = (network.logits(x + step) - network.logits(x - step))[0, 2] / 2e-6
            assert found[at].item() == pytest.approx(slope.item(), abs=1e-7)


def test_the_magnitude_is_the_largest_among_the_channels():
    assert magnitude(torch.tensor([[[1.0, -2.0]], [[-3.0, 1.0]]])).tolist() == [[3, 2]]


def classes(network, *labels):
    """A subject of two images, with these labels where they are given, and the predicted classes."""
    given = subject(network, count=2)
    if labels:
        given = dataclasses.replace(given, images=ExplainedImages(given.images.pixels, given.images.names, *labels))
    likeliest = network.logits(network.entering(given.images.pixels)).argmax(dim=1).tolist()
    return given, likeliest


def test_the_class_is_the_true_one_where_it_is_known():
    network = plain()
    with network.at_rest():
        given, likeliest = classes(network)
        wrong = torch.tensor([likeliest[0], (likeliest[1] + 1) % 3])
        given, _ = classes(network, wrong)
        right, other = explained(given, of="label", title="t")
    assert [right.number, other.number] == wrong.tolist()
    assert right.said == f"0.png, the logit of {'abc'[wrong[0]]} (the true class, as predicted)"
    assert other.said == f"1.png, the logit of {'abc'[wrong[1]]} (the true class; predicted is {'abc'[likeliest[1]]})"


@pytest.mark.parametrize("label", [None, torch.ones(2, 3)])
def test_the_class_is_the_predicted_one_where_none_is_known_or_there_are_several(label):
    network = plain()
    with network.at_rest():
        given, likeliest = classes(network, label)
        found = list(explained(given, of="label", title="t"))
    assert [one.number for one in found] == likeliest
    assert found[0].said == f"0.png, the logit of {'abc'[likeliest[0]]} (the predicted class)"


def test_prediction_looks_at_no_label():
    network = plain()
    with network.at_rest():
        given, likeliest = classes(network)
        given, _ = classes(network, (torch.tensor(likeliest) + 1) % 3)
        assert [one.number for one in explained(given, of="prediction", title="t")] == likeliest


def test_a_sheet_is_image_gradient_and_magnitude():
    pixels = torch.full((3, 224, 224), 10, dtype=torch.uint8)
    found = torch.zeros(3, 224, 224)
    found[0, :112] = 1.0
    found[2, 112:] = -0.5
    sheet = beside(pixels, found)
    assert sheet.shape == (224, 3 * 224 + 4, 3)
    assert sheet[0, 0].tolist() == [10, 10, 10]
    assert sheet[0, 230].tolist() == [255, 128, 128]  # red adds
    assert sheet[220, 230].tolist() == [128, 128, 64]  # blue takes, half as much
    assert int(sheet[0, -1].sum()) > int(sheet[220, -1].sum()) > 0


def test_the_picture_is_of_the_gradient_of_the_network_and_leaves_it_as_it_was():
    network = plain(size=12, channels=1)
    given = subject(network, count=2)
    with torch.inference_mode(), untouched(network), network.at_rest():
        shown = list(Gradient(of="prediction").drawn(given))
        x = network.entering(given.images.pixels[1:])
        found = gradient(network, x, index=network.logits(x).argmax(dim=1))[0]
    assert [one.name for one in shown] == ["001", "002"]
    assert (shown[1].image == beside(given.images.pixels[1], found)).all()

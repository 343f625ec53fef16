"""The filters on the sheet stand as they multiply the image."""

import torch

from explained import plain, subject
from headstart.explain.pictures.first_filters import Filters, first_filters


def test_the_largest_filters_come_first_and_zero_is_grey():
    network = plain()
    weight = network.backbone.stages["stage1"][0].weight
    with torch.no_grad():
        weight.zero_()
        weight[3, 0, 1, 1] = 2.0
        weight[1, 2, 0, 0] = -1.0
    (shown,) = Filters(most=2).drawn(subject(network))
    first, second = shown.image[:48, :48], shown.image[:48, 50:98]
    assert first[24, 24].tolist() == [255, 128, 128]  # red alone, in the middle
    assert first[2, 2].tolist() == [128, 128, 128]
    assert second[2, 2].tolist() == [128, 128, 0]  # blue, against it, in the corner


def test_the_first_filters_are_those_of_the_convolution_that_sees_the_image():
    network = plain()
    assert torch.equal(first_filters(network), network.backbone.stages["stage1"][0].weight)

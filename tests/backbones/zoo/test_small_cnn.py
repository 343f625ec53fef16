"""The stages of the small network by its depth."""

import pytest
import torch

from headstart.backbones.zoo.small_cnn import small_cnn


@pytest.mark.parametrize(("depth", "side"), [(1, 32), (2, 16), (3, 8), (4, 4)])
def test_each_stage_is_twice_as_wide_and_all_but_the_last_halve(depth, side):
    backbone = small_cnn(width=6, size=32, channels=1, keep=None, depth=depth).eval()
    outputs = backbone.outputs(torch.zeros(1, 1, 32, 32))
    assert [tuple(x.shape[1:]) for x in outputs.values()][-1] == (6 * 2 ** (depth - 1), side, side)
    assert [x.shape[1] for x in outputs.values()] == [6 * 2**number for number in range(depth)]


def test_four_stages_are_the_default():
    assert small_cnn(width=4, size=32, channels=1, keep=None).names == ("stage1", "stage2", "stage3", "stage4")

"""The description of a backbone's stages is true."""

from hydra import compose, initialize_config_dir
from torch import nn

from composed import CONF
from headstart.backbones.stages import Backbone
from headstart.tasks.describe import describe, description
from headstart.types import Pixels


def shipped(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def test_the_figures_of_two_layers_are_those_by_hand():
    stages = {"low": nn.Conv2d(3, 4, 3, padding=1), "high": nn.Conv2d(4, 8, 1, stride=2)}
    found = description(Backbone(stages, pixels=Pixels(8, 3, (0.5,) * 3, (0.5,) * 3), keep=None))
    low, high = found.rows
    assert (low.shape, high.shape) == ((4, 8, 8), (8, 4, 4))
    assert (low.parameters, high.parameters) == (4 * 3 * 9 + 4, 8 * 4 + 8)
    assert low.flops == 2 * 4 * 3 * 9 * 8 * 8  # a multiplication and an addition count as two
    assert high.flops == 2 * 8 * 4 * 4 * 4
    assert (high.parameters_so_far, high.flops_so_far) == (112 + 40, low.flops + high.flops)


def test_the_table_has_a_line_a_stage_and_what_the_first_n_would_give(capsys):
    found = describe(cfg=shipped("backbone=resnet18", "backbone.size=64"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "images 3x64x64; weights=pretrained: torchvision resnet18"
    cells = [line.split() for line in lines[3:]]
    assert [line[1] for line in cells] == ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert [line[5] for line in cells] == ["64", "64", "128", "256", "512"]
    assert cells[-1][6] == "11,176,512"  # all of ResNet-18 but its last layer
    assert max(map(len, lines)) <= 120
    for number, row in enumerate(found.rows, start=1):
        cut = shipped("backbone=resnet18", "backbone.size=64", f"backbone.keep={number}")
        assert len(describe(cfg=cut).rows) == number
        assert describe(cfg=cut).rows[-1] == row


def test_a_transformer_s_flops_are_those_by_hand():
    found = describe(cfg=shipped("backbone=torchvision", "backbone.name=vit_b_32", "backbone.size=64"))
    tokens, width = 1 + 4, 768
    embedding = 2 * 4 * width * 3 * 32 * 32
    linear = 2 * tokens * 12 * width**2  # of a block: query, key, value, projection, and four times the width
    attention = 2 * 2 * tokens**2 * width
    assert [row.flops for row in found.rows] == [embedding, *[3 * (linear + attention)] * 4]

"""Biases and norms are found in any backbone, and nothing else moves where they alone learn."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vit_b_16

from composed import composed, trained
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.runs.model_parts.assembly import schedule_of
from headstart.types import UserError
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.parameter_kinds import of_kind
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.one_parameter_kind import OneParameterKind


class Model(nn.Module):
    def __init__(self, backbone, width):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(width, 3)
        self.stages = {"backbone": backbone, "head": self.head}

    def forward(self, image):
        return self.head(self.backbone(image))


def cnn():
    torch.manual_seed(0)
    return Model(small_cnn(width=4, size=16, channels=1, keep=None), 32).train()


def opened(model, kind):
    parts = ModelParts(model)
    return parts.selected(OneParameterKind(kind=kind).phases(parts.names)[0].trainable)


def test_a_resnets_norms_are_its_20_batch_norms_whatever_they_are_called():
    found = of_kind(resnet18())["norms"]
    assert len(found) == 40
    assert {"bn1.weight", "layer2.0.downsample.1.weight"} <= found
    assert "layer2.0.downsample.0.weight" not in found


def test_a_transformers_biases_are_all_its_vectors_but_the_scales_of_its_norms():
    with torch.device("meta"):
        model = vit_b_16()
    found = of_kind(model)
    vectors = {name for name, p in model.named_parameters() if p.ndim == 1}
    scales = {name for name in found["norms"] if name.endswith("weight")}
    assert found["biases"] == vectors - scales
    assert any(name.endswith("in_proj_bias") for name in found["biases"])
    assert len(found["norms"]) == 2 * (2 * 12 + 1)  # two a block and the last


def test_a_table_of_relative_positions_is_no_bias():
    layer = nn.Module()
    layer.relative_position_bias_table = nn.Parameter(torch.zeros(4, 2))
    assert not of_kind(layer)["biases"]


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.RMSNorm(4)])
def test_each_kind_of_norm_is_one(norm):
    assert of_kind(nn.Sequential(nn.Linear(4, 4), norm))["norms"] == {f"1.{n}" for n, _ in norm.named_parameters()}


@pytest.mark.parametrize(
    ("kind", "endings"),
    [
        ("biases", ("1.bias",)),
        ("norms", ("1.weight", "1.bias", "running_mean", "running_var", "num_batches_tracked")),
    ],
)
def test_only_the_kind_and_the_head_move_and_running_statistics_with_the_norms_alone(kind, endings):
    model = cnn()
    held = Freezing(model, dict(model.named_parameters()))
    held.train_only(opened(model, kind))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        model.train()
        held.hold()
        model(torch.randn(8, 1, 16, 16) + 1).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("head") or name.endswith(endings), name
        if name.endswith(endings):
            assert not torch.equal(tensor, before[name]), name


def test_opening_all_again_lets_the_running_statistics_move():
    model = cnn()
    held = Freezing(model, dict(model.named_parameters()))
    held.train_only(opened(model, "biases"))
    held.end()
    assert all(module.training for module in model.modules())


def test_a_backbone_without_norms_is_told_so():
    with pytest.raises(UserError, match=r"trains norms, and there are none in backbone; try mode="):
        opened(Model(nn.Linear(4, 4), 4), "norms")


@pytest.mark.parametrize(("mode", "kind"), [("bias_only", "biases"), ("norm_only", "norms")])
def test_a_mode_opens_its_kind_and_the_head_whatever_unfreeze_says(mode, kind):
    cfg = composed(f"mode={mode}", "unfreeze.every_epochs=1")
    assert [phase.trainable for phase in schedule_of(cfg).phases(("stage1", "head"))] == [(kind, "head")]
    assert cfg.reuse


def test_a_run_of_bias_only_ends_with_the_sources_kernels_scales_and_statistics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("mode=bias_only", "trainer.max_epochs=1", folder=tmp_path / "run")
    (source,) = (path for path in tmp_path.rglob("best.ckpt") if tmp_path / "run" not in path.parents)
    before, after = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (source, tmp_path / "run" / "checkpoints" / "last.ckpt")
    )
    moved = {name for name in after if name.startswith("backbone.") and not torch.equal(before[name], after[name])}
    assert moved == {f"backbone.stages.stage{n}.1.bias" for n in (1, 2, 3, 4)}

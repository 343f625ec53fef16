"""Options and presets: what messages call a method, and the network and rates of its authors."""

import logging

import pytest
import torch
from torch import nn

from composed import CONF, composed, trained
from headstart.adaptation.adaptation import Adaptation
from headstart.adaptation.shot import SHOT
from headstart.modules.heads.mlp_head import MLPHead
from headstart.modules.heads.weight_norm_head import WeightNormHead
from headstart.modules.optimization.inverse_decay_scheduler import InverseDecay
from headstart.runs.model_parts.assembly import adaptation_of, assembled
from headstart.runs.weights.source_model import source_recipe
from headstart.unfreeze.parameter_groups import parameter_groups

DATA = ["data@source=printed_digits", "data@target=all_digits", "callbacks.figures=null"]
SHORT = ["trainer.max_epochs=1", "trainer.limit_train_batches=3"]


def rates(module):
    groups = parameter_groups(
        module, lr=1.0, stage_decay=module.stage_decay, backbone_lr_ratio=module.backbone_lr_ratio
    )
    return {group["name"].partition("/")[0]: group["lr"] for group in groups}


@pytest.mark.parametrize(
    ("preset", "width", "norm"), [("cdan", 256, "none"), ("dann", 256, "none"), ("mdd", 1024, "batch")]
)
def test_a_preset_for_photos_has_a_bottleneck_and_ten_times_the_rate_behind_the_stages(preset, width, norm):
    cfg = composed(f"experiment={preset}", *DATA)
    module = assembled(cfg).module
    assert type(module.adaptation).__name__ == preset.upper()
    assert (module.backbone.width, cfg.backbone.bottleneck_norm) == (width, norm)
    assert isinstance(module.head, MLPHead) == (preset == "mdd")
    assert rates(module) == {f"stage{n}": 0.1 for n in range(1, 5)} | {"bottleneck": 1.0, "head": 1.0}
    assert cfg.scheduler._target_.endswith(InverseDecay.__name__)


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / "adaptation").glob("*.yaml")))
def test_messages_call_an_adaptation_as_the_command_line_does(option):
    chosen = adaptation_of(composed("mode=scratch", f"adaptation={option}"))
    assert chosen is not None
    assert chosen.option == option


def test_messages_call_an_adaptation_from_elsewhere_by_its_class():
    class MeanDistance(Adaptation):
        pass

    assert MeanDistance(weight=1, ramp="constant").option == "MeanDistance"


def test_shots_source_is_trained_with_its_own_head_bottleneck_labels_and_rates():
    cfg = composed("experiment=shot", *DATA)
    recipe = source_recipe(cfg)
    assert recipe.backbone.bottleneck == 256
    assert recipe.head._target_.endswith(WeightNormHead.__name__)
    assert recipe.module.label_smoothing == 0.1
    assert recipe.scheduler._target_.endswith(InverseDecay.__name__)
    assert (recipe.optimizer._target_, recipe.optimizer.lr) == ("torch.optim.SGD", 0.01)


@pytest.mark.parametrize(
    ("preset", "more"), [("shot", []), ("tent", []), ("mdd", ["mode=scratch", "module.backbone_lr_ratio=1"])]
)
def test_a_preset_runs_by_one_override(preset, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = [f"experiment={preset}", *DATA, *SHORT, "weights.max_epochs=1", "weights.require_better=false", *more]
    result = trained(*run, folder=tmp_path / "run")
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert ("head.direction" in state) == (preset == "shot")


def test_shot_without_batchnorm_warns_and_with_a_bottleneck_it_does_not(caplog):
    shot = SHOT(weight=1, ramp="constant", beta=0.3)
    with caplog.at_level(logging.WARNING):
        shot.begin({"stage": nn.Linear(4, 4), "head": nn.Linear(4, 2)}, ())
        (line,) = [record.message for record in caplog.records]
        assert "try experiment=shot" in line
        caplog.clear()
        shot.begin({"stage": nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "head": nn.Linear(4, 2)}, ())
    assert not caplog.records

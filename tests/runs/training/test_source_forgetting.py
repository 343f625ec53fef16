"""Forgetting of the source: by the checkpoints alone, none with frozen stages, and where it cannot be measured."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from composed import TINY, composed
from headstart.backbones.stages import pooled
from headstart.cli import main
from headstart.report.analysis.config_differences import differences
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config

RUN = [*TINY, "forgetting=true", "trainer.max_epochs=2", "logger=csv", "callbacks.figures=null", "hydra.run.dir=mine"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights_of(checkpoint):
    return torch.load(checkpoint, weights_only=False)["state_dict"]


def source_accuracy(backbone_of, source):
    """Of a checkpoint's stages with the head of the source's checkpoint, on the source's test images."""
    parts = assembled(run_config(source))
    parts.data.setup("test")
    stages = {name: tensor for name, tensor in weights_of(backbone_of).items() if name.startswith("backbone.")}
    head = weights_of(source / "checkpoints" / "best.ckpt")
    parts.module.load_state_dict({name: stages.get(name, tensor) for name, tensor in head.items()})
    parts.module.eval()
    right = total = 0
    with torch.no_grad():
        for batch in parts.data.plain_dataloader("test"):
            x = parts.backbone.entering(batch.image)
            for stage in parts.backbone.stages.values():
                x = stage(x)
            logits = pooled(x) @ head["head.linear.weight"].T + head["head.linear.bias"]
            right += int((logits.argmax(dim=1) == batch.label).sum())
            total += len(batch.label)
    return right / total


def test_it_is_the_source_s_test_accuracy_with_the_source_s_head_by_the_checkpoints_alone():
    assert main([*RUN, "mode=fine_tuning", "optimizer.lr=0.05", "module.stage_decay=1.0"]) == 0
    result = json.loads(Path("mine/result.json").read_text())
    found, source = result["forgetting"], Path(result["source"]["folder"])
    assert found["before"] == pytest.approx(source_accuracy(source / "checkpoints" / "best.ckpt", source))
    assert found["after"] == pytest.approx(source_accuracy("mine/checkpoints/best.ckpt", source))
    assert found["change"] == pytest.approx(found["after"] - found["before"])
    assert result["metrics"]["source/accuracy_after"] == found["after"]
    assert "source/accuracy_after" in Path("mine/metrics.csv").read_text().splitlines()[0]


def test_frozen_stages_forget_nothing():
    assert main([*RUN, "mode=feature_extraction"]) == 0
    found = json.loads(Path("mine/result.json").read_text())["forgetting"]
    assert found["after"] == found["before"]


def test_a_run_from_random_weights_has_no_source_to_forget():
    assert main([*RUN, "mode=scratch"]) == 0
    assert json.loads(Path("mine/result.json").read_text())["forgetting"] is None


def test_weights_without_the_source_s_images_are_an_error_in_one_line(capsys):
    assert main([*RUN, "mode=fine_tuning", "weights=target"]) != 0
    assert "forgetting=true needs the source's own test images and its head" in capsys.readouterr().err
    assert not Path("outputs/source").exists()


def test_a_run_without_it_has_the_hash_of_before_there_was_the_key():
    cfg = composed("mode=fine_tuning")
    before = config_hash(cfg)
    OmegaConf.set_struct(cfg, False)
    del cfg["forgetting"]
    assert config_hash(cfg) == before
    assert config_hash(composed("mode=fine_tuning", "forgetting=true")) != before


def test_arms_may_be_compared_where_one_of_them_measured_it():
    assert differences({"forgetting": True}, {"forgetting": False}, without=()) == ()

"""Pretrained models of today by a short name: which weights, which images, which licence, and what they cost."""

import pytest
import yaml
from hydra import compose, initialize_config_dir

from composed import CONF
from headstart.backbones.weights.preprocessing.timm_preprocessing import timm_config, timm_pixels
from headstart.backbones.weights.weight_libraries import pretrained
from headstart.backbones.zoo.timm_models import timm as timm_backbone
from headstart.tasks.describe import description

library = pytest.importorskip("timm")
# GFLOPs without the classifier, two a multiplication: papers and timm's table say half, the multiplications
SOURCES = {
    "dinov2_small": ("apache-2.0", "Apache-2.0", 12.2, 5),
    "dinov3_small": ("dinov3-license", "DINOv3 License", 9.4, 5),
    "siglip2_base": ("apache-2.0", "Apache-2.0", 35.4, 6),
    "clip_base": ("apache-2.0", "Apache-2.0", 35.1, 5),
    "convnextv2_tiny": ("cc-by-nc-4.0", "CC-BY-NC-4.0", 8.9, 5),
    "efficientnetv2_s": ("apache-2.0", "Apache-2.0", 5.7, 6),
    "swinv2_tiny": ("mit", "MIT", 9.7, 5),
    "mobilenetv4": ("apache-2.0", "Apache-2.0", 1.66, 6),
}


@pytest.mark.parametrize("name", SOURCES)
def test_an_experiment_takes_the_source_at_224_pixels_with_its_own_licence_said(name):
    licence, said, _, _ = SOURCES[name]
    for group in ("backbone", "experiment"):
        lines = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        assert any(line.startswith("# ") and "licence " in line and said in line for line in lines[:2])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"experiment={name}", "data@target=image_folder", "target.root=photos"])
    config = timm_config(cfg.backbone.name)
    assert config.has_weights
    assert config.license == licence
    assert timm_pixels(cfg.backbone.name, size=cfg.backbone.size, channels=3).size == 224
    assert cfg.weights._target_.endswith(".pretrained_weights")
    assert cfg.backbone == yaml.safe_load((CONF / "backbone" / "timm.yaml").read_text()) | {
        "name": cfg.backbone.name, "size": 224,
    }  # fmt: skip


def test_the_licence_is_told_before_a_download(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("headstart.backbones.weights.timm_weights._file", lambda *_: 1 / 0)
    pixels = timm_pixels("convnextv2_tiny.fcmae_ft_in22k_in1k", size=224, channels=3)
    with caplog.at_level("INFO"), pytest.raises(ZeroDivisionError):
        pretrained(("timm", "convnextv2_tiny.fcmae_ft_in22k_in1k"), None, pixels)
    assert "licence of the weights cc-by-nc-4.0" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_a_source_with_random_weights_costs_at_224_pixels_what_is_known_of_it(name):
    *_, gflops, stages = SOURCES[name]
    tagged = yaml.safe_load((CONF / "backbone" / f"{name}.yaml").read_text())["name"]
    described = description(timm_backbone(name=tagged, size=224, channels=3, keep=None))
    assert described.zoo == ("timm", tagged)
    assert len(described.rows) == stages
    assert described.rows[-1].flops_so_far / 1e9 == pytest.approx(gflops, rel=0.05)

"""Defaults of fine-tuning with weights of a library: in those modes alone, below the user's overrides."""

import pytest
from hydra import compose, initialize_config_dir

from composed import CONF

LIBRARY = (0.1, "statistics_frozen", True, "AdamW", 1e-3)
OWN = (1.0, "learning", False, "AdamW", None)
FILE = ["backbone=mobilenet_v2", "weights=file", "weights.path=mobilenet_v2.pth"]
PRETRAINED = ["backbone=mobilenet_v2", "weights=pretrained"]


def settings(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    optimizer = cfg.optimizer._target_.rpartition(".")[2]
    return (
        cfg.module.backbone_lr_ratio,
        cfg.module.batch_norm,
        cfg.head.standardise,
        optimizer,
        cfg.optimizer.get("eps"),
    )


@pytest.mark.parametrize("weights", [FILE, PRETRAINED])
@pytest.mark.parametrize("mode", ["fine_tuning", "gradual"])
def test_small_steps_and_the_sources_statistics_with_weights_of_a_library(mode, weights):
    assert settings(f"mode={mode}", *weights) == LIBRARY
    assert settings(f"mode={mode}", *weights, "control=true") == LIBRARY  # a control differs in the weights alone


@pytest.mark.parametrize("mode", ["scratch", "bias_only", "norm_only", "lora", "adapters", "multi_task"])
def test_other_modes_are_as_they_are(mode):
    assert settings(f"mode={mode}", *FILE) == settings(f"mode={mode}")


@pytest.mark.parametrize("mode", ["fine_tuning", "gradual", "scratch"])
def test_a_source_of_ones_own_is_learnt_on_at_full_rate(mode):
    assert settings(f"mode={mode}") == OWN


def test_overrides_count_before_them():
    mine = ["module.backbone_lr_ratio=0.5", "module.batch_norm=learning", "head.standardise=false", "optimizer=adam"]
    assert settings("mode=fine_tuning", *FILE, *mine) == (0.5, "learning", False, "Adam", None)


def test_the_default_optimizer_is_adamw_and_one_that_is_named_is_as_it_is():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        named = compose("config", overrides=["mode=gradual", *FILE, "optimizer=sgd"]).optimizer
        sgd = compose("config", overrides=["optimizer=sgd"]).optimizer
        other = compose("config", overrides=["mode=scratch", *FILE]).optimizer
        adamw = compose("config", overrides=["mode=gradual", *FILE, "optimizer=adamw"]).optimizer
    assert named == sgd
    assert other == adamw


@pytest.mark.parametrize("experiment", ["bit", "vtab1k"])
def test_published_recipes_keep_one_rate_for_all(experiment):
    assert settings(f"experiment={experiment}", *PRETRAINED) == (*OWN[:3], "SGD", None)


@pytest.mark.parametrize(
    "experiment",
    [
        "dinov2_small",
        "dinov3_small",
        "siglip2_base",
        "clip_base",
        "convnextv2_tiny",
        "swinv2_tiny",
        "efficientnetv2_s",
        "mobilenetv4",
    ],
)
def test_experiments_of_single_models_keep_their_rates(experiment):
    ratio, _, standardise, optimizer, eps = settings(f"experiment={experiment}")
    assert (ratio, standardise, optimizer, eps) == (1.0, False, "AdamW", None)


def test_an_experiment_that_chooses_the_weights_gets_them_too(monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", "/photos")
    assert settings("experiment=ants_and_bees", "mode=gradual") == LIBRARY

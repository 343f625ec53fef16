"""Defaults of fine-tuning with weights of a library: in those modes alone, below the user's overrides."""

import pytest
from hydra import compose, initialize_config_dir

from composed import CONF

LIBRARY = (0.1, "statistics_frozen", 100, True, "SGD", 5.0)
OWN = (1.0, "learning", 0, False, "AdamW", None)
FILE = ["backbone=mobilenet_v2", "weights=file", "weights.path=mobilenet_v2.pth"]
PRETRAINED = ["backbone=mobilenet_v2", "weights=pretrained"]


def settings(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    optimizer = cfg.optimizer._target_.rpartition(".")[2]
    return (
        cfg.module.backbone_lr_ratio,
        cfg.module.batch_norm,
        cfg.module.backbone_warmup_steps,
        cfg.head.standardise,
        optimizer,
        cfg.trainer.gradient_clip_val,
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
    module = ["module.backbone_lr_ratio=0.5", "module.batch_norm=learning", "module.backbone_warmup_steps=3"]
    others = ["head.standardise=false", "optimizer=adam", "trainer.gradient_clip_val=null"]
    assert settings("mode=fine_tuning", *FILE, *module, *others) == (0.5, "learning", 3, False, "Adam", None)


def test_the_default_optimizer_is_sgd_as_it_is_named_there_and_adamw_elsewhere():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        default = compose("config", overrides=["mode=gradual", *FILE]).optimizer
        sgd = compose("config", overrides=["mode=gradual", *FILE, "optimizer=sgd"]).optimizer
        other = compose("config", overrides=["mode=scratch", *FILE]).optimizer
        adamw = compose("config", overrides=["mode=gradual", *FILE, "optimizer=adamw"]).optimizer
    assert default == sgd
    assert other == adamw


@pytest.mark.parametrize("experiment", ["bit", "vtab1k"])
def test_published_recipes_keep_one_rate_for_all(experiment):
    assert settings(f"experiment={experiment}", *PRETRAINED) == (*OWN[:4], "SGD", None)


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
    ratio, _, *others = settings(f"experiment={experiment}")
    assert (ratio, *others) == (1.0, 0, False, "AdamW", None)


@pytest.mark.parametrize("experiment", ["cdan", "dann", "mdd"])
def test_published_adaptations_keep_their_batchnorm_and_step_with_weights_of_a_library(experiment):
    assert settings(f"experiment={experiment}", *PRETRAINED) == (0.1, *OWN[1:4], "SGD", None)


def test_an_experiment_that_chooses_the_weights_gets_them_too(monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", "/photos")
    assert settings("experiment=ants_and_bees", "mode=gradual") == LIBRARY

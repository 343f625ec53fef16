"""The tables of earlier names: configs both ways, overrides, and hashes that stay."""

from pathlib import Path

import pytest
from omegaconf import open_dict

from composed import composed
from headstart.cli.checking.code_definitions import definition
from headstart.runs.folder.run_naming import config_hash, study_folder
from headstart.runs.saved.saved_config import saved_config
from headstart.system.old_names import KEYS, as_earlier, name_now, override_earlier, override_now, renamed

# the targets that conf/ named before the rooms of the package were made
EARLIER_TARGETS = Path(__file__).with_name("earlier_targets.txt").read_text().split()
EARLIER = {
    "open": "schedule",
    "inject": None,
    "store": {"_target_": "headstart.features.store.Store", "folder": "outputs/store"},
    "rule": {"_target_": "headstart.tasks.bit.bit_hyperrule", "step_scale": 1.0},
    "prolonged": {"parent": "0123abcd", "epochs": 2, "schedule": "held"},
    "unfreeze": {
        "_target_": "headstart.unfreeze.explicit.Explicit",
        "phases": [{"open": ["head"], "epochs": 2}, {"_target_": "headstart.unfreeze.phases.Phase", "open": ["all"]}],
    },
    "task": "fit",
    "a_number": "${rule.step_scale}",
}
NOW = {
    "trainable": "schedule",
    "peft": None,
    "feature_cache": {"_target_": "headstart.features.cache.activation_cache.FeatureCache", "folder": "outputs/store"},
    "recipe": {"_target_": "headstart.recipes.bit.bit_hyperrule", "step_scale": 1.0},
    "extended": {"parent": "0123abcd", "epochs": 2, "schedule": "held"},
    "unfreeze": {
        "_target_": "headstart.unfreeze.schedules.explicit_phases.Explicit",
        "phases": [
            {"trainable": ["head"], "epochs": 2},
            {"_target_": "headstart.unfreeze.schedules.schedule_phases.Phase", "trainable": ["all"]},
        ],
    },
    "task": "fit",
    "a_number": "${recipe.step_scale}",
}


def test_a_config_of_an_earlier_version_has_todays_names_and_back():
    assert renamed(EARLIER) == renamed(NOW) == NOW
    assert as_earlier(NOW) == as_earlier(EARLIER) == EARLIER


def test_a_value_has_another_name_under_its_own_key_alone():
    assert renamed({"open": "fresh", "mode": "fresh"}) == {"trainable": "new_stages", "mode": "fresh"}
    assert as_earlier({"trainable": "new_stages"}) == {"open": "fresh"}


@pytest.mark.parametrize("change", [renamed, as_earlier])
def test_settings_of_a_schedule_of_someone_else_keep_their_names(change):
    node = {"unfreeze": {"_target_": "shapes.Schedule", "phases": [{"open": 1, "trainable": 2}], "store": 3}}
    assert change(node) == node


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("store.max_gib=2", "feature_cache.max_gib=2"),
        ("~store", "~feature_cache"),
        ("+store=off", "+feature_cache=off"),
        ("open=fresh,all", "trainable=new_stages,all"),
        ("task=store", "task=feature_cache"),
        ("trainer.max_epochs=${rule.steps}", "trainer.max_epochs=${recipe.steps}"),
        ("prolong=held", "extended_lr=held"),
        ("mode=gradual", "mode=gradual"),
        ("storey=1", "storey=1"),
    ],
)
def test_an_override_of_an_earlier_version_has_todays_names_and_back(earlier, now):
    assert override_now(earlier) == override_now(now) == now
    assert override_earlier(now) == earlier


@pytest.mark.parametrize("target", EARLIER_TARGETS)
def test_each_target_that_an_earlier_conf_named_is_there_under_todays_name_and_has_its_hash(target):
    assert definition(name_now(target)) is not None
    assert as_earlier({"x": {"_target_": name_now(target)}}) == {"x": {"_target_": target}}


@pytest.mark.parametrize(
    ("first", "later", "now"),
    [
        (
            "modules.warmup_step",
            "modules.warmup_step_scheduler",
            "modules.optimization.warmup_step_scheduler.WarmupStep",
        ),
        ("callbacks.rates", "callbacks.training.rate_logging", "callbacks.learning_rates.rate_logging.Rates"),
    ],
)
def test_a_target_that_had_two_other_names_is_read_by_both_and_hashed_by_the_earliest(first, later, now):
    last = now.rpartition(".")[2]
    assert name_now(f"headstart.{later}.{last}") == name_now(f"headstart.{first}.{last}") == f"headstart.{now}"
    assert definition(f"headstart.{now}") is not None
    earliest = {"x": {"_target_": f"headstart.{first}.{last}"}}
    for name in (later, now.rpartition(".")[0]):
        assert as_earlier({"x": {"_target_": f"headstart.{name}.{last}"}}) == earliest


def test_no_name_of_today_is_also_an_earlier_one():
    assert not set(KEYS) & set(KEYS.values())


# measured with the version before the keys had other names
@pytest.mark.parametrize(
    ("overrides", "digest"),
    [
        ((), "82544e08"),
        (("mode=lora",), "8e582c62"),
        (("mode=gradual", "peft=adapters"), "7e43e187"),
        (("mode=AnB", "weights.reset_from=2"), "504b0e49"),
        (("feature_cache=off",), "1f123266"),
        (("feature_cache.views=4", "feature_cache.max_gib=3"), "d21873c7"),
        (("experiment=bit",), "5e3c7ed5"),
        (("experiment=vtab1k",), "fbe763bd"),
        (("mode=fine_tuning", "control=true"), "64ff2c71"),
        (("unfreeze=sandwich",), "7afc4dc1"),
        (("callbacks=ema", "regularizer=l2_sp"), "7bae9b5f"),
        (("task=probe",), "98926e79"),
    ],
)
def test_a_run_has_the_hash_of_the_version_before(overrides, digest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_hash(composed(*overrides)) == digest


def test_a_longer_run_has_the_hash_of_the_version_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = composed("mode=scratch")
    with open_dict(cfg):
        cfg["extended"] = {"parent": "0123abcd", "epochs": 2, "schedule": "held"}
    assert config_hash(cfg) == "d376f6dc"


def test_a_sweep_goes_on_in_the_folder_that_an_earlier_version_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = study_folder({}, ["recipe.step_scale", "seed"], ["feature_cache.views=4"])
    assert now.startswith("sweep-recipe.step_scale,seed-")
    earlier = "sweep-rule.step_scale,seed-61da6bba"
    (tmp_path / "outputs" / earlier).mkdir(parents=True)
    assert study_folder({}, ["recipe.step_scale", "seed"], ["feature_cache.views=4"]) == earlier


def test_a_saved_config_is_read_by_todays_names(tmp_path):
    file = tmp_path / "run" / ".hydra" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("open: fresh\nstore: {_target_: headstart.features.store.Store, folder: outputs/store}\n")
    assert saved_config(file, own=()) == {
        "trainable": "new_stages",
        "feature_cache": {
            "_target_": "headstart.features.cache.activation_cache.FeatureCache", "folder": "outputs/store",
        },
    }  # fmt: skip

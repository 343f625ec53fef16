"""Every option of conf/ works."""

import json
from pathlib import Path

import pytest
import yaml

from composed import CONF, TINY, composed, trained
from headstart.cli import main

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
OPTIONS = [(path.parent.name, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
MOUNTED = {
    "data": ["data@source", "data@target"],
    "augment": ["augment@source.augment", "augment@target.augment"],
    "mix": ["mix@module.mix"],
    "loss": ["loss@module.loss"],
    "_optimizer_with_weights": ["_optimizer_with_weights@optimizer"],
    "tta": ["tta@evaluate.tta", "tta@predict.tta"],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_each_group_is_used_by_the_config_or_by_a_task():
    """A folder of options that nothing mounts would be shown in the help, and could not be chosen."""
    folders = ("task", "callbacks", "optimizer")
    files = [CONF / "config.yaml", *(file for folder in folders for file in (CONF / folder).glob("*.yaml"))]
    entries = [entry for file in files for entry in yaml.safe_load(file.read_text()).get("defaults", [])]
    chosen = {str(name).split()[-1] for entry in entries if isinstance(entry, dict) for name in entry}
    used = {name.lstrip("/").partition("@")[0] for name in chosen}
    shared = {group for group in GROUPS if all(option.startswith("_") for name, option in OPTIONS if name == group)}
    assert set(GROUPS) - shared <= used
    assert {name for name in used if "/" not in name and name not in ("local", "hydra")} <= set(GROUPS)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_passes_the_check_of_the_command_line(group, option, capsys):
    for key in MOUNTED.get(group, [group]):
        needed = {"evaluate": ["evaluate.run_dir=x"], "report": ["report.dir=x"]}.get(option, [])
        if group == "picture":  # only the task that draws has it
            key, needed = "picture", ["task=explain"]
            option = f"[{option}]"
        if group == "tta":  # only the tasks that look at views have it
            needed = [f"task={key.partition('@')[2].partition('.')[0]}"]
        assert main(["--cfg", "job", f"{key}={option}", *needed]) == 0, capsys.readouterr().err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_file_begins_by_saying_what_it_is(group, option):
    lines = (CONF / group / f"{option}.yaml").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines[:2] if line.startswith("# ") and not line.startswith("# @package")]
    assert said


# have tests of their own: test_torchvision_sets.py, test_weights_pretrained_task.py, test_named_sources.py
NEED_DATA = (
    "mnist_to_usps", "ants_and_bees", "mnist_to_usps_unlabelled", "usps_to_mnist_unlabelled",
    "dinov2_small", "dinov3_small", "siglip2_base", "clip_base", "convnextv2_tiny", "efficientnetv2_s", "swinv2_tiny",
    "mobilenetv4",
    "shot", "tent", "cdan", "dann", "mdd", # tests/adaptation/test_presets.py
)  # fmt: skip
SHIPPED = [option for group, option in OPTIONS if group == "experiment" and option not in NEED_DATA]


LONG = ("vtab1k", "bit")  # several runs each
EXPERIMENTS = [
    pytest.param(option, mode, marks=[pytest.mark.slow] if option in LONG and mode == "gradual" else [])
    for option in SHIPPED
    for mode in ("scratch", "gradual")
]


@pytest.mark.parametrize(("option", "mode"), EXPERIMENTS)
def test_every_experiment_runs(option, mode, tmp_path):
    result = trained(f"experiment={option}", f"mode={mode}", "trainer.max_epochs=1", folder=tmp_path / "run")
    assert result["steps"] > 0
    assert 0 <= result["metrics"]["test/accuracy"] <= 1


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "debug"])
def test_every_debug_preset_runs(option, tmp_path):
    result = trained(f"debug={option}", "mode=scratch", folder=tmp_path / "run")
    want = {"fast": 8, "overfit": 8, "anomaly": 16}  # optimizer steps of 4 epochs: of 2, 2 and all 4 batches
    assert result["steps"] == want[option]


FEWER = {  # so that each kind of job is run once
    "demo": {"seed": "0"},
    "transferability_of_layers": {"weights.reset_from": "2", "seed": "0"},
    "few_images": {"target.shots": "1,2,3", "seed": "0"},
    "adaptation": {"adaptation": "source_only,cdan", "seed": "0"},
    "adaptation_demo": {"adaptation": "source_only,mcc", "seed": "0"},
}


IN_ONE_JOB = ("rank_check",)  # no sweep: tests/tasks/test_rank_check_task.py
STUDIES = [option for group, option in OPTIONS if group == "study" and option not in IN_ONE_JOB]


@pytest.mark.parametrize(
    "option", [one if one == "demo" else pytest.param(one, marks=pytest.mark.slow) for one in STUDIES]
)
def test_every_study_runs_its_jobs_and_ends_in_a_report(option, capsys):
    fewer = FEWER.get(option, {})
    assert main([f"study={option}", *TINY, "trainer.max_epochs=1", *(f"{k}={v}" for k, v in fewer.items())]) == 0
    study = Path("outputs", option)
    params = yaml.safe_load((CONF / "study" / f"{option}.yaml").read_text())["hydra"]["sweeper"]["params"]
    assert set(fewer) <= set(params)
    params |= fewer
    jobs = 1
    for values in params.values():
        jobs *= len(values.split(","))
    if "control" in params:  # scratch takes no weights of a source, and is its own control
        jobs -= jobs // 2 // len(params["mode"].split(","))
    assert len(list(study.glob("*/result.json"))) == jobs
    assert json.loads((study / "report.json").read_text())
    assert str(study / "report.html") in capsys.readouterr().out


def test_the_control_networks_come_from_the_target_unless_the_command_says_otherwise():
    for mode in ("BnB", "BnB+"):
        assert composed(f"mode={mode}").weights["_target_"].endswith(".target_weights")
        assert composed(f"mode={mode}", "weights=source").weights["_target_"].endswith(".source_weights")
    assert composed("mode=AnB").weights["_target_"].endswith(".source_weights")


@pytest.mark.parametrize(
    ("mode", "reuse", "trainable", "decay", "init"),
    [
        ("scratch", False, "all", 1.0, "random"),
        ("feature_extraction", True, "none", 1.0, "class_means"),
        ("fine_tuning", True, "all", 0.5, "class_means"),
        ("gradual", True, "schedule", 0.5, "class_means"),
        ("bias_only", True, "biases", 1.0, "class_means"),
        ("norm_only", True, "norms", 1.0, "class_means"),
        ("multi_task", False, "all", 1.0, "random"),
        ("lora", True, "adapters", 1.0, "class_means"),
        ("adapters", True, "adapters", 1.0, "class_means"),
        ("AnB", True, "new_stages", 1.0, "random"),
        ("AnB+", True, "all", 1.0, "random"),
        ("BnB", True, "new_stages", 1.0, "random"),
        ("BnB+", True, "all", 1.0, "random"),
    ],
)
def test_a_mode_is_whose_weights_and_which_stages(mode, reuse, trainable, decay, init):
    cfg = composed(f"mode={mode}")
    set_by_mode = (cfg.mode, cfg.reuse, cfg.trainable, cfg.module.stage_decay, cfg.head.init)
    assert set_by_mode == (mode, reuse, trainable, decay, init)


def test_settings_of_the_schedule_and_of_the_source_do_not_touch_the_modes_that_have_none():
    """So that `-m mode=scratch,gradual unfreeze.every_epochs=1 weights.max_epochs=3` compares with a true scratch."""
    from headstart.runs.model_parts.assembly import schedule_of
    from headstart.runs.weights.starting_weights import weights_of

    for mode, count in (("scratch", 4), ("fine_tuning", 4), ("feature_extraction", 0), ("gradual", 1)):
        cfg = composed(f"mode={mode}", "unfreeze.every_epochs=1", "unfreeze.first_epoch=0")
        assert len(schedule_of(cfg).phases(("s1", "s2", "s3", "s4", "head"))[0].trainable) == count + 1
    assert not weights_of(composed("mode=scratch", "weights.reset_from=2")).backbone

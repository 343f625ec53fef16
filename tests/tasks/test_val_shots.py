"""A run without validation images trains as one with them, keeps its last state, and says that nothing was measured."""

import json
import math
from pathlib import Path

import pytest
import torch
from omegaconf import open_dict

from composed import TINY, composed, figures, trained
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.outcome.sweep_objective import value_of
from headstart.runs.saved.settings_added_later import LATER, with_later, without_later
from headstart.runs.training.missing_validation import check_without_validation
from headstart.types import UserError
from killed import command, said

RUN = ["mode=scratch", "trainer.max_epochs=3", "callbacks.figures=null", "logger=csv"]
NONE = "target.val_shots=0"


def kept(folder, name="best.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Without validation, and with it where the last checkpoint counts; the head in closed form, its average kept."""
    place = tmp_path_factory.mktemp("runs")
    own = [*RUN, "head.init=class_means", "callbacks=ema", "callbacks.figures=null"]
    none = trained(*own, NONE, folder=place / "none")
    whole = trained(*own, "callbacks.checkpoint.mode=last", folder=place / "whole")
    return place, none, whole


def test_it_trains_and_tests_what_the_run_with_validation_does(runs):
    place, none, whole = runs
    assert none["weights_hash"] == whole["weights_hash"]
    assert same(kept(place / "none")["state_dict"], kept(place / "whole")["state_dict"])  # the averages
    states = [kept(place / run, "last.ckpt")["state_dict"] for run in ("none", "whole")]
    assert same(*states)
    assert not same(states[0], kept(place / "none")["state_dict"])
    tests = [{tag: one for tag, one in run["metrics"].items() if tag.startswith("test/")} for run in (none, whole)]
    assert tests[0] == tests[1]


def test_its_result_says_that_nothing_was_measured_and_that_the_last_counts(runs):
    place, none, whole = runs
    assert none["sizes"] == whole["sizes"] | {"val": 0}
    assert none["evaluations"] == []
    assert none["selection"] == {"metric": "val/accuracy", "mode": "last"}
    training = {tag: one for tag, one in none["metrics"].items() if tag.startswith("train/")}
    assert none["best"] == {"epoch": 3, "step": none["steps"]} | training
    assert none["best"] == kept(place / "none")["callbacks"]["BestAndLast"]["best"]
    assert math.isnan(none["start_class_means"])
    assert {tag.partition("/")[0] for tag in none["metrics"]} == {"train", "test"}
    assert math.isnan(value_of(none, place / "none", "last"))
    assert not math.isnan(value_of(whole, place / "whole", "last"))


def test_its_metrics_have_a_row_of_training_for_each_epoch_and_none_of_val(runs):
    place, none, _ = runs
    rows = figures(place / "none")
    assert not any(tag.startswith("val/") for row in rows for tag in row)
    seen = [(row["epoch"], row["step"], row["examples"]) for row in rows if "train/loss" in row]
    assert seen == [(epoch, epoch * none["steps"] / 3, 50.0 * epoch) for epoch in (1, 2, 3)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["mode=gradual", "unfreeze=plateau"], "the phase head of unfreeze, which ends at a plateau, needs val images"),
        (["mode=gradual", "unfreeze=lp_ft"], "the phase probe of unfreeze"),
        (["scheduler=plateau"], r"scheduler=plateau \(module.scheduler_monitor=val/loss\) needs val images"),
        (["callbacks.checkpoint.monitor=val/loss"], "callbacks.checkpoint.monitor=val/loss needs val images"),
        (["recipe=vtab1k"], "recipe=vtab1k, which chooses by them, needs val images"),
        (["regularizer=co_tuning"], "regularizer needs val images.*relationship=direct"),
        (["adaptation=dann"], "adaptation dann needs val images"),
        (["callbacks=explain"], "callbacks.explain.split=val needs val images"),
        (
            ["+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping", "+callbacks.stop.monitor=val/loss"],
            "callbacks.stop.monitor=val/loss needs val images.*leave callbacks.stop out",
        ),
    ],
)
def test_what_needs_val_images_is_refused_before_a_source_model_is_trained(settings, message):
    with pytest.raises(UserError, match=message):
        check_without_validation(composed(NONE, *settings))
    check_without_validation(composed("target.val_shots=1", *settings))


@pytest.mark.parametrize(
    "settings",
    [
        ["mode=scratch", "unfreeze=plateau"],  # which has no schedule
        ["mode=gradual", "unfreeze=steps"],
        ["scheduler=plateau", "module.scheduler_monitor=train/loss"],
        ["regularizer=co_tuning", "regularizer.relationship=direct"],
        ["callbacks=explain", "callbacks.explain.split=train"],
    ],
)
def test_what_needs_none_is_not_refused(settings):
    check_without_validation(composed(NONE, *settings))


def test_an_adaptation_needs_val_images_of_its_source():
    with pytest.raises(UserError, match="dann validates on the source's val images"):
        check_without_validation(composed("adaptation=dann", "source.val_per_class=0"))
    check_without_validation(composed("mode=multi_task", "source.val_per_class=0"))


@pytest.mark.parametrize("task", ["probe", "few_images"])
def test_tasks_that_choose_on_val_are_refused(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, f"task={task}", "mode=feature_extraction", NONE]) == 2
    assert f"task={task} chooses on val images, and the target is to have none" in capsys.readouterr().err
    assert not Path("outputs/source").exists()


@pytest.mark.slow
def test_the_command_says_it_before_and_after_and_a_report_shows_the_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "task=plan", *RUN, NONE]) == 0
    assert capsys.readouterr().out.startswith("0 val images: no validation")
    sweep = ["-m", *TINY, *RUN, "trainer.max_epochs=1", NONE, "seed=0,1", "hydra.sweep.dir=outputs/mine"]
    assert main(sweep) == 0
    shown = capsys.readouterr()
    assert "0 val images: no validation, the run has its fixed length" in shown.err
    (setting,) = json.loads(Path("outputs/mine/report.json").read_text())["settings"]
    (arm,) = setting["arms"]
    assert arm["measures"]["test"]["n"] == 2, "they are shown by their test figures"
    assert arm["measures"]["asymptote"]["n"] == 0
    assert main(sweep) == 0
    assert "is finished, without validation (rerun=true" in capsys.readouterr().err
    run = next(Path("outputs/mine").glob("*seed=0*/result.json")).parent
    assert main(["task=evaluate", f"evaluate.run_dir={run}", "evaluate.split=val", "trainer.accelerator=cpu"]) == 2
    assert "these data have none (50 train, 0 val, 720 test); try one of train, test" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("stop", [("on_train_batch_start", 6), ("on_test_start", 12)])
def test_a_resumed_run_is_the_uninterrupted_one(stop, tmp_path):
    run = [
        *TINY, *RUN, NONE, "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=2",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    folders = []
    for name, killed in (("whole", None), ("killed", stop)):
        place = tmp_path / name
        place.mkdir()
        assert command(place, *run, stop=killed) == (-9 if killed else 0), said(place)
        if killed:
            assert command(place, *run, "resume=auto") == 0, said(place)
            assert "going on from" in said(place)
        (folder,) = place.glob("outputs/runs/*/")
        folders.append(folder)
    one, other = folders
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    for name in ("best.ckpt", "last.ckpt"):
        assert same(kept(one, name)["state_dict"], kept(other, name)["state_dict"])
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    for key in ("best", "metrics", "weights_hash", "examples", "evaluations", "selection"):
        assert results[0][key] == results[1][key], key


@pytest.mark.slow
def test_two_processes_end_with_equal_models_and_one_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [one for one in TINY if not one.startswith("trainer.accelerator")]
    assert main([*settings, *RUN, NONE, "trainer=ddp_cpu", "callbacks=ema", "callbacks.figures=null"]) == 0
    (folder,) = Path("outputs/runs").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert (result["processes"], result["sizes"]["val"], result["evaluations"]) == (2, 0, [])
    assert (result["best"]["epoch"], result["best"]["step"]) == (3, result["steps"])
    assert kept(folder)["global_step"] == result["steps"]


def test_settings_that_came_later_leave_an_earlier_hash_and_an_earlier_config_as_they_are():
    cfg = composed()
    earlier = composed()
    with open_dict(earlier):
        for key in LATER["headstart.data.datasets.digits.Digits"]:
            del earlier.target[key]
    assert config_hash(cfg) == config_hash(earlier)
    assert len({config_hash(composed(f"target.{key}=2")) for key in ("val_shots", "fold")} | {config_hash(cfg)}) == 3
    node = {"target": {"_target_": "headstart.data.datasets.digits.Digits", "shots": 5}, "list": [{"folds": 5}]}
    later = {"val_shots": None, "fold": None, "folds": 5, "fraction": None, "classes": None}
    later |= {"box": None, "corruption": None, "severity": 3}
    assert with_later(node)["target"] == node["target"] | later
    assert without_later(with_later(node)) == node


def test_a_run_of_a_fold_records_how_many_images_it_trained_and_validated_on(tmp_path):
    result = trained(*RUN, "target.fold=1", "target.shots=null", "trainer.max_epochs=1", folder=tmp_path)
    train, val = result["sizes"]["train"], result["sizes"]["val"]
    assert train + val == 1797 - 720
    assert abs(val / train - 1 / 4) < 0.02  # one fold of five against four

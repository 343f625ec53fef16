"""experiment=vtab1k chooses on 200 images, then learns from all 1,000, and reads test once."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from composed import composed
from headstart.cli import main
from headstart.recipes.recipe_values import with_recipes
from headstart.recipes.vtab1k import apart
from headstart.runs.weights.source_model import target_config
from headstart.types import UserError
from killed import command, said

TINY = [
    "experiment=vtab1k", "data@target=printed", "target.characters=digits", "target.per_class=9",
    "target.val_per_class=6", "target.test_per_class=3", "mode=scratch", "backbone.width=4", "trainer.accelerator=cpu",
    "callbacks.figures=null", "logger=csv", "recipe.train_images=60", "recipe.val_images=20", "recipe.batch_size=32",
    "recipe.steps=[2,8]", "recipe.rates=[30,1e-9]", "recipe.validations=4", "head.init=class_means",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(pattern):
    return [json.loads(path.read_text()) for path in sorted(Path().glob(pattern))]


@pytest.mark.parametrize("total", [1, 7, 250, 2500, 4750])
def test_validations_are_at_equal_distances_and_the_last_is_at_the_end(total):
    every = apart(total, 20)
    assert total % every == 0
    assert total // every <= 20
    assert not any(total % count == 0 for count in range(total // every + 1, 21))  # no more of them were possible


@pytest.mark.slow
def test_the_better_trial_on_val_is_run_on_all_images_and_only_that_run_sees_test():
    assert main(TINY) == 0
    trials, (result,) = read("outputs/trials/*/result.json"), read("outputs/vtab1k/*/result.json")
    assert len(trials) == 4
    for trial in trials:
        assert trial["sizes"] == {"train": 60, "val": 20, "test": 30}
        assert not [name for name in trial["metrics"] if name.startswith("test/")]
        assert trial["best"]["step"] == trial["steps"]  # what counts is the end, as in the run itself
    scores = {trial["hash"]: trial["metrics"]["val/accuracy"] for trial in trials}
    told = result["chosen"]["trials"]
    assert {one["folder"][-8:]: one["val/accuracy"] for one in told} == scores
    best = max(told, key=lambda one: one["val/accuracy"])
    assert result["chosen"]["values"] == {key: best[key] for key in ("optimizer.lr", "trainer.max_steps")}
    assert (best["optimizer.lr"], result["chosen"]["by"]) == (1e-9, "val/accuracy")  # 30 undoes the class means
    assert result["sizes"] == {"train": 80, "val": 20, "test": 30}
    assert (result["steps"], result["best"]["step"]) == (best["trainer.max_steps"],) * 2
    assert "test/accuracy" in result["metrics"]
    (folder,) = (path.parent for path in Path("outputs/vtab1k").glob("*/.hydra"))
    cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert "recipe" not in cfg
    assert (cfg.optimizer.lr, cfg.trainer.max_steps) == (1e-9, result["steps"])
    assert "chosen={" not in (folder / "headstart.log").read_text()  # the table says it
    assert main(["task=report", "report.dir=outputs/vtab1k"]) == 0
    assert "outputs/trials" not in Path("outputs/vtab1k/report.md").read_text()  # the table of settings would burst
    # what comes after knows which images the run has seen
    assert main(["task=evaluate", f"evaluate.run_dir={folder}", "evaluate.split=train"]) == 0
    assert read("outputs/vtab1k/*/evaluate-train.json")[0]["images"] == 80
    # the trials are there: only the run itself is run again
    before = {path: path.stat().st_mtime_ns for path in Path("outputs/trials").glob("*/result.json")}
    assert main([*TINY, "rerun=true"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("outputs/trials").glob("*/result.json")}
    assert read("outputs/vtab1k/*/result.json")[0]["weights_hash"] == result["weights_hash"]


@pytest.mark.slow
def test_what_the_command_line_says_is_no_question_of_the_trials(capsys):
    assert main([*TINY, "optimizer.lr=0.05", "recipe.steps=[2]"]) == 0
    (trial,), (result,) = read("outputs/trials/*/result.json"), read("outputs/vtab1k/*/result.json")
    assert trial["steps"] == 2
    assert result["chosen"]["values"] == {"optimizer.lr": 0.05, "trainer.max_steps": 2}


def test_the_plan_trains_nothing(capsys):
    assert main(["task=plan", *TINY]) == 0
    assert "8 steps" in capsys.readouterr().out
    assert not Path("outputs").exists()


def test_all_images_of_train_are_drawn_from_unless_the_command_says_fewer():
    cfg = composed("experiment=vtab1k", "recipe.step_scale=0.001")  # the digits, whose usual shots are 5
    cfg.task = "plan"
    plain = with_recipes(cfg, processes=1)
    assert plain.target.shots is None
    assert plain.trainer.val_check_interval == 1  # 10 steps
    assert with_recipes(cfg, processes=2).target.batch_size == 256


def test_what_is_not_about_labelled_images_of_the_target_is_an_error():
    with pytest.raises(UserError, match="VTAB-1k trains on labelled images of the target, adaptation=dann"):
        with_recipes(composed("experiment=vtab1k", "adaptation=dann", "source.characters=digits"), processes=1)
    with pytest.raises(UserError, match=r"recipe.batch_size must be a multiple of 3 .*; try recipe.batch_size=510"):
        with_recipes(composed("experiment=vtab1k"), processes=3)


def test_a_control_model_of_the_target_sees_the_drawn_images_alone():
    cfg = composed("mode=BnB")
    draw = {"_target_": "headstart.data.splits.image_budget.ImageBudget", "train": 800, "val": 200, "merged": True}
    keys = ("seed", "max_epochs", "batch_size", "optimizer", "scheduler")
    OmegaConf.set_struct(cfg, False)
    assert "draw" not in target_config(cfg, **{key: cfg.weights[key] for key in keys})
    cfg.draw = draw
    assert target_config(cfg, **{key: cfg.weights[key] for key in keys}).draw == draw


@pytest.mark.slow
def test_on_two_processes_the_trials_are_those_of_one():
    assert main([*TINY, "trainer=ddp_cpu"]) == 0
    alone = {one["hash"]: one["weights_hash"] for one in read("outputs/trials/*/result.json")}
    (result,) = read("outputs/vtab1k/*/result.json")
    assert (result["processes"], result["sizes"]["train"]) == (2, 80)
    assert all(one["processes"] == 1 for one in read("outputs/trials/*/result.json"))
    for path in Path("outputs/trials").glob("*/result.json"):
        path.unlink()
    assert main(TINY) == 0
    assert set(alone.values()) == {one["weights_hash"] for one in read("outputs/trials/*/result.json")}


@pytest.mark.slow
def test_a_run_that_was_killed_in_a_trial_or_after_them_ends_as_one_that_was_not(tmp_path):
    run = [
        *TINY, "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=1",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    places = [tmp_path / name for name in ("place1", "place2")]
    for place in places:
        place.mkdir()
    whole, killed = places
    assert command(whole, *run) == 0, said(whole)
    command(killed, *run, stop=("on_train_batch_start", 5))  # in the first long trial
    (folder,) = (path.parent for path in killed.glob("outputs/vtab1k/*/.hydra"))
    assert "recipe" in OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert command(killed, f"resume={folder}") == 0, said(killed)
    results = [json.loads(next(place.glob("outputs/vtab1k/*/result.json")).read_text()) for place in places]
    assert results[0]["weights_hash"] == results[1]["weights_hash"]
    assert results[0]["chosen"] == results[1]["chosen"]

"""Equal tuning with trials that are really trained."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from composed import TINY, composed
from headstart.cli import main
from headstart.recipes.recipe_values import with_recipes
from headstart.recipes.search_space import DIMENSIONS
from killed import command, said

RATE, DECAY, STAGES = DIMENSIONS
EQUAL = ["tuning=equal", "trainer.max_epochs=16"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def results(pattern):
    return [json.loads(path.read_text()) for path in sorted(Path().glob(pattern))]


def levels(pattern):
    """Mode -> the mean level at the end over the seeds."""
    found = {}
    for path in Path().glob(pattern):
        with (path.parent / "metrics.csv").open(newline="") as file:
            rows = [float(row["val/accuracy"]) for row in csv.DictReader(file) if row.get("val/accuracy")]
        found.setdefault(json.loads(path.read_text())["mode"], []).append(np.mean(rows[-3:]))
    return {mode: np.mean(values) for mode, values in found.items()}


PLANTED = [
    "weights=file", "weights.path=source.pth", "optimizer=sgd", "optimizer.weight_decay=0", "head.init=random",
    "trainer.max_epochs=8", "trainer.accelerator=cpu", "logger=csv", "callbacks.figures=null", "feature_cache=off",
    "start_class_means=false", "trainer.limit_val_batches=6",
]  # fmt: skip


@pytest.mark.slow
def test_where_the_best_rates_differ_tenfold_only_the_tuned_study_names_the_right_winner():
    import planted

    planted.write_source("source.pth")
    option = Path("conf/backbone/planted.yaml")
    option.parent.mkdir(parents=True)
    option.write_text("# nine linear features\n_target_: planted.linear_features\nkeep: null\n")
    arms = ["--config-dir", "conf", "-m", "backbone=planted", "mode=scratch,feature_extraction", "seed=0", *PLANTED]
    assert main([*arms, "hydra.sweep.dir=outputs/untuned"]) == 0
    equal = ["tuning=equal", "tuning.trials=6", "tuning.lr=[2e-3,8]", "tuning.halving=[0.5,1.0]"]
    assert main([*arms, *equal, "hydra.sweep.dir=outputs/tuned"]) == 0
    untuned, tuned = levels("outputs/untuned/*/result.json"), levels("outputs/tuned/*/result.json")
    assert untuned["scratch"] > untuned["feature_extraction"] + 0.2
    assert tuned["feature_extraction"] > tuned["scratch"] + 0.05
    assert tuned["scratch"] >= untuned["scratch"]
    rates = {run["mode"]: run["tuned"]["chosen"][RATE] for run in results("outputs/tuned/*/result.json")}
    assert rates["feature_extraction"] > 5 * rates["scratch"]
    assert len(results("outputs/trials/*/result.json")) == 2 * (6 + 3)
    assert all(run["tuned"] is None for run in results("outputs/untuned/*/result.json"))
    for run in results("outputs/tuned/*/result.json"):
        trials = [json.loads(Path(one["folder"], "result.json").read_text()) for one in run["tuned"]["tried"]]
        assert run["tuned"]["cost"]["steps"] == sum(trial["steps"] for trial in trials)
        cfg = OmegaConf.load(next(Path("outputs/tuned").glob(f"*{run['name']}")) / ".hydra" / "config.yaml")
        assert cfg.tuned == run["tuned"]
        assert cfg.optimizer.lr == run["tuned"]["chosen"][RATE]
        files = [Path(one["folder"], "answers", "val.npz") for one in run["tuned"]["tried"]]
        seen = np.concatenate([np.load(file)["image"] for file in files])
        kept = np.load(next(Path("outputs/tuned").glob(f"*{run['name']}")) / "answers" / "val.npz")
        assert kept["seen_by_trials"].tolist() == [image in set(seen) for image in kept["image"]]
        assert 0 < kept["seen_by_trials"].mean() < 1  # the seed draws val, of which a part is measured here
    # a second study of the same arms trains its own runs alone
    before = {path: path.stat().st_mtime_ns for path in Path("outputs/trials").rglob("*")}
    assert main([*arms, *equal, "seed=1", "mode=scratch", "hydra.sweep.dir=outputs/second"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("outputs/trials").rglob("*")}
    assert results("outputs/second/*/result.json")[0]["tuned"] == next(
        run["tuned"] for run in results("outputs/tuned/*/result.json") if run["mode"] == "scratch"
    )


def test_trials_never_look_at_test():
    equal = ["tuning=equal", "tuning.trials=2", "trainer.max_epochs=2", "tuning.halving=[1.0]"]
    own = ["target._target_=unreadable.DigitsWithoutTest", "target.shots=2", "mode=gradual", "head.init=class_means"]
    cfg = with_recipes(composed(*own, *equal), processes=1)
    assert len(cfg.tuned.tried) == 2
    for trial in results("outputs/trials/*/result.json"):
        assert trial["sizes"]["test"] == 720
        assert not [name for name in trial["metrics"] if name.startswith("test/")]
    from headstart.runs.training.train_run import train
    from unreadable import ReadError

    with pytest.raises(ReadError):  # as the run itself does
        train(cfg, Path("run"), about={"study": "", "name": "", "hash": "0", "overrides": []})


SMALL = [
    *(one for one in TINY if not one.startswith(("callbacks", "trainer.max_epochs"))), "mode=scratch", "tuning=equal",
    "tuning.trials=2", "tuning.halving=[0.5,1.0]", "trainer.max_epochs=2", "logger=csv", "callbacks.figures=null",
]  # fmt: skip


@pytest.mark.slow
def test_on_two_processes_the_trials_are_trained_in_one_of_their_own():
    assert main([*SMALL, "trainer=ddp_cpu"]) == 0
    (run,) = results("outputs/runs/*/result.json")
    assert run["processes"] == 2
    trials = results("outputs/trials/*/result.json")
    assert [trial["processes"] for trial in trials] == [1] * 3
    assert run["tuned"]["cost"]["runs"] == 3
    per_epoch = {trial["steps"] / trial["evaluations"][-1]["epoch"] for trial in trials}
    assert per_epoch == {run["steps"] / 2}  # an optimizer step of a trial sees as many images


@pytest.mark.slow
def test_a_run_that_was_killed_in_a_trial_ends_as_one_that_was_not(tmp_path):
    run = [
        *SMALL, "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=1",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    whole, killed = (tmp_path / name for name in ("place1", "place2"))  # not "killed": the module
    for place in (whole, killed):
        place.mkdir()
    assert command(whole, *run) == 0, said(whole)
    command(killed, *run, stop=("on_train_batch_start", 5))  # in the trial of two epochs of four steps
    assert len(list(killed.glob("outputs/trials/*/result.json"))) == 2
    assert command(killed, *run, "resume=auto") == 0, said(killed)
    assert "going on from outputs/trials/" in said(killed)
    ended = [json.loads(next(place.glob("outputs/runs/*/result.json")).read_text()) for place in (whole, killed)]
    assert ended[0]["weights_hash"] == ended[1]["weights_hash"]
    assert ended[0]["hash"] == ended[1]["hash"]
    for told in (one["tuned"] for one in ended):
        told["cost"].pop("wall_s")
    assert ended[0]["tuned"] == ended[1]["tuned"]

"""Each job has a run of its own in each logger, with a short name, its settings, curves, plan and pictures."""

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger

from composed import TINY, composed
from headstart.callbacks.loggers.logger_display import show_figures, show_text, take_pictures
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.status.planned_jobs import PlannedJob, note_job
from headstart.runs.training.loggers.run_loggers import NEEDED, WANDB, RunNames, _set_by_run, made_loggers, run_names
from headstart.types import UserError

MADE: list["StandIn"] = []
OWN = ["logger=csv", "+logger.own._target_=test_run_loggers.StandIn"]


class StandIn(Logger):
    """A logger of a user, which takes pictures as Lightning's own do."""

    name, version = "own", "0"

    def __init__(self):
        self.metrics, self.settings, self.images = [], {}, {}
        MADE.append(self)

    def log_metrics(self, metrics, step=None):
        self.metrics.append((step, dict(metrics)))

    def log_hyperparams(self, params):
        self.settings |= params

    def log_image(self, key, images, step=None):
        self.images[key] = (step, np.asarray(images[0]))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The loggers that jobs make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import test_run_loggers  # the command's own import of this file

    test_run_loggers.MADE.clear()
    return test_run_loggers.MADE


@pytest.mark.pictures
def test_a_logger_of_a_user_gets_settings_the_plan_curves_from_step_0_pictures_and_final_metrics(made):
    assert main([*TINY, *OWN, "mode=scratch", "trainer.max_epochs=1"]) == 0
    (logger,) = made
    assert {key: logger.settings[key] for key in ("study", "mode", "seed")} == {
        "study": "runs", "mode": "scratch", "seed": 0,
    }  # fmt: skip
    assert logger.settings["arm"].startswith("scratch backbone.width=4 ")
    assert "phase" in logger.settings["plan"]
    curve = [step for step, metrics in logger.metrics if "val/accuracy" in metrics]
    assert curve[0] == 0
    assert len(curve) == 2
    step, image = logger.images["test/confusion"]
    assert step == curve[-1]
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.uint8
    final = logger.metrics[-1][1]
    assert {"final/val/accuracy", "final/test/accuracy"} <= set(final)


def test_an_arm_is_the_mode_and_what_differs_and_a_name_has_the_seed_too(tmp_path):
    jobs = [("mode=scratch", "optimizer.lr=0.1", f"seed={seed}") for seed in (0, 1)]
    jobs.append(("mode=fine_tuning", "optimizer.lr=0.2", "seed=0"))
    for number, overrides in enumerate(jobs):
        note_job(tmp_path, PlannedJob(tmp_path / str(number), overrides), is_first=number == 0)
    names = [
        run_names(composed(*job), tmp_path / str(number), {"study": "pilot", "overrides": list(job)})
        for number, job in enumerate(jobs)
    ]
    assert [name.arm for name in names] == [
        "scratch optimizer.lr=0.1", "scratch optimizer.lr=0.1", "fine_tuning optimizer.lr=0.2",
    ]  # fmt: skip
    assert [name.name for name in names] == [
        "scratch optimizer.lr=0.1 seed 0", "scratch optimizer.lr=0.1 seed 1", "fine_tuning optimizer.lr=0.2 seed 0",
    ]  # fmt: skip


def test_what_a_run_calls_itself_fills_what_is_unset_and_a_resumed_run_goes_on_with_its_own():
    names = RunNames("pilot", "scratch", "scratch seed 0", {"seed": 0})
    node = OmegaConf.create({"_target_": WANDB, "name": None, "group": "mine", "project": "headstart"})
    assert _set_by_run(node, names, None) == {"name": "scratch seed 0", "job_type": "pilot"}
    assert _set_by_run(node, names, "3f")["id"] == "3f"
    assert _set_by_run(composed("logger=mlflow").logger.mlflow, names, "4e") | {"artifact_location": ""} == {
        "run_id": "4e", "experiment_name": "pilot", "run_name": "scratch seed 0", "artifact_location": "",
        "tags": {"study": "pilot", "arm": "scratch", "seed": "0"},
    }  # fmt: skip


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr("headstart.runs.training.loggers.run_loggers.find_spec", lambda _: None)
    for option in ("wandb", "mlflow", "comet"):
        cfg = composed(f"logger={option}")
        with pytest.raises(UserError, match=rf"logger={option} needs .*pip install 'headstart\[{option}\]'"):
            made_loggers(cfg, tmp_path, RunNames("s", "a", "n", {}), goes_on=False)
    assert {node["_target_"] for node in map(option_node, ("wandb", "mlflow", "comet"))} == set(NEEDED)


def option_node(option):
    return composed(f"logger={option}").logger[option]


def test_the_choice_of_loggers_changes_no_hash_and_several_are_a_list():
    several = composed("logger=[tensorboard,wandb,mlflow,comet]")
    assert list(several.logger) == ["csv", "tensorboard", "wandb", "mlflow", "comet"]
    assert config_hash(several) == config_hash(composed("logger=csv")) == config_hash(composed())


def test_a_logger_that_fails_to_show_something_costs_no_run(caplog):
    class Broken(StandIn):
        def log_image(self, key, images, step=None):
            raise ConnectionError("no network")

        def log_hyperparams(self, params):
            raise ConnectionError("no network")

    from matplotlib.figure import Figure

    working, broken = StandIn(), Broken()
    assert take_pictures([broken])
    show_figures([broken, working], {"test/confusion": Figure()}, 3)
    show_text([broken], "plan", "a plan")
    assert caplog.text.count("Broken was not told: ConnectionError: no network") == 2
    assert working.images["test/confusion"][0] == 3

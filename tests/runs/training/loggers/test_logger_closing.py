"""Loggers end with their run, and which they are changes no run."""

from pathlib import Path

import pytest
from pytorch_lightning.loggers import Logger

from composed import TINY, composed
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash, hashes
from headstart.runs.training.loggers.logger_closing import ended_with_run

FAST = [*TINY, "mode=scratch", "trainer.max_epochs=1", "callbacks.figures=null"]
PROCESS: list["ProcessRun"] = []  # as W&B has it: the run that this process is in, if it is in one
ENDED: list["ProcessRun"] = []


class ProcessRun:
    def __init__(self):
        self.figures, self.exit_code = [], None

    def finish(self, exit_code=0):
        self.exit_code = exit_code
        PROCESS.remove(self)
        ENDED.append(self)


class ProcessWide(Logger):
    """A logger whose experiment is the process's run, which `finalize` leaves open."""

    name, version = "process", "0"

    @property
    def experiment(self):
        if not PROCESS:
            PROCESS.append(ProcessRun())
        return PROCESS[0]

    def log_metrics(self, metrics, step=None):
        self.experiment.figures.append(metrics)

    def log_hyperparams(self, *_, **__):
        pass


OURS = ["logger=csv", "+logger.own._target_=test_logger_closing.ProcessWide"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import test_logger_closing  # the command's own import of this file

    test_logger_closing.PROCESS.clear()
    test_logger_closing.ENDED.clear()
    return test_logger_closing


def test_each_job_of_a_sweep_has_a_run_of_its_own_in_a_logger_that_keeps_one_for_the_process(here):
    assert main(["-m", *FAST, *OURS, "seed=0,1"]) == 0
    assert here.PROCESS == []
    assert [run.exit_code for run in here.ENDED] == [0, 0]
    for run in here.ENDED:
        assert sum("test/accuracy" in figures for figures in run.figures) == 1


def test_a_source_model_and_the_run_that_starts_from_it_are_two_runs_of_the_logger(here):
    assert main([*FAST[:-2], "mode=fine_tuning", "trainer.max_epochs=1", *OURS]) == 0
    assert len(here.ENDED) == 2


def test_a_job_that_fails_ends_its_loggers_too_and_tells_them(here):
    failing = ["+callbacks.stop._target_=test_logger_closing.Failing"]
    assert main([*FAST, *OURS, *failing]) == 1
    assert here.PROCESS == []
    assert [run.exit_code for run in here.ENDED] == [1]


def Failing():  # noqa: N802 - it stands for a class
    from pytorch_lightning import Callback

    class Fails(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise RuntimeError("boom")

    return Fails()


def test_a_logger_that_cannot_be_ended_costs_no_run(caplog):
    class Broken(ProcessWide):
        def finalize(self, status):
            raise ConnectionError("no network")

    with ended_with_run([Broken()]):
        pass
    assert "Broken could not be ended: ConnectionError: no network" in caplog.text


# ------------------------------------------------------------------ which they are


def test_what_cannot_change_a_figure_changes_no_hash_and_the_shipped_values_keep_that_of_before():
    bare = config_hash(composed())
    assert bare == hashes(composed()).earlier
    for override in (
        "logger=csv", "logger.tensorboard.default_hp_metric=true", "trainer.profiler=simple",
        "trainer.enable_progress_bar=true", "trainer.enable_model_summary=true", "callbacks.progress=null",
        "callbacks.progress.monitor=val/loss", "feature_cache.folder=elsewhere", "feature_cache.max_gib=1",
    ):  # fmt: skip
        assert config_hash(composed(override)) == bare, override
    for override in ("callbacks.rates=null", "trainer.log_every_n_steps=1", "optimizer.lr=1", "callbacks=ema"):
        assert config_hash(composed(override)) != bare, override
    own = composed("callbacks.progress._target_=test_logger_closing.Failing")
    assert config_hash(own) != bare  # it may do anything


def only(pattern):
    (found,) = Path().glob(pattern)
    return found


def test_a_finished_run_is_found_under_another_logger_and_says_which_it_had(capfd):
    assert main([*FAST, "logger=csv"]) == 0
    folder = only("outputs/runs/*")
    assert "logger" not in folder.name
    capfd.readouterr()
    assert main(FAST) == 0
    said = capfd.readouterr().err
    assert f"{folder.name} is finished" in said
    assert "ran with logger csv, not csv, tensorboard, which does not change results" in said
    assert only("outputs/runs/*") == folder


def test_a_run_that_has_its_logger_in_name_and_hash_as_earlier_versions_wrote_it_is_found_and_goes_on(capfd):
    assert main([*FAST, "logger=csv"]) == 0
    folder = only("outputs/runs/*")
    earlier = hashes(composed(*FAST[len(TINY) :], "logger=csv")).earlier
    now = folder.name.rpartition("-")[2]
    assert earlier != now
    for file in ("result.json", "run.json"):
        (folder / file).write_text((folder / file).read_text().replace(now, earlier))
    (folder / "run.json").unlink()
    old = folder.rename(folder.with_name(f"logger=csv,trainer.max_epochs=1-{earlier}"))
    capfd.readouterr()
    assert main([*FAST, "logger=csv"]) == 0
    assert f"{old.name} is finished" in capfd.readouterr().err
    assert only("outputs/runs/*") == old


@pytest.mark.slow
def test_a_sweep_goes_on_in_its_folder_under_another_logger():
    for more in (["logger=csv"], []):
        assert main(["-m", *FAST, *more, "seed=0,1"]) == 0
    assert len([path for path in Path("outputs").iterdir() if path.name.startswith("sweep-")]) == 1

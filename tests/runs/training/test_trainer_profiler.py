"""trainer.profiler writes into the run's folder, and nowhere else."""

import json
import logging

import pytest
from omegaconf import OmegaConf

from composed import composed, trained
from headstart.cli import main
from headstart.runs.training.run_trainer import made_trainer
from headstart.runs.training.trainer_profiler import KINDS, profiler_of
from headstart.types import UserError
from plans import plan

RUN = [
    "mode=scratch", "trainer.max_epochs=1", "callbacks.figures=null", "trainer.limit_val_batches=2",
    "feature_cache=off",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_each_profiler_writes_into_the_folder_and_says_nothing_on_the_terminal(tmp_path, capsys, kind):
    result = trained(*RUN, f"trainer.profiler={kind}", folder=tmp_path / "run")
    texts = {path.name: path.read_text() for path in (tmp_path / "run").glob("profile-*.txt")}
    assert sorted(texts) == ["profile-fit.txt", "profile-test.txt"]
    assert "training_step" in texts["profile-fit.txt"] or kind == "pytorch"  # that one shows its dearest rows
    assert "test_step" in texts["profile-test.txt"] or kind == "pytorch"
    out = capsys.readouterr()
    assert "Profiler Report" not in out.out + out.err
    assert result["phases"][0]["steps"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_the_traces_of_pytorchs_profiler_hold_training_and_open_as_json(tmp_path):
    trained(*RUN, "trainer.profiler=pytorch", folder=tmp_path / "run")
    found = [json.loads(path.read_text()) for path in (tmp_path / "run").glob("profile.*.pt.trace.json")]
    names = {event.get("name", "") for trace in found for event in trace["traceEvents"]}
    for step in ("training_step", "validation_step", "test_step"):
        assert any(name.endswith(step) for name in names), step


def test_a_new_run_in_the_folder_leaves_no_older_profile(tmp_path):
    trained(*RUN, "trainer.profiler=simple", folder=tmp_path / "run")
    trained(*RUN, folder=tmp_path / "run")
    assert not list((tmp_path / "run").glob("profile*"))


def test_the_plan_and_the_source_model_are_not_profiled(tmp_path, capsys):
    plan(cfg=composed("mode=fine_tuning", "trainer.profiler=simple"))
    assert not list(tmp_path.rglob("profile*"))
    trained("mode=fine_tuning", *RUN[1:], "trainer.profiler=simple", folder=tmp_path / "run")
    assert {path.parent.name for path in tmp_path.rglob("profile*")} == {"run"}
    assert "Profiler Report" not in capsys.readouterr().out


def test_a_wrong_word_is_an_error_before_anything_is_made(tmp_path, capsys):
    assert main([*RUN, "trainer.profiler=simpel"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "profiler" in line]
    assert line.endswith("one of simple, advanced, pytorch or null, got 'simpel'; did you mean simple?")
    assert not list(tmp_path.glob("outputs/*/*/metrics.csv"))


def test_a_node_is_made_as_it_says_and_null_makes_none():
    target = "pytorch_lightning.profilers.SimpleProfiler"
    node = OmegaConf.create({"_target_": "pytorch_lightning.Trainer", "profiler": {"_target_": target}})
    make = profiler_of(node, ".")
    assert type(make()).__name__ == "SimpleProfiler"
    assert profiler_of(OmegaConf.create({"profiler": None}), ".") is None
    with pytest.raises(UserError, match="must be one of simple, advanced, pytorch"):
        made_trainer(OmegaConf.create({"_target_": "pytorch_lightning.Trainer", "profiler": "xla"}), logger=False)


def test_a_run_ends_with_a_line_on_its_pace_and_its_phases_hold_all_of_its_steps(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="headstart")
    result = trained("mode=gradual", "trainer.max_epochs=3", "callbacks.figures=null", folder=tmp_path / "run")
    phases = result["phases"]
    assert [phase["phase"] for phase in phases] == ["head", "stage4 and above"]
    assert sum(phase["steps"] for phase in phases) == result["steps"]
    assert sum(phase["images"] for phase in phases) == result["examples"]
    told = sum(phase[key] for phase in phases for key in ("train_s", "validation_s", "cache_s"))
    assert told == pytest.approx(result["wall_s"], rel=0.1)
    assert max(phase["peak_memory_mib"] for phase in phases) <= result["peak_memory_mib"]
    own, source = ([r.getMessage() for r in caplog.records if "images/s" in r.getMessage()][i] for i in (-1, 0))
    assert own.startswith("run: ")
    assert "waiting for data, peak memory" in own
    assert "target." not in source  # a hint would name the wrong group

"""Searches by Optuna: what they find, how they go on, what they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import headstart
from headstart.cli import main

pytest.importorskip("optuna")
SOURCE, HELPERS = Path(headstart.__file__).parents[1], Path(__file__).parents[1] / "helpers"
SHORT = ["hydra.sweeper.n_trials=6"]


def best_value(search):
    record = search.record
    (number,) = record["best"]
    return record["trials"][number]["values"][0]


@pytest.mark.slow
def test_optuna_finds_the_planted_peak_that_random_search_does_not_at_the_same_budget(search):
    found = {}
    for sampler in ("cmaes", "random"):
        budget = [f"hydra.sweeper.sampler={sampler}", "hydra.sweeper.n_trials=40"]
        assert search(*budget) == 0, search.err
        (file,) = search.folder.glob("outputs/*/search.json")
        found[sampler] = best_value(search)
        assert len(search.record["trials"]) == 40
        file.unlink()
        for journal in search.folder.glob("outputs/*/trials.journal"):
            journal.unlink()
    assert found["cmaes"] > -0.45 > found["random"]


def command(folder, *words):
    path = os.pathsep.join([str(SOURCE), str(HELPERS)])
    argv = [sys.executable, "-m", "headstart", "--config-path", str(folder / "conf"), "-m", "hydra/sweeper=optuna"]
    return subprocess.run(
        [*argv, *(f"fit.x.{key}=interval(-1,1)" for key in "abcd"), *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def parameters(search):
    return [trial["parameters"] for trial in search.record["trials"]]


@pytest.mark.slow
def test_a_search_that_was_killed_has_the_trials_that_it_would_have_had(search, tmp_path):
    assert search("hydra.sweeper.n_trials=14") == 0
    whole = parameters(search)
    for file in search.folder.glob("outputs/*/*"):
        if file.is_file():
            file.unlink()
    (search.folder / "calls.txt").unlink()
    (tmp_path / "faults.json").write_text('{"dies": 11}')
    assert command(tmp_path, "hydra.sweeper.n_trials=14").returncode == 9
    (tmp_path / "faults.json").unlink()
    (journal,) = search.folder.glob("outputs/*/trials.journal")
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 4, "wor')  # what a process that is killed while it writes may leave
    assert len(search.calls) == 12
    assert search("hydra.sweeper.n_trials=14") == 0
    assert parameters(search) == whole
    assert len(search.calls) == 12 + 3  # the trial that was killed, and two that were still to come
    assert search("hydra.sweeper.n_trials=14") == 0
    assert len(search.calls) == 15  # nothing is left to do


def test_a_longer_search_goes_on_with_the_trials_of_the_shorter_one(search):
    assert search(*SHORT) == 0
    first = parameters(search)
    assert search("hydra.sweeper.n_trials=8") == 0
    assert parameters(search)[:6] == first
    assert len(search.calls) == 8


def test_a_failed_trial_is_no_trial_that_counts_and_is_run_again_by_the_next_command(search):
    (search.folder / "faults.json").write_text('{"fails": 2}')
    assert search(*SHORT) == 1
    states = [trial["state"] for trial in search.record["trials"]]
    assert states == ["finished", "finished", "failed", "finished", "finished", "finished"]
    assert "RuntimeError: boom" in search.err
    (search.folder / "faults.json").unlink()
    assert search(*SHORT) == 0
    again = search.record["trials"]
    assert len(again) == 7
    assert (again[6]["state"], again[6]["parameters"]) == ("finished", again[2]["parameters"])


def test_a_trial_runs_with_each_seed_and_its_value_is_the_mean(search):
    assert search("hydra.sweeper.n_trials=3", "seed=0,10") == 0
    assert [line[-2:].strip() for line in search.calls] == ["0", "10"] * 3
    for trial in search.record["trials"]:
        x = {key: float(trial["parameters"][f"fit.x.{key}"]) for key in "abcd"}
        best = {"a": 0.3, "b": -0.2, "c": 0.7, "d": 0.1}
        distance = sum((x[key] - best[key]) ** 2 for key in best) ** 0.5
        assert trial["values"][0] == pytest.approx(-distance + 0.005)
        assert len(trial["runs"]) == 2


def test_several_objectives_have_the_trials_that_none_surpasses(search):
    assert search("hydra.sweeper.n_trials=12", "hydra.sweeper.objectives=[value,-seconds]") == 0
    record = search.record
    values = [trial["values"] for trial in record["trials"]]
    front = [
        number
        for number, (level, cost) in enumerate(values)
        if not any(a >= level and b <= cost and (a, b) != (level, cost) for a, b in values)
    ]
    assert sorted(record["best"]) == front
    assert f"{len(values)} trials: 12 finished" in search.out


def test_choices_ranges_and_logarithms_are_searched(search):
    space = [
        "fit.kind=round,flat", "fit.x.a=range(-1,1,0.5)", "fit.x.b=tag(log,interval(0.001,1))",
        "fit.x.c=int(interval(-3,3))", "fit.x.d=0.5",
    ]  # fmt: skip
    assert search("hydra.sweeper.n_trials=15", "hydra.sweeper.sampler=random", space=space) == 0
    found = [trial["parameters"] for trial in search.record["trials"]]
    assert {trial["fit.kind"] for trial in found} == {"round", "flat"}
    assert {float(trial["fit.x.a"]) for trial in found} <= {-1.0, -0.5, 0.0, 0.5}
    assert all(0.001 <= float(trial["fit.x.b"]) <= 1 for trial in found)
    assert (
        sum(float(trial["fit.x.b"]) < 0.1 for trial in found) >= 5
    )  # two thirds of the logarithms, a tenth of the values
    assert {int(trial["fit.x.c"]) for trial in found} <= set(range(-3, 4))
    assert {"fit.x.d"} & found[0].keys() == set()


def test_a_diverged_trial_is_the_worst_and_never_the_best(search):
    space = ["fit.x.d=0.95,0.1"]
    assert search("hydra.sweeper.n_trials=8", "hydra.sweeper.sampler=random", space=space) == 0
    record = search.record
    assert {trial["state"] for trial in record["trials"]} == {"finished", "diverged"}
    assert all(record["trials"][number]["state"] == "finished" for number in record["best"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra.sweeper.sampler=tpf"], "hydra.sweeper.sampler must be one of tpe, cmaes, random, qmc, got 'tpf'"),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be a whole number from 1 on, got 0"),
        (["hydra.sweeper.sampler_options={gama: 1}"], "hydra.sweeper.sampler_options does not fit Optuna's TPESampler"),
        (["hydra.sweeper.objectives=[value,-metrics.test/accuracy]"], "test is read once, at the end"),
        (["hydra.sweeper.objectives=[value,-secs]"], "the objective secs must be a number, an entry of result.json"),
        (["hydra.sweeper.objectives=[value,-seconds]", "hydra.sweeper.pruner=median"], "a pruner needs one objective"),
        (["hydra.sweeper.storage=oracle://nowhere"], "hydra.sweeper.storage cannot be opened"),
        (["hydra.sweeper.n_trails=3"], "n_trails"),
        (["fit.x.a=0", "fit.x.b=0", "fit.x.c=0", "fit.x.d=0"], "searches what several values are given for"),
        (["+fit.x.e=tag(log,interval(0,1))"], "cannot be searched"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(search, words, told):
    assert search(*words) == 2, search.err
    assert told in search.err
    assert "Traceback" not in search.err


def test_a_search_over_other_choices_needs_another_name(search):
    assert search(*SHORT, space=["fit.kind=round,flat"]) == 0
    assert search(*SHORT, space=["fit.kind=round,bent"]) == 2
    assert "was over other values of fit.kind" in search.err
    assert "another study_name" in search.err


def test_an_interval_under_the_basic_sweeper_names_the_one_that_can_do_it(search):
    argv = ["--config-path", str(search.folder / "conf"), "-m"]
    assert main([*argv, "fit.x.a=interval(0,1)"]) == 2
    assert "fit.x.a is an interval" in (told := search.capsys.readouterr().err)
    assert "hydra/sweeper=optuna" in told


def test_a_wrong_key_of_params_is_named(search):
    assert search("hydra.sweeper.params={fit.x.e: 'interval(0,1)'}", space=[]) == 2
    assert "fit.x.e" in search.err or "no e" in search.err


def test_without_optuna_the_message_says_how_to_install_it(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert search(*SHORT) == 2
    assert "pip install 'headstart[optuna]'" in search.err


@pytest.mark.slow
def test_a_database_holds_a_search_too(search):
    url = f"sqlite:///{search.folder}/trials.db"
    assert search("hydra.sweeper.n_trials=3", f"hydra.sweeper.storage={url}") == 0
    assert search("hydra.sweeper.n_trials=4", f"hydra.sweeper.storage={url}") == 0
    assert len(search.calls) == 4

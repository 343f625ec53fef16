"""Folders of runs, whatever their names are made of."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import stub_jobs
from headstart.runs.folder.run_naming import config_hash, register, safe, study_folder

RUN = re.compile(r"[A-Za-z0-9=,.+@_-]+-[0-9a-f]{8}")


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "../../x",
        "..",
        "x" * 300,
        "[a,b]",
        'it\'s "quoted"',
        "图表",
        ".hidden",
        "-dash",
        "a b\tc",
        "{a: b}",
    ],
)
def test_a_run_lands_in_one_folder_below_outputs_whatever_its_overrides(command, value):
    assert command(f"model.root={value}") == 0
    assert command.made == ["outputs"]
    (run,) = command.runs
    study, name = run.split("/")
    assert study == "runs"
    assert RUN.fullmatch(name)
    assert len(name) <= 120 + 9


@pytest.mark.parametrize(
    "name", ["..", ".", ".hidden", "-dash", "a/b", "../up", "图", "x" * 300, "a b", "[a,b]", "'q'"]
)
def test_a_study_of_any_name_is_one_folder_below_outputs(name):
    folder = study_folder({"study": name}, [], [])
    assert re.fullmatch(r"[A-Za-z0-9=,+@_][A-Za-z0-9=,.+@_-]*", folder)
    assert folder not in (".", "..")
    assert len(folder) <= 130


def test_studies_whose_names_differ_in_odd_letters_alone_have_folders_of_their_own():
    assert study_folder({"study": "图"}, [], []) != study_folder({"study": "表"}, [], [])
    assert study_folder({"study": "a/b"}, [], []) != study_folder({"study": "a_b"}, [], [])


def test_a_study_in_a_subfolder_is_one_folder(command):
    command.write("study/deep/two.yaml", "# @package _global_\nmodel: {depth: 2}\n")
    assert command("study=deep/two") == 0
    assert [Path(run).parent.name.rpartition("-")[0] for run in command.runs] == ["deep_two"]


def test_safe_names_neither_climb_nor_hide_nor_read_as_flags():
    assert safe("..") == "_."
    assert safe(".x") == "_x"
    assert safe("-m") == "_m"
    assert safe("") == "_"
    assert safe("a=1,b/c") == "a=1,b_c"


def test_two_studies_that_differ_only_inside_their_file_do_not_share_a_run(command):
    command.write("study/one.yaml", "# @package _global_\nmodel: {depth: 2}\n")
    assert command("study=one") == 0
    before = command.runs
    command.write("study/one.yaml", "# @package _global_\nmodel: {depth: 3}\n")
    assert command("study=one") == 0
    assert len(command.runs) == 2
    assert set(before) < set(command.runs)


def test_the_folder_is_named_after_study_then_experiment_then_runs(command):
    assert command() == 0
    assert command("experiment=deep") == 0
    assert command("-m", "experiment=deep", "seed=0,1") == 0
    assert command("study=two", "experiment=deep") == 0
    assert {run.split("/")[0] for run in command.runs} == {"runs", "deep", "two"}


def test_a_run_is_named_after_its_own_overrides(command):
    assert command() == 0
    assert command("experiment=deep", "rerun=true", "task=fit", "hydra.verbose=false", "seed=3") == 0
    names = [Path(run).name.rpartition("-")[0] for run in command.runs]
    assert sorted(names) == ["default", "seed=3"]


@pytest.mark.slow
def test_a_sweep_is_named_after_its_swept_keys_and_grows_by_further_values(command):
    assert command("-m", "mode=a,b", "seed=0,1", "model.depth=2") == 0
    (first,) = {run.split("/")[0] for run in command.runs}
    assert re.fullmatch("sweep-mode,seed-[0-9a-f]{8}", first)
    assert len(command.runs) == 4
    assert command("-m", "seed=2", "mode=a,b", "model.depth=2", "rerun=true") == 0
    assert command("-m", "seed=0,1,2", "mode=a,b", "model.depth=2", "rerun=true") == 0
    assert len([run for run in command.runs if run.startswith(first)]) == 6
    assert command("-m", "mode=a,b", "seed=0,1", "model.depth=3") == 0
    assert len({run.split("/")[0] for run in command.runs}) == 3


def test_a_swept_experiment_does_not_name_the_folder(command):
    command.write("experiment/deeper.yaml", "# @package _global_\nmodel: {depth: 8}\n")
    assert command("-m", "experiment=deep,deeper") == 0
    assert {run.split("/")[0].rpartition("-")[0] for run in command.runs} == {"sweep-experiment"}
    assert len(command.made) == 1


def config(**more):
    register()
    shipped = {
        "seed": 0,
        "rerun": False,
        "run_dir": "${hydra:runtime.output_dir}",
        "logger": {"csv": {"save_dir": "${run_dir:}"}},
        "callbacks": {"best": {"folder": "${run_dir}/checkpoints"}},
    }
    return OmegaConf.create({**shipped, **more})


def test_the_hash_is_of_what_a_run_computes():
    bare = config_hash(config())
    assert re.fullmatch("[0-9a-f]{8}", bare)
    assert config_hash(config(rerun=True)) == bare
    assert config_hash(config(hydra={"run": {"dir": "x"}})) == bare
    assert config_hash(config(logger={"csv": {"save_dir": "/elsewhere"}})) == bare
    assert config_hash(config(run_dir="/elsewhere/outputs/runs/x")) == bare
    assert config_hash(config(seed=1)) != bare
    assert config_hash(config(seed="${oc.decode:'0'}")) == bare


def test_the_task_and_the_folder_have_the_same_hash(command):
    command.write(
        "experiment/deep.yaml",
        "# @package _global_\nmodel: {depth: 7, root: '${hydra:runtime.output_dir}'}\n",
    )
    assert command("experiment=deep") == 0
    (run,) = command.runs
    assert run.endswith(f"-{config_hash(command.cfg)}")
    saved = OmegaConf.load(command.folder / "outputs" / run / ".hydra" / "config.yaml")
    assert run.endswith(f"-{config_hash(saved)}")


def test_another_clone_and_another_home_give_the_same_names(command, monkeypatch, tmp_path):
    for home in ("one", "two"):
        folder = tmp_path / home / "clone"
        folder.mkdir(parents=True)
        monkeypatch.setenv("HOME", str(tmp_path / home))
        monkeypatch.chdir(folder)
        assert command("model.root=~/pets") == 0
        assert command(f"model.root={folder}/pets") == 0
        assert command("-m", "model.root=~/pets", "seed=0,1") == 0
    found = [
        sorted(str(p.relative_to(tmp_path / home)) for p in (tmp_path / home).glob("clone/outputs/*/*"))
        for home in ("one", "two")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 5  # 2 runs, a sweep of 2 and its multirun.yaml


def test_run_dir_is_the_folder_of_the_run(command):
    command.write("experiment/deep.yaml", "# @package _global_\nmodel: {root: '${run_dir:}/x'}\n")
    assert command("experiment=deep") == 0
    (run,) = command.runs
    assert [str(command.folder / "outputs" / run / "x")] == stub_jobs.ROOTS


def test_the_config_can_be_shown_resolved_before_there_is_a_run(command):
    command.write("experiment/deep.yaml", "# @package _global_\nmodel: {root: '${run_dir:}/x'}\n")
    assert command("--cfg", "job", "--resolve", "experiment=deep") == 0
    assert "root: outputs/deep/default-" in command.out
    assert command.made == []


def test_a_run_is_named_after_the_last_part_of_a_path_and_another_folder_of_that_name_is_another_run(command):
    assert command("model.root=/a/b/photos") == 0
    assert command("model.root=/c/photos") == 0
    assert {Path(run).name.rpartition("-")[0] for run in command.runs} == {"model.root=photos"}
    assert len(command.runs) == 2


def test_study_name_names_the_folder_of_a_run_and_of_a_sweep_and_changes_no_hash(command):
    assert command("+study_name=null", "seed=3") == 0
    assert command("+study_name=pilot", "seed=3") == 0
    assert command("-m", "+study_name=pilot", "study=two") == 0
    by_study = {
        study: {Path(run).name for run in command.runs if run.startswith(f"{study}/")} for study in ("runs", "pilot")
    }
    assert len(by_study["pilot"]) == 5
    assert by_study["runs"] < by_study["pilot"]
    assert command("-m", "+study_name=one,two", "seed=0,1") == 2
    assert "study_name" in command.err


def test_a_study_name_of_odd_letters_stays_one_folder():
    assert study_folder({}, ["seed"], [], called="../up").startswith("_._up-")
    assert study_folder({"study": "demo"}, [], [], called="pilot 1") != study_folder({}, [], [], called="pilot_1")

"""What a user finds after headstart has run."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

from composed import TINY
from headstart.cli import main
from headstart.runs.folder.run_folder import cleared

FAST = [*TINY, "trainer.max_epochs=3"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder outputs/ of a command that has trained from scratch."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([*FAST, "mode=scratch"]) == 0
    return place / "outputs"


@pytest.fixture
def finished(outputs, here, tmp_path):
    """That run's folder, copied into the test's working folder."""
    shutil.copytree(outputs, tmp_path / "outputs")
    (folder,) = folders("runs")
    return folder


def folders(study):
    return sorted(path for path in Path("outputs", study).iterdir() if (path / "result.json").exists())


def test_a_run_leaves_its_config_curves_checkpoints_and_result_in_a_folder_of_its_name(capfd):
    assert main([*FAST, "mode=scratch", "seed=1"]) == 0
    (folder,) = folders("runs")
    result = json.loads((folder / "result.json").read_text())
    assert {path.name for path in folder.iterdir()} >= {".hydra", "metrics.csv", "checkpoints", "result.json"}
    assert list(folder.glob("events.out.tfevents.*"))
    assert folder.name == result["name"]
    assert folder.name.endswith(f"-{result['hash']}")
    assert "mode=scratch,seed=1" in folder.name
    assert result["overrides"] == yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
    assert result["study"] == "runs"
    assert "val/accuracy" in capfd.readouterr().err


def test_a_finished_run_is_skipped_and_said_so_unless_rerun(finished, capfd):
    folder = finished
    made = (folder / "result.json").stat().st_mtime_ns
    capfd.readouterr()
    assert main([*FAST, "mode=scratch"]) == 0
    assert "is finished" in capfd.readouterr().err
    assert (folder / "result.json").stat().st_mtime_ns == made
    assert main([*FAST, "mode=scratch", "rerun=true"]) == 0
    assert folders("runs") == [folder]
    assert (folder / "result.json").stat().st_mtime_ns > made


def test_a_multirun_gives_a_folder_a_job_one_source_model_and_one_report(capfd):
    sweep = ["-m", *FAST, "mode=scratch,gradual", "seed=0,1", "target.shots=2,4", "+weights.x=1"]
    assert main(sweep) == 2  # a key that does not exist, found before anything is made
    assert not Path("outputs").exists()
    for number in (1, 2):  # the second time all runs are there already
        assert main(["-m", *FAST, "mode=scratch,fine_tuning", "seed=0,1"]) == 0
        (study,) = [path for path in Path("outputs").iterdir() if path.name not in ("source", "store")]
        assert study.name.startswith("sweep-mode,seed-")
        assert len(folders(study.name)) == 4, number
    assert len(folders("source")) == 1
    report = json.loads((study / "report.json").read_text())
    assert report["format"]
    assert (study / "report.html").exists()
    assert (study / "report.md").exists()
    assert "higher start" in capfd.readouterr().out


def test_one_failed_job_leaves_the_others_their_results_a_report_and_a_trace(capfd):
    # there are four stages
    code = main(["-m", *FAST, "mode=scratch", "seed=0,1", "backbone.keep=2,9"])
    said = capfd.readouterr()
    (study,) = Path("outputs").iterdir()
    assert code == 1
    assert len(folders(study.name)) == 2
    failed = [path for path in study.iterdir() if (path / "error.txt").exists()]
    assert len(failed) == 2
    assert all("UserError" in (path / "error.txt").read_text() for path in failed)
    assert (study / "report.html").exists()
    assert "Traceback" not in said.err
    assert "jobs that failed: 2" in said.err


def test_a_user_s_mistake_is_one_line_and_code_2_and_the_trace_is_one_flag_away(capfd):
    assert main([*FAST, "mode=scratch", "backbone.keep=9"]) == 2
    said = capfd.readouterr().err
    assert "backbone.keep must be 1 to 4, got 9; the stages are stage1" in said
    assert "Traceback" not in said
    assert "Instantiation" not in said
    assert main(["--trace", *FAST, "mode=scratch", "backbone.keep=9"]) == 2
    assert "Traceback" in capfd.readouterr().err


def test_evaluate_gives_the_run_s_own_test_figures_again(finished, capsys):
    folder = finished
    result = json.loads((folder / "result.json").read_text())
    capsys.readouterr()
    assert main(["task=evaluate", f"evaluate.run_dir={folder}"]) == 0
    measured = json.loads((folder / "evaluate-test.json").read_text())
    assert measured["images"] == 720
    for name, value in measured["metrics"].items():
        assert value == pytest.approx(result["metrics"][name], abs=1e-6)
    assert f"{result['metrics']['test/accuracy']:.4f}" in capsys.readouterr().out

    assert main(["task=evaluate", f"evaluate.run_dir={folder}", "evaluate.split=val"]) == 0
    on_val = json.loads((folder / "evaluate-val.json").read_text())["metrics"]
    assert on_val["val/accuracy"] == pytest.approx(result["best"]["val/accuracy"], abs=1e-6)
    assert [path.name for path in Path("outputs").iterdir()] == ["runs"]  # evaluating makes no run


def test_evaluate_on_other_data_needs_the_same_classes(finished, capsys):
    folder = finished
    other = ["task=evaluate", f"evaluate.run_dir={folder}", "data@evaluate.data=printed"]
    assert main([*other, "evaluate.data.characters=letters"]) == 2
    assert "the run's classes are 0, 1, 2" in capsys.readouterr().err
    assert main([*other, "evaluate.data.characters=digits"]) == 0
    (file,) = folder.glob("evaluate-digits-*.json")
    images = json.loads(file.read_text())["images"]
    assert images > 500
    assert file.name.startswith(f"evaluate-digits-{images}-images-")
    assert main([*other, "evaluate.data.characters=digits", "evaluate.split=test"]) == 0
    (file,) = folder.glob("evaluate-digits-test-500-images-*.json")
    assert json.loads(file.read_text())["images"] == 500


def test_evaluate_without_a_finished_run_says_what_it_needs(capsys):
    assert main(["task=evaluate", "evaluate.run_dir=nowhere"]) == 2
    assert "the folder of a finished run" in capsys.readouterr().err


@pytest.mark.slow
def test_metrics_csv_is_the_same_for_the_same_command(tmp_path, monkeypatch):
    files = []
    for clone in ("one", "two"):
        (tmp_path / clone).mkdir()
        monkeypatch.chdir(tmp_path / clone)
        main([*FAST, "mode=gradual"])
        (folder,) = folders("runs")
        files.append((folder.name, (folder / "metrics.csv").read_bytes()))
    assert files[0] == files[1]
    assert list(csv.DictReader(files[0][1].decode().splitlines()))


def result_of(folder):
    """Its result, of a file that is JSON: no NaN, no Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads((folder / "result.json").read_text(), parse_constant=refuse)


def test_a_run_that_diverges_ends_there_says_on_what_and_is_not_run_again_unless_rerun(capfd):
    command = [*FAST, "mode=scratch", "optimizer.lr=1e30"]
    assert main(command) == 1
    said = capfd.readouterr().err
    (folder,) = folders("runs")
    result = result_of(folder)
    assert result["state"] == "diverged"
    found = result["divergence"]
    assert (found["what"], found["epoch"], len(found["images"])) == ("the training loss", 1, 16)
    assert result["steps"] == found["step"] <= 4
    assert result["evaluations"][-1]["step"] == result["best"]["step"] == 0
    assert result["metrics"]["test/loss"] is not None  # of the checkpoint that was kept
    assert not (folder / "checkpoints" / "last.ckpt").exists()  # it would be that of a model without numbers
    (line,) = [line for line in said.splitlines() if "error" in line]
    assert f"{folder.name}: training diverged: the training loss was nan for the first time in epoch 1 at step" in line
    assert f"on the images {found['images'][0]}, " in line
    assert "try a smaller optimizer.lr" in line
    assert "rerun=true runs it again" in line
    assert "Traceback" not in said
    made = (folder / "result.json").stat().st_mtime_ns
    assert main(command) == 1
    assert "training diverged" in capfd.readouterr().err
    assert (folder / "result.json").stat().st_mtime_ns == made
    assert main([*command, "rerun=true"]) == 1
    assert (folder / "result.json").stat().st_mtime_ns > made


def test_a_sweep_goes_on_after_a_job_that_diverged_has_its_report_and_is_told_from_a_sound_one(capfd):
    assert main(["-m", *FAST, "mode=scratch", "optimizer.lr=1e30,0.01"]) == 1
    said = capfd.readouterr()
    (study,) = Path("outputs").iterdir()
    assert {result_of(folder)["state"] for folder in folders(study.name)} == {"diverged", "finished"}
    assert "jobs whose training diverged: 1" in said.err
    assert "jobs that failed" not in said.err
    assert "they count as the worst" in " ".join(said.out.split())
    assert (study / "report.html").exists()


def test_a_sound_run_is_finished_and_says_where_its_best_was_before_training(capfd):
    assert main([*FAST, "mode=scratch"]) == 0
    (folder,) = folders("runs")
    result = result_of(folder)
    assert (result["state"], result["best_before_training"]) == ("finished", False)
    assert result["peak_learning_rate"] == max(result["peak_learning_rate"], 1e-3)
    sums = [point["learning_rate_sum"] for point in result["evaluations"]]
    assert sums[0] == 0
    assert sums == sorted(sums)
    assert (folder / "answers" / "val.npz").exists()
    said = capfd.readouterr().err
    assert "diverged" not in said
    assert "before training" not in said
    # at such a rate the loss only rises
    lowest = ["callbacks.checkpoint.monitor=val/loss", "callbacks.checkpoint.mode=min"]
    assert main([*FAST, "mode=scratch", "optimizer.lr=1e4", *lowest]) == 0
    said = capfd.readouterr().err
    assert "; the best on val was before training (step 0)" in said
    (other,) = (one for one in folders("runs") if one != folder)
    assert result_of(other)["best_before_training"] is True


def test_a_run_that_starts_anew_leaves_no_answers_of_the_one_before(tmp_path):
    (tmp_path / "run" / "answers").mkdir(parents=True)
    (tmp_path / "run" / "answers" / "val.npz").touch()
    cleared(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoints"]

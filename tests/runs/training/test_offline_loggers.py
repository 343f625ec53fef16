"""Two jobs with all loggers at once, without network: each tool's own reader finds both apart, and whole."""

import csv
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from composed import TINY
from headstart.cli import main
from wandb_records import items, records

pytest.importorskip("wandb", reason="make test-loggers has it")
pytest.importorskip("mlflow", reason="make test-loggers has it")
pytest.importorskip("comet_ml", reason="make test-loggers has it")
pytestmark = [pytest.mark.slow, pytest.mark.pictures]
SECRET = "s3cret"
JOBS = ["mode=scratch", "trainer.max_epochs=3", "seed=0,1", "study_name=pilot"]
TOLD = {"study": "pilot", "arm": "scratch", "mode": "scratch"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of the two jobs, by seed."""
    place = tmp_path_factory.mktemp("jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, value in (("WANDB_MODE", "offline"), ("WANDB_ERROR_REPORTING", "false"), ("COMET_START_ONLINE", "0")):
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["headstart", f"target.root=https://me:{SECRET}@host"])
        assert main(["-m", *TINY, *JOBS, "logger=[tensorboard,wandb,mlflow,comet]"]) == 0
        yield {seed: next(Path("outputs/pilot").glob(f"*seed={seed}*")).resolve() for seed in (0, 1)}


def curve_in_csv(folder):
    with (folder / "metrics.csv").open() as file:
        rows = {int(row["step"]): float(row["val/accuracy"]) for row in csv.DictReader(file) if row["val/accuracy"]}
    assert min(rows) == 0
    assert len(rows) == 4
    return rows


def test_w_and_b_has_each_job_in_a_run_of_its_own(runs):
    ids = set()
    for seed, folder in runs.items():
        read = list(records(folder))
        (run,) = [record.run for record in read if record.WhichOneof("record_type") == "run"][:1]
        ids.add(run.run_id)
        assert (run.run_group, run.display_name, run.job_type) == ("pilot: scratch", f"scratch seed {seed}", "pilot")
        config = {}
        for record in read:
            if record.WhichOneof("record_type") == "config":
                config |= items(record.config.update)
        assert config.items() >= (TOLD | {"seed": seed}).items()
        rows = [items(record.history.item) for record in read if record.WhichOneof("record_type") == "history"]
        curve = {row["trainer/global_step"]: row["val/accuracy"] for row in rows if "val/accuracy" in row}
        assert curve == pytest.approx(curve_in_csv(folder))
        (shown,) = [row for row in rows if "test/confusion/filenames" in row]
        (name,) = shown["test/confusion/filenames"]
        (files,) = folder.glob("wandb/offline-run-*/files")
        assert Image.open(files / name).size == (shown["test/confusion/width"], shown["test/confusion/height"])
        (plan,) = [row["plan/path"] for row in rows if "plan/path" in row]
        assert "phase" in (files / plan).read_text()
        summary = {}
        for record in read:
            if record.WhichOneof("record_type") == "summary":
                summary |= items(record.summary.update)
        result = json.loads((folder / "result.json").read_text())
        assert summary["final/test/accuracy"] == result["metrics"]["test/accuracy"]
        assert not any(SECRET.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
        assert json.loads((folder / "loggers.json").read_text())["wandb"] == run.run_id
    assert len(ids) == 2
    read = list(records(next(iter(runs.values())).parent))
    (run,) = [record.run for record in read if record.WhichOneof("record_type") == "run"][:1]
    assert (run.display_name, run.job_type) == ("pilot report", "pilot")
    rows = [items(record.history.item) for record in read if record.WhichOneof("record_type") == "history"]
    assert any("verdict/path" in row for row in rows)


def test_a_later_report_goes_on_with_the_run_that_the_study_has(runs):
    from mlflow import MlflowClient

    study = next(iter(runs.values())).parent
    named = json.loads((study / "loggers.json").read_text())
    assert main(["task=report", f"report.dir={study}", "logger=mlflow"]) == 0
    assert json.loads((study / "loggers.json").read_text())["mlflow"] == named["mlflow"]
    client = MlflowClient(f"sqlite:///{study.parent / 'mlflow' / 'mlflow.db'}")
    (pilot,) = client.search_experiments(filter_string="name = 'pilot'")
    assert len(client.search_runs([pilot.experiment_id])) == 3


def test_mlflow_has_each_job_in_a_run_of_its_own(runs):
    from mlflow import MlflowClient

    outputs = next(iter(runs.values())).parents[1]
    client = MlflowClient(f"sqlite:///{outputs / 'mlflow' / 'mlflow.db'}")
    pilot = client.get_experiment_by_name("pilot")
    found = {run.info.run_name: run for run in client.search_runs([pilot.experiment_id])}
    report = found.pop("pilot report")
    assert (
        "val/accuracy against scratch" in Path(client.download_artifacts(report.info.run_id, "verdict.txt")).read_text()
    )
    by_seed = {run.data.params["seed"]: run for run in found.values()}
    assert set(by_seed) == {"0", "1"}
    ends = [np.mean(list(curve_in_csv(folder).values())[-3:]) for folder in runs.values()]
    assert report.data.metrics["asymptote/scratch"] == pytest.approx(np.mean(ends))
    for seed, folder in runs.items():
        run = by_seed[str(seed)]
        assert run.info.status == "FINISHED"
        assert run.info.run_name == f"scratch seed {seed}"
        assert run.data.params.items() >= TOLD.items()
        assert (run.data.tags["study"], run.data.tags["arm"], run.data.tags["seed"]) == ("pilot", "scratch", str(seed))
        points = client.get_metric_history(run.info.run_id, "val/accuracy")
        assert {point.step: point.value for point in points} == pytest.approx(curve_in_csv(folder))
        names = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")]
        (confusion,) = [name for name in names if "confusion" in name and name.endswith(".png")]
        assert Image.open(client.download_artifacts(run.info.run_id, confusion)).mode == "RGB"
        assert "plan.txt" in [entry.path for entry in client.list_artifacts(run.info.run_id)]
        result = json.loads((folder / "result.json").read_text())
        assert run.data.metrics["final/test/accuracy"] == result["metrics"]["test/accuracy"]


def test_comet_has_each_job_in_an_archive_of_its_own(runs):
    for seed, folder in runs.items():
        (archive,) = folder.glob("*.zip")
        with ZipFile(archive) as opened:
            lines = opened.read("messages.json").decode().splitlines()
            assert not any(SECRET in line for line in lines)
        told = [json.loads(line)["payload"] for line in lines]
        metrics = [payload["metric"] for payload in told if payload.get("metric")]
        points = [(m["step"], m["metricValue"]) for m in metrics if m["metricName"] == "val/accuracy"]
        assert len(points) == 4  # each once: Comet would take TensorBoard's too
        assert dict(points) == pytest.approx(curve_in_csv(folder))
        settings = [payload["param"] for payload in told if payload.get("param")]
        params = {setting["paramName"]: setting["paramValue"] for setting in settings}
        assert params.items() >= (TOLD | {"seed": seed}).items()
        pictures = [payload for payload in told if payload.get("upload_type") == "visualization"]
        assert [picture["additional_params"]["figName"] for picture in pictures].count("test/confusion") == 1


def test_tensorboard_has_each_job_in_its_folder(runs):
    for seed, folder in runs.items():
        board = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()
        curve = {event.step: event.value for event in board.Scalars("val/accuracy")}
        assert curve == pytest.approx(curve_in_csv(folder))
        assert "test/confusion" in board.Tags()["images"]
        assert "plan/text_summary" in board.Tags()["tensors"]
        assert f"seed={seed}" in folder.name

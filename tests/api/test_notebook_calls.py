"""Runs, sweeps, configs, models and results from Python are those of the command."""

import json
import logging

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import headstart
from composed import TINY
from headstart.cli import main

SHORT = [*TINY, "trainer.max_epochs=1", "logger=csv", "callbacks.figures=null", "mode=scratch"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def result(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return headstart.run(SHORT)


def test_a_run_has_the_metrics_and_the_folder_of_the_command(result, place):
    assert result.folder.parent == place / "outputs" / "runs"
    record = json.loads((result.folder / "result.json").read_text())
    assert dict(result.metrics) == record["metrics"]
    assert result.state == "finished"
    before = (result.folder / "metrics.csv").read_bytes()
    assert main([*SHORT, "rerun=true"]) == 0
    assert (result.folder / "metrics.csv").read_bytes() == before


def test_a_finished_run_is_not_trained_again(result):
    modified = (result.folder / "result.json").stat().st_mtime_ns
    again = headstart.run(SHORT)
    assert (again.folder, dict(again.metrics)) == (result.folder, dict(result.metrics))
    assert (result.folder / "result.json").stat().st_mtime_ns == modified


def test_a_config_names_the_folder_of_its_run_and_holds_the_run_s_settings(result):
    cfg = headstart.compose(SHORT)
    assert cfg.run_dir == f"outputs/runs/{result.folder.name}"
    saved = OmegaConf.load(result.folder / ".hydra" / "config.yaml")
    assert cfg.optimizer == saved.optimizer


@pytest.mark.parametrize("call", [headstart.run, headstart.compose, headstart.sweep])
def test_a_wrong_override_is_an_error_with_the_closest_name_and_no_exit(call):
    with pytest.raises(headstart.UserError, match=r"did you mean target\.shots"):
        call(["target.shotz=5"])


def test_one_string_in_place_of_a_list_is_an_error():
    with pytest.raises(headstart.UserError, match=r'try \["mode=scratch"\]'):
        headstart.run("mode=scratch")


def test_an_error_of_the_job_itself_is_raised(place):
    with pytest.raises(headstart.UserError, match="oracle=true is for a target whose labels"):
        headstart.run([*SHORT, "oracle=true"])


def test_several_values_are_a_sweep(place):
    with pytest.raises(headstart.UserError, match="several values to one run"):
        headstart.run([*SHORT, "seed=0,1"])
    with pytest.raises(headstart.UserError, match=r"try headstart\.sweep"):
        headstart.run(["study=demo"])


def test_a_task_without_a_result_is_an_error_that_names_the_command(place):
    with pytest.raises(headstart.UserError, match="try the command: headstart task=describe"):
        headstart.run(["task=describe", "mode=scratch"])


def test_the_handlers_of_the_root_logger_are_as_before(result):
    before = list(logging.getLogger().handlers)
    headstart.run(SHORT)
    assert logging.getLogger().handlers == before


@pytest.fixture(scope="module")
def sweep(result, place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return headstart.sweep([*SHORT, "seed=1,2", "optimizer.lr=0.001"])


def test_a_sweep_has_a_result_for_each_job_and_their_report(sweep, place):
    assert [run.record["seed"] for run in sweep.runs] == [1, 2]
    assert {run.folder.parent.resolve() for run in sweep.runs} == {sweep.folder.resolve()}
    assert sweep.failures == {}
    assert sweep.report is not None


def test_a_job_that_fails_is_listed_and_the_others_have_their_results(place):
    found = headstart.sweep([*SHORT, "oracle=false,true"])
    assert len(found.runs) == 1
    ((folder, message),) = found.failures.items()
    assert "oracle=True" in folder.name
    assert message.startswith("oracle=true is for")


@pytest.mark.slow
def test_a_sweep_all_of_whose_jobs_fail_raises_their_error(place):
    with pytest.raises(headstart.UserError, match="oracle=true is for"):
        headstart.sweep([*SHORT, "oracle=true", "seed=3,4"])


def test_the_results_below_a_folder_are_records_of_settings_and_metrics(sweep, place):
    records = headstart.results(sweep.folder, frame=False)
    assert [record["seed"] for record in records] == [1, 2]
    assert [record["test/accuracy"] for record in records] == [run.metrics["test/accuracy"] for run in sweep.runs]
    assert all(record["mode"] == "scratch" and record["state"] == "finished" for record in records)


def test_the_results_are_a_frame_where_pandas_is_installed(sweep, monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = headstart.results(sweep.folder)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["seed"]) == [1, 2]
    monkeypatch.setattr("headstart.api.result_records.find_spec", lambda _: None)
    assert isinstance(headstart.results(sweep.folder), list)


def test_results_of_no_folder_are_an_error():
    with pytest.raises(headstart.UserError, match="not there"):
        headstart.results("nowhere")


def test_a_loaded_model_predicts_of_files_what_the_command_predicts(result, place):
    folder = place / "images"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    assert main(["task=predict", f"predict.run_dir='{result.folder}'", f"predict.images={folder}",
                 "predict.format=json", "predict.out=predictions.json", "trainer.accelerator=cpu"]) == 0  # fmt: skip
    command = json.loads((place / "predictions.json").read_text())
    model = headstart.load(result.folder, accelerator="cpu")
    predictions = model.predict(folder)
    for prediction, expected in zip(predictions, command, strict=True):
        assert (prediction.image, prediction.predicted) == (str(folder / expected["file"]), expected["predicted"])
        assert prediction.probabilities == pytest.approx(expected["probabilities"], abs=2e-6)
    few = model.predict([folder / "2.png", folder / "0.png"])
    assert [prediction.predicted for prediction in few] == [predictions[2].predicted, predictions[0].predicted]


def test_a_loaded_model_predicts_of_an_array_what_its_backbone_and_head_compute(result):
    model = result.load_model(accelerator="cpu")
    size = model.pixels.size
    images = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    predictions = model.predict(images)
    values = torch.from_numpy(images).unsqueeze(1).float() / 255
    with torch.no_grad():
        logits = model.head(model.backbone((values - model.pixels.mean[0]) / model.pixels.std[0]))
    for number, (prediction, row) in enumerate(zip(predictions, logits.softmax(dim=1).tolist(), strict=True)):
        assert prediction.image == number
        assert prediction.predicted == model.class_names[int(np.argmax(row))]
        assert list(prediction.probabilities.values()) == pytest.approx(row, abs=1e-5)


def test_images_of_another_size_are_an_error_that_says_which_is_expected(result):
    with pytest.raises(headstart.UserError, match=r"shape \(B, 32, 32\), got uint8 of \(2, 5, 5\)"):
        result.load_model(accelerator="cpu").predict(np.zeros((2, 5, 5), dtype=np.uint8))


def test_the_folder_of_no_run_is_an_error(place):
    (place / "empty").mkdir(exist_ok=True)
    with pytest.raises(headstart.UserError, match="folder of a finished run"):
        headstart.load(place / "empty")

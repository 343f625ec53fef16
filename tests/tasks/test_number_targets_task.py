"""The commands work on images whose targets are numbers."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from composed import run_by_command
from headstart.api.loaded_model import load
from headstart.cli import main
from headstart.report.stored_runs.stored_predictions import answers_in
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config
from live_answers import live
from number_photos import SMALL, number_photos, of_numbers


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return number_photos(tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    given = [*of_numbers(photos, "[age,glow]"), "mode=gradual", "unfreeze=plateau", "scheduler=plateau"]
    return run_by_command([*SMALL, *given, "module.metric=mae"], tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def live_numbers(run, split="test"):
    """Numbers, labels and names of a split, of the model as it was trained."""
    predicted, true, names = live(run, split)
    return predicted.numpy(), true.numpy(), names


def test_the_best_checkpoint_is_that_of_the_least_error_and_metrics_are_scikit_learns(run):
    result = json.loads((run / "result.json").read_text())
    with (run / "metrics.csv").open() as file:
        reached = [float(row["val/mae"]) for row in csv.DictReader(file) if row["val/mae"]]
    assert (result["monitor"], result["regression"], result["multi_label"]) == ("val/mae", True, False)
    assert result["metrics"]["val/mae"] == pytest.approx(min(reached))
    assert max(reached) > min(reached)
    predicted, true, _ = live_numbers(run)
    assert {name: result["metrics"][f"test/{name}"] for name in ("mae", "rmse", "r2")} == pytest.approx(
        {
            "mae": mean_absolute_error(true, predicted),
            "rmse": root_mean_squared_error(true, predicted),
            "r2": r2_score(true, predicted),
        },
        rel=1e-4,
    )


def test_units_are_those_of_the_training_images_and_stand_in_the_checkpoint(run):
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    _, true, _ = live_numbers(run, "train")
    np.testing.assert_allclose(state["head.mean"], true.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(state["head.std"], true.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(state["labels.std"], true.std(axis=0), rtol=1e-5)


def test_the_run_begins_with_ridge_regression_and_its_start_is_measured(run):
    result = json.loads((run / "result.json").read_text())
    with (run / "metrics.csv").open() as file:
        first = next(float(row["val/mae"]) for row in csv.DictReader(file) if row["val/mae"])
    _, true, _ = live_numbers(run, "val")
    assert result["start_class_means"] > 0
    assert first < 0.9 * mean_absolute_error(true, np.tile(true.mean(axis=0), (len(true), 1)))


def test_what_each_image_contributed_is_kept(run):
    result = json.loads((run / "result.json").read_text())
    answers = answers_in(run, "val")
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/mae"]]
    for metric in ("mae", "loss"):
        found = answers.rows(metric).value.mean(axis=1)
        assert found.tolist() == pytest.approx([float(row[f"val/{metric}"]) for row in rows], rel=2e-3)
    assert answers.closed_form_rows("mae").value.mean() == pytest.approx(result["start_class_means"], rel=1e-5)
    test = answers_in(run, "test")
    assert test.rows("mae").value.mean() == pytest.approx(result["metrics"]["test/mae"], rel=1e-5)
    jackknifed = test.rows("r2").value.mean()  # the mean of pseudo-values corrects the bias of order 1 / images
    assert jackknifed == pytest.approx(result["metrics"]["test/r2"], abs=0.1)


def test_evaluate_says_what_scikit_learn_says_and_finds_columns_by_name(run, photos, capsys):
    assert main(["task=evaluate", f"evaluate.run_dir={run}"]) == 0
    found, (predicted, true, names) = json.loads((run / "evaluate-test.json").read_text()), live_numbers(run)
    for at, name in enumerate(("age", "glow")):
        column = found["columns"][name]
        assert column["mae"] == pytest.approx(mean_absolute_error(true[:, at], predicted[:, at]), rel=1e-4)
        assert column["r2"] == pytest.approx(r2_score(true[:, at], predicted[:, at]), rel=1e-4)
    error = (np.abs(predicted - true) / true.std(axis=0)).max(axis=1)
    assert found["worst"][0]["file"] == names[int(error.argmax())]
    assert {path.name for path in run.glob("evaluate-*.png")} == {
        "evaluate-test-numbers.png",
        "evaluate-test-worst.png",
    }
    assert "column        MAE       RMSE      R²" in capsys.readouterr().out
    other = ["data@evaluate.data=table", f"evaluate.data.table={photos}/bars.csv"]
    assert main(["task=evaluate", f"evaluate.run_dir={run}", *other, "evaluate.data.target_column=[glow,age]"]) == 0
    (file,) = run.glob("evaluate-*bars.csv-120-images*.json")
    assert json.loads(file.read_text())["columns"]["age"]["mae"] < 15
    capsys.readouterr()
    assert main(["task=evaluate", f"evaluate.run_dir={run}", *other, "evaluate.data.target_column=glow"]) != 0
    assert "must have all of the run's columns of numbers, not among them: age" in capsys.readouterr().err
    assert main(["task=evaluate", f"evaluate.run_dir={run}", *other, "evaluate.data.label_column=age"]) != 0
    assert "the run has numbers as targets, and evaluate.data classes" in capsys.readouterr().err


def test_predictions_are_numbers_in_their_own_units(run, photos):
    predicted, _, names = live_numbers(run)
    assert main(["task=predict", f"predict.run_dir={run}", f"predict.images={photos}"]) == 0
    with (run / "predictions.csv").open() as file:
        found = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert list(found[names[0]]) == ["file", "predicted(age)", "predicted(glow)", "error"]
    for row, name in zip(predicted.tolist(), names, strict=True):
        said = [float(found[name][f"predicted({column})"]) for column in ("age", "glow")]
        assert said == pytest.approx(row, rel=1e-4, abs=1e-5)
    assert main(["task=predict", f"predict.run_dir={run}", f"predict.images={photos}", "predict.format=json"]) == 0
    listed = {Path(one["file"]).name: one["predicted"] for one in json.loads((run / "predictions.json").read_text())}
    assert listed[names[0]] == pytest.approx(dict(zip(("age", "glow"), predicted[0].tolist(), strict=True)), rel=1e-4)
    (one,) = load(run, accelerator="cpu").predict(photos / names[0])
    assert one.predicted == pytest.approx(listed[names[0]], rel=1e-4)


def test_an_exported_model_gives_numbers_in_their_own_units(run):
    assert main(["task=export", f"export.run_dir={run}", "export.format=torchscript"]) == 0
    about = json.loads((run / "export" / "preprocessing.json").read_text())
    assert (about["output"], about["columns"]) == ({"name": "numbers", "shape": ["batch", 2]}, ["age", "glow"])
    parts = assembled(run_config(run))
    parts.data.setup("test")
    batch = next(iter(parts.data.plain_dataloader("test")))
    exported = torch.jit.load(run / "export" / "model.ts")(batch.image).detach()
    np.testing.assert_allclose(exported.numpy(), live_numbers(run)[0][: len(exported)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["mode=scratch", "mix@module.mix=mixup"], "mix@module.mix is made for classes, and the target has numbers"),
        (["mode=scratch", "module.class_weights=balanced"], "module.class_weights is made for classes"),
        (["mode=scratch", "module.label_smoothing=0.1"], "module.label_smoothing is made for classes"),
        (["mode=fine_tuning", "head.init=source", "adaptation=dann"], "adaptation .* is made for classes"),
        (["mode=BnB"], "weights=target .* is made for classes"),
        (["mode=scratch", "trainer.precision=bf16-true"], "units in float32, got .*bf16-true; try .*bf16-mixed"),
        (["mode=scratch", "target.shots=5"], "shots=5 counts images of each class"),
        (["mode=scratch", "module.metric=accuracy"], "one of mae, rmse, r2 for numbers as targets"),
    ],
)
def test_what_does_not_fit_is_one_message(photos, given, message, capsys):
    assert main([*SMALL, *of_numbers(photos), *given]) != 0
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error


def test_a_soup_begins_with_the_run_of_the_least_error_and_takes_up_none_that_raises_it(run, tmp_path):
    """Of an error less is better; a run of worse weights comes after it and stays out."""
    study = tmp_path / "study"
    shutil.copytree(run, study / "good")
    shutil.copytree(run, study / "bad")
    file = study / "bad" / "checkpoints" / "best.ckpt"
    stored = torch.load(file, weights_only=True)
    stored["state_dict"]["head.mean"] += 100.0
    torch.save(stored, file)
    result = json.loads((study / "bad" / "result.json").read_text())
    del result["files"]  # the digests of what the run wrote
    (study / "bad" / "result.json").write_text(json.dumps(result))
    assert main(["task=soup", f"soup.study_dir={study}", "trainer=cpu"]) == 0
    content = json.loads((study / "soup.json").read_text())
    assert [(entry["run"], entry["taken"]) for entry in content["runs"]] == [("good", True), ("bad", False)]
    assert content["soup"]["val/mae"] == pytest.approx(result["metrics"]["val/mae"], rel=1e-4)
    assert content["runs"][1]["metrics"]["val/mae"] > 50

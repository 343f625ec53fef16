"""The temperature of a run's val images in evaluate, predict and export; abstention and named test sets of evaluate."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from composed import TINY
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved import run_temperature
from headstart.runs.saved.finished_run import run_config

CLASSES = ("ants", "bees", "cats")


def write_photos(folder, counts, seed, shift=0.0):
    """Class folders of noise around a brightness, which overlap."""
    chance = np.random.default_rng(seed)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for image in range(counts):
            grey = (chance.normal(90 + 40 * number + shift, 30) + chance.normal(0, 30, (16, 16))).clip(0, 255)
            Image.fromarray(grey.astype(np.uint8)).save(folder / name / f"{image:02}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    for seed, (split, count) in enumerate((("train", 8), ("val", 10), ("test", 12))):
        write_photos(folder / "photos" / split, count, seed)
    write_photos(folder / "site_b", 5, seed=3, shift=40)
    data = ["data@target=image_folder", "target.root=photos", "target.batch_size=8"]
    quiet = ["logger=csv", "callbacks.figures=null", "hydra.run.dir=run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TINY, *data, *quiet, "mode=scratch", "trainer.max_epochs=3", "backbone.size=16"]) == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def here(run, monkeypatch):
    monkeypatch.chdir(run.parent)


def live(run, split):
    """Logits and labels of a split, of the model as it was trained."""
    parts = assembled(run_config(run))
    parts.data.setup("test")
    parts.module.load_state_dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    batches = list(parts.data.plain_dataloader(split))
    with torch.no_grad():
        logits = torch.cat([parts.module.eval()(batch.image) for batch in batches])
    return logits.numpy().astype(np.float64), torch.cat([batch.label for batch in batches]).numpy()


def best_temperature(run):
    logits, label = live(run, "val")

    def nll(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(label)), label].mean()

    return float(np.exp(minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10}).x))


def evaluated(*overrides, file="evaluate-test.json"):
    assert main(["task=evaluate", "evaluate.run_dir=run", *overrides]) == 0
    return json.loads(Path("run", file).read_text())


def test_evaluate_tells_the_calibration_without_and_with_the_temperature_of_val(run, capsys):
    found = evaluated()
    scaled, (logits, label) = found["temperature"], live(run, "test")
    temperature = best_temperature(run)
    assert scaled["value"] == pytest.approx(temperature, rel=1e-4)
    assert scaled["fitted"]["images"] == 30
    assert scaled["before"]["ece"] == pytest.approx(found["calibration"]["error"], abs=1e-6)
    assert scaled["before"]["nll"] == pytest.approx(found["metrics"]["test/loss"], abs=1e-5)
    nll = -log_softmax(logits / temperature, axis=1)[np.arange(36), label].mean()
    assert scaled["after"]["nll"] == pytest.approx(nll, abs=1e-5)
    assert f"T = {temperature:.3f}" in capsys.readouterr().out
    assert json.loads(Path("run/temperature-best.json").read_text())["temperature"] == scaled["value"]


def test_the_fit_is_kept_for_these_weights_alone(run, monkeypatch):
    evaluated()
    with monkeypatch.context() as patch:
        patch.setattr(run_temperature, "_fitted", lambda *_: pytest.fail("it was fitted again"))
        evaluated()
    file = Path("run/temperature-best.json")
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"weights_sha256": "of another", "temperature": 7.0}))
    assert evaluated()["temperature"]["value"] == pytest.approx(stored["temperature"])


def test_evaluate_tells_how_right_the_surest_answers_are(run):
    found = evaluated("evaluate.temperature=null")
    assert "temperature" not in found
    logits, label = live(run, "test")
    sure = np.exp(log_softmax(logits, axis=1)).max(axis=1)
    right = (logits.argmax(axis=1) == label)[np.argsort(-sure)]
    risks = [1 - right[:count].mean() for count in range(1, 37)]
    assert found["abstention"]["aurc"] == pytest.approx(np.mean(risks), abs=1e-6)
    half = next(point for point in found["abstention"]["points"] if point["coverage"] >= 0.5)
    assert half["accuracy"] == pytest.approx(right[:18].mean())
    with Path("run/evaluate-test-abstention.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["risk"]) for row in rows] == pytest.approx(risks, abs=1e-6)
    assert Path("run/evaluate-test-abstention.png").stat().st_size > 1000


def test_evaluate_measures_named_test_sets(run):
    found = evaluated("tests.b.root=site_b", "tests.dark.corruption=contrast", "tests.dark.severity=5")
    assert {name: one["images"] for name, one in found["tests"].items()} == {"b": 15, "dark": 36}
    other = ["data@evaluate.data=image_folder", "evaluate.data.root=site_b", "evaluate.temperature=null"]
    assert main(["task=evaluate", "evaluate.run_dir=run", *other]) == 0
    (alone,) = Path("run").glob("evaluate-site_b-15-images-*.json")
    metrics = json.loads(alone.read_text())["metrics"]
    assert found["metrics"]["test/b/accuracy"] == pytest.approx(metrics["test/accuracy"], abs=1e-6)
    assert found["metrics"]["test/b/loss"] == pytest.approx(metrics["test/loss"], abs=1e-5)
    assert 0 < found["metrics"]["test/dark/accuracy"] < 1


def test_a_test_set_that_is_not_there_is_one_line(run, capsys):
    assert main(["task=evaluate", "evaluate.run_dir=run", "tests.b.root=nowhere"]) != 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("headstart: error: tests.b: ")
    assert "nowhere" in line


def test_predict_writes_calibrated_probabilities_and_the_same_classes(run):
    def rows(*overrides):
        command = ["task=predict", "predict.run_dir=run", "predict.images=photos/test", *overrides]
        assert main([*command, "predict.out=out.csv"]) == 0
        with Path("out.csv").open() as stream:
            return list(csv.DictReader(stream))

    plain, calibrated = rows(), rows("predict.temperature=val")
    temperature = best_temperature(run)
    assert [row["predicted"] for row in plain] == [row["predicted"] for row in calibrated]
    assert "temperature" not in plain[0]
    assert float(calibrated[0]["temperature"]) == pytest.approx(temperature, rel=1e-4)
    for before, after in zip(plain, calibrated, strict=True):
        log_p = np.log([float(before[f"p({name})"]) for name in CLASSES])
        want = np.exp(log_softmax(log_p / temperature))
        assert [float(after[f"p({name})"]) for name in CLASSES] == pytest.approx(want.tolist(), abs=2e-5)


def test_export_divides_by_the_temperature_inside_of_the_graph(run):
    assert main(["task=export", "export.run_dir=run", "export.format=torchscript", "export.temperature=2"]) == 0
    model = torch.jit.load("run/export/model.ts")
    logits, _ = live(run, "test")
    parts = assembled(run_config(run))
    parts.data.setup("test")
    images = next(iter(parts.data.plain_dataloader("test"))).image
    with torch.no_grad():
        np.testing.assert_allclose(model(images).numpy(), logits[: len(images)] / 2, atol=1e-4)
    assert json.loads(Path("run/export/preprocessing.json").read_text())["temperature"] == 2


def test_a_temperature_that_cannot_be_is_one_line(run, capsys):
    images = ["task=predict", "predict.run_dir=run", "predict.images=photos/test"]
    assert main([*images, "predict.temperature=val", "tta@predict.tta=flip"]) != 0
    assert "leave one of them null" in capsys.readouterr().err
    assert main([*images, "predict.temperature=0"]) != 0
    assert "predict.temperature must be" in capsys.readouterr().err

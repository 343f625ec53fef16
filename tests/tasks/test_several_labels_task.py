"""The commands work on images with several labels each."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from composed import TINY, composed, run_by_command, trained
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config
from headstart.runs.weights.source_model import source_config
from live_answers import live

pytestmark = pytest.mark.pictures
CLASSES = ("bar", "frame", "grey")
SMALL = [*TINY, "backbone.size=16", "target.batch_size=8", "trainer.max_epochs=3", "optimizer.lr=0.01"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """48 images of a bar, a frame, a grey ground, or several of them; one of the three is rare."""
    folder, chance = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    rows = []
    for number in range(48):
        has = [chance.random() < 0.5, chance.random() < 0.4, number % 6 == 0]
        image = chance.normal(120 if has[2] else 30, 10, (16, 16))
        if has[0]:
            image[:, chance.integers(3, 12)] += 120
        if has[1]:
            image[[0, -1]] += 120
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02}.png")
        rows.append([f"{number:02}.png", ";".join(name for name, there in zip(CLASSES, has, strict=True) if there)])
    with (folder / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *rows])
    return folder


def table(photos):
    return ["data@target=table", f"target.table={photos}/photos.csv", "target.label_separator=';'"]


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    given = ["mode=gradual", "unfreeze=plateau", "module.class_weights=balanced", "target.sampler=balanced"]
    overrides = [*SMALL, *table(photos), *given, "unfreeze.until.patience=1"]
    return run_by_command(overrides, tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_best_checkpoint_is_that_of_the_highest_mean_average_precision(run):
    result = json.loads((run / "result.json").read_text())
    with (run / "metrics.csv").open() as file:
        reached = [float(row["val/map"]) for row in csv.DictReader(file) if row["val/map"]]
    assert (result["monitor"], result["multi_label"]) == ("val/map", True)
    assert len(reached) == 4
    assert result["best"]["val/map"] == result["metrics"]["val/map"] == pytest.approx(max(reached))
    logits, label, _ = live(run, "val")
    assert result["metrics"]["val/map"] == pytest.approx(average_precision_score(label, logits), abs=1e-6)


def test_the_loss_of_val_is_without_weights_and_that_of_training_has_them(run):
    logits, label, _ = live(run, "val")
    result = json.loads((run / "result.json").read_text())
    want = torch.nn.functional.binary_cross_entropy_with_logits(logits, label).item()
    assert result["metrics"]["val/loss"] == pytest.approx(want, rel=1e-5)
    parts = assembled(run_config(run))
    counts = parts.data.splits["train"].label.sum(axis=0)
    parts.module.weigh(torch.from_numpy(parts.data.splits["train"].label), parts.data.class_names)
    assert parts.module.labels.weight.tolist() == pytest.approx(
        ((parts.data.sizes["train"] - counts) / counts).tolist()
    )


def test_the_start_is_measured_with_the_closed_form_and_the_run_begins_there(run):
    result = json.loads((run / "result.json").read_text())
    with (run / "metrics.csv").open() as file:
        first = next(float(row["val/map"]) for row in csv.DictReader(file) if row["val/map"])
    assert result["start_class_means"] == pytest.approx(first, abs=1e-6)


def test_tensorboard_shows_the_labels_scores_and_wrong_images(run):
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    assert {"test/labels", "test/wrong"} <= set(events.Tags()["images"])


def test_evaluate_says_what_scikit_learn_says(run, capsys):
    assert main(["task=evaluate", f"evaluate.run_dir={run}"]) == 0
    found, (logits, label, names) = json.loads((run / "evaluate-test.json").read_text()), live(run)
    said = (logits > 0).numpy()
    assert found["metrics"]["test/map"] == pytest.approx(average_precision_score(label, logits), abs=1e-6)
    assert found["metrics"]["test/f1"] == pytest.approx(f1_score(label, said, average="macro", zero_division=0))
    for at, name in enumerate(CLASSES):
        assert found["classes"][name]["support"] == int(label[:, at].sum())
        want = average_precision_score(label[:, at], logits[:, at])
        assert found["classes"][name]["average_precision"] == pytest.approx(want, abs=1e-6)
    wrong = [at for at in range(len(names)) if (said[at] != label[at].bool().numpy()).any()]
    assert {one["file"] for one in found["worst"]} == {names[at] for at in wrong}
    assert sum(one["images"] for one in found["calibration"]["bins"]) == label.numel()
    assert {path.name for path in run.glob("evaluate-*.png")} >= {
        "evaluate-test-labels.png", "evaluate-test-calibration.png", "evaluate-test-worst.png",
    }  # fmt: skip
    assert not (run / "evaluate-test-confusion.png").exists()
    assert "class  images  average precision  recall  precision     F1" in capsys.readouterr().out


def test_other_data_find_their_classes_by_name_in_any_order_and_need_all_of_them(run, photos, capsys):
    data = assembled(run_config(run)).data
    of_split = {name: split for split in ("train", "val", "test") for name in data.names(split)}
    with (photos / "photos.csv").open() as file:
        rows = [(row["path"], row["label"].split(";")) for row in csv.DictReader(file)]

    def columns(*names):
        with (photos / "columns.csv").open("w", newline="") as file:
            lines = [[path, of_split[path], *(int(name in labels) for name in names)] for path, labels in rows]
            csv.writer(file).writerows([["path", "split", *names], *lines])
        given = {"table": f"{photos}/columns.csv", "split_column": "split", "label_columns": f"[{','.join(names)}]"}
        of_data = [f"evaluate.data.{key}={value}" for key, value in given.items()]
        split = "evaluate.split=test"
        return main(["task=evaluate", f"evaluate.run_dir={run}", "data@evaluate.data=table", split, *of_data])

    assert columns("grey", "bar", "frame") == 0
    assert main(["task=evaluate", f"evaluate.run_dir={run}"]) == 0
    (file,) = run.glob("evaluate-*columns.csv-test-*-images-*.json")
    other, own = (json.loads(path.read_text()) for path in (file, run / "evaluate-test.json"))
    assert other["classes"] == own["classes"]
    assert other["metrics"] == pytest.approx(own["metrics"])
    capsys.readouterr()
    assert columns("grey", "bar") != 0
    assert "of the run's classes whether an image has it, not among them: frame" in capsys.readouterr().err


@pytest.mark.slow
def test_the_store_changes_no_weight_where_a_balanced_order_draws_images_again(photos, tmp_path):
    weights = {}
    for store in ("default", "off"):
        given = ["mode=gradual", "unfreeze.first_epoch=2", "target.sampler=balanced", "module.class_weights=effective"]
        given += [f"feature_cache={store}", "callbacks.figures=null"]
        trained(*SMALL, *table(photos), *given, folder=tmp_path / store)
        last = torch.load(tmp_path / store / "checkpoints" / "last.ckpt", weights_only=True)
        weights[store] = last["state_dict"]
    assert weights["default"].keys() == weights["off"].keys()
    for name, tensor in weights["off"].items():
        torch.testing.assert_close(weights["default"][name], tensor, rtol=1e-4, atol=1e-6)


def test_neither_weights_nor_a_sampler_of_the_target_change_the_source_model():
    def recipe(*given):
        cfg = composed("data@target=table", "target.table=x.csv", *given)
        names = ("seed", "max_epochs", "batch_size", "optimizer", "scheduler")
        return source_config(cfg, **{name: cfg.weights[name] for name in names})

    plain = recipe()
    assert recipe("module.class_weights=balanced", "target.sampler=balanced", "target.label_separator=';'") == plain
    assert plain.module.class_weights is None


def test_predictions_are_the_labels_above_a_half_and_each_probability(run, photos):
    assert main(["task=predict", f"predict.run_dir={run}", f"predict.images={photos}"]) == 0
    with (run / "predictions.csv").open() as file:
        found = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert len(found) == 48
    logits, _, names = live(run)
    for row, name in zip(logits.sigmoid().tolist(), names, strict=True):
        assert [float(found[name][f"p({one})"]) for one in CLASSES] == pytest.approx(row, abs=1e-5)
        assert found[name]["predicted"] == ";".join(one for one, p in zip(CLASSES, row, strict=True) if p > 0.5)
    assert "probability" not in found[names[0]]
    assert main(["task=predict", f"predict.run_dir={run}", f"predict.images={photos}", "predict.format=json"]) == 0
    listed = json.loads((run / "predictions.json").read_text())
    assert all(";".join(one["predicted"]) == found[Path(one["file"]).name]["predicted"] for one in listed)


def test_an_exported_model_says_that_each_label_stands_by_itself(run):
    assert main(["task=export", f"export.run_dir={run}", "export.format=torchscript"]) == 0
    found = json.loads((run / "export" / "preprocessing.json").read_text())
    assert found["output"]["probabilities"] == "sigmoid(logits)"


def test_features_are_written_with_all_labels(run):
    assert (
        main(["task=embed", f"embed.run_dir={run}", "embed.splits=[test]", "embed.format=npz", "embed.projector=true"])
        == 0
    )
    _, label, _ = live(run)
    np.testing.assert_array_equal(np.load(run / "embeddings" / "test.npz")["label"], label.numpy())


@pytest.mark.slow
def test_a_report_follows_the_mean_average_precision(photos, capsys):
    given = [*SMALL, *table(photos), "seed=0,1", "trainer.max_epochs=1", "mode=scratch,feature_extraction"]
    assert main(["-m", *given, "callbacks.figures=null"]) == 0
    (study,) = (folder for folder in Path("outputs").iterdir() if folder.name.startswith("sweep"))
    found = json.loads((study / "report.json").read_text())
    assert found["metric"] == "val/map"
    arms = {arm["arm"]: arm for section in found["settings"] for arm in section["arms"]}
    assert arms["scratch"]["measures"]["start_class_means"]["n"] == 2
    assert "test/map" in (study / "report.md").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["task=probe", "mode=scratch"], "may have several labels an image; try mode=feature_extraction"),
        (["mode=scratch", "module.class_weights={barr: 2}"], "got barr; did you mean bar?"),
        (["mode=scratch", "module.class_weights=balance"], "did you mean module.class_weights=balanced"),
        (["mode=scratch", "target.sampler=balance"], "did you mean target.sampler=balanced"),
        (["mode=scratch", "target.label_columns=[bar,frame]"], "both say which labels an image has"),
        (["mode=scratch", "scheduler=plateau", "module.scheduler_monitor=val/accuracy"], "there are .*val/map"),
    ],
)
def test_what_does_not_fit_is_one_message(photos, given, message, capsys):
    assert main([*SMALL, *table(photos), *given]) != 0
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error

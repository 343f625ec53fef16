"""Numbers and several labels an image as targets of tasks that choose, compare and judge: right, or refused at once."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score

from composed import TINY
from headstart.cli import main
from headstart.runs.candidates.choosing import narrowing
from headstart.runs.weights import source_model
from live_answers import live
from number_photos import number_photos, of_numbers

SMALL = [*TINY, "backbone.size=16", "target.batch_size=16", "feature_cache=off", "logger=csv", "callbacks.figures=null"]
CLASSES = ("bar", "frame", "grey")
COMMANDS = {
    "rank_sources": ['rank_sources.candidates=["source.characters=letters","control=true"]'],
    "rank_check": [
        'rank_check.candidates=["source.characters=letters","source.characters=digits","control=true"]',
        'rank_check.targets=["target.val_share=0.3","target.val_share=0.2"]',
    ],
    "few_images": ["mode=feature_extraction"],
    "more_labels": ["mode=feature_extraction"],
    "label_errors": ["mode=feature_extraction"],
}
POSSIBLE = {  # what the line says is possible
    "rank_sources": "headstart -m",
    "rank_check": "headstart -m",
    "few_images": "target.fraction=",
    "more_labels": "target.fraction=",
    "label_errors": "task=evaluate",
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """The overrides of each kind of target."""
    numbers, labels, chance = (
        tmp_path_factory.mktemp("bars"),
        tmp_path_factory.mktemp("labels"),
        np.random.default_rng(0),
    )
    number_photos(numbers, images=60)
    rows = []
    for number in range(48):
        has = [chance.random() < 0.5, chance.random() < 0.4, number % 3 == 0]
        image = chance.normal(120 if has[2] else 30, 10, (16, 16))
        image[:, 4:8] += 100 * has[0]
        image[[0, -1]] += 100 * has[1]
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(labels / f"{number:02}.png")
        rows.append([f"{number:02}.png", ";".join(name for name, there in zip(CLASSES, has, strict=True) if there)])
    with (labels / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *rows])
    return {
        "number": of_numbers(numbers),
        "numbers": of_numbers(numbers, "[age,glow]"),
        "labels": ["data@target=table", f"target.table={labels}/photos.csv", "target.label_separator=';'"],
    }


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["number", "numbers", "labels"])
@pytest.mark.parametrize("task", list(COMMANDS))
def test_what_needs_one_class_an_image_is_refused_before_a_source_is_developed(task, kind, targets, monkeypatch, capfd):
    monkeypatch.setattr(source_model, "_trained", lambda *_: pytest.fail("a source model is developed"))
    assert main([*SMALL, f"task={task}", *COMMANDS[task], *targets[kind]]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert f"task={task}" in line
    assert ("may have several labels an image" if kind == "labels" else "have numbers") in line
    assert POSSIBLE[task] in line


@pytest.mark.parametrize("kind", ["number", "labels"])
def test_the_runs_that_the_line_names_are_possible(kind, targets):
    command = [*SMALL, "mode=scratch", "trainer.max_epochs=1", "target.fraction=0.5", *targets[kind]]
    assert main(command) == 0


@pytest.mark.parametrize(
    ("kind", "monitor"),
    [pytest.param("numbers", "val/r2", marks=pytest.mark.slow), ("number", "val/mae"), ("labels", "val/map")],
)
def test_choose_finds_a_model_whose_figures_are_scikit_learns(kind, monitor, targets, monkeypatch, capfd):
    monkeypatch.setattr(narrowing, "ranking", lambda *_: pytest.fail("scored by classes"))
    command = [
        *SMALL, "task=choose", "choose.time=30min", "choose.settings=1", "choose.modes=[feature_extraction,scratch]",
        'choose.candidates=["control=true","control=true backbone.width=8"]', "choose.halving=[1.0]",
        "trainer.max_epochs=2", *targets[kind],
    ]  # fmt: skip
    assert main(command) == 0
    assert "all go on" in capfd.readouterr().err
    (file,) = Path("outputs", "choose").glob("*/*/result.json")
    found = json.loads(file.read_text())
    assert found["monitor"] == monitor
    assert [entry["kept"] for entry in found["candidates"]] == [True] * 3
    last = [entry["metric"] for entry in found["trials"] if entry["metric"] is not None]
    best = min(last) if found["lower"] else max(last)
    assert found["lower"] == (monitor == "val/mae")
    (chosen,) = [
        entry for entry in found["pareto"]
        if (entry["candidate"], entry["mode"]) == (found["chosen"]["candidate"], found["chosen"]["mode"])
    ]  # fmt: skip
    assert chosen["metric"] == best
    predicted, true, _ = (part.numpy() if hasattr(part, "numpy") else part for part in live(file.parent / "model"))
    of_kind = {"labels": average_precision_score, "number": mean_absolute_error, "numbers": r2_score}
    expected = of_kind[kind](true, predicted)
    assert found["metrics"][monitor.replace("val", "test")] == pytest.approx(expected, rel=1e-4)

"""What a user finds after task=more_labels and task=label_errors."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from composed import TINY
from headstart.cli import main
from headstart.runs.probing.frozen_features import Stored
from headstart.runs.probing.label_review_lists import Ranked
from headstart.tasks import label_errors as label_errors_module
from headstart.tasks import more_labels as more_labels_module
from headstart.types import Batch, Pixels

SMALL = [*TINY, "mode=scratch", "feature_cache=off"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def result_of(task):
    (path,) = Path("outputs", task).glob("*/*/result.json")
    return path.parent, json.loads(path.read_text())


def lines(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Clouds:
    """A frozen model of three clouds, of which some labels are wrong."""

    def __init__(self, images=300, wrong=15, classes=("ant", "bee", "=cat")):
        self.num_classes, self.class_names, self.pixels = 3, classes, Pixels(8, 1, (0.5,), (0.5,))
        self.parts = SimpleNamespace(data=self, backbone=None)
        self.engine = SimpleNamespace(device=torch.device("cpu"))
        self.stages, self.facts = ("low", "high"), {"run": None, "source": None}
        self.images, self.wrong, self.asked = images, wrong, []
        self.sizes = {"train": images, "val": images, "test": images}

    def features(self, split, stages):
        self.asked.append(split)
        generator = torch.Generator().manual_seed(("train", "val", "test").index(split))
        true = torch.arange(self.images) % 3
        means = 3 * torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
        features = means[true] + torch.randn(self.images, 5, generator=generator)
        label = true.clone()
        label[: self.wrong] = (label[: self.wrong] + 1) % 3
        return Stored(dict.fromkeys(stages, features), label, [f"{split}/{at}.png" for at in range(self.images)])

    def plain_dataloader(self, split, positions):
        return [Batch(torch.zeros(len(positions), 1, 8, 8, dtype=torch.uint8), torch.zeros(len(positions)))]


def test_more_labels_leaves_curve_sentence_picture_and_reads_no_test_image(monkeypatch, capfd):
    clouds = Clouds(wrong=30)
    monkeypatch.setattr(more_labels_module, "frozen", lambda *_, **__: clouds)
    assert main([*SMALL, "task=more_labels", "more_labels.replicates=200"]) == 0
    said = capfd.readouterr().out
    folder, result = result_of("more_labels")
    assert set(clouds.asked) == {"train", "val"}
    assert [point["images"] for point in result["curve"]] == [3, 6, 12, 24, 48, 96, 300]
    assert [len(point["draws"]) for point in result["curve"]] == [10] * 6 + [1]
    assert result["curve"][-1]["mean"] == result["metrics"]["val/accuracy"]
    gain = result["gain"]
    assert f"100 more labelled images (300 -> 400, drawn as these are) would bring {100 * gain['value']:+.1f}" in said
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert result["backtest"]["images"] == 300
    assert (folder / "curve.png").stat().st_size > 5000
    assert main([*SMALL, "task=more_labels", "more_labels.replicates=200"]) == 0
    assert capfd.readouterr().out == said


def test_label_errors_lists_planted_wrong_labels_first(monkeypatch, capfd):
    clouds = Clouds()
    monkeypatch.setattr(label_errors_module, "frozen", lambda *_, **__: clouds)
    assert main([*SMALL, "task=label_errors"]) == 0
    folder, result = result_of("label_errors")
    rows = lines(folder / "suspicious.csv")
    planted = {f"{split}/{at}.png" for split in ("train", "val") for at in range(15)}
    assert len(rows) == result["images"] == 600
    assert len(planted & {row["file"] for row in rows[:60]}) >= 0.8 * len(planted)
    assert [float(row["score"]) for row in rows] == sorted(float(row["score"]) for row in rows)
    assert result["issues"] == sum(row["issue"] == "True" for row in rows)
    assert all(row["given"] != row["suggested"] for row in rows)
    assert {row["given"] for row in rows} == {"ant", "bee", "'=cat"}, "no spreadsheet computes a name"
    margins = [float(row["margin"]) for row in lines(folder / "ambiguous.csv")]
    assert margins == sorted(margins)
    assert {path.name for path in folder.glob("*.png")} == {"suspicious.png", "ambiguous.png"}
    assert set(clouds.asked) == {"train", "val"}
    assert f"{result['issues']} of 600 labels are likely wrong" in capfd.readouterr().out


def test_both_by_command_on_real_images(capfd):
    rng = np.random.default_rng(0)
    Path("new").mkdir()
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)).save(Path("new", f"{number}.png"))
    more = ["label_errors.unlabelled=new", "label_errors.next=5", "label_errors.show=6"]
    assert main([*SMALL, "task=label_errors", *more]) == 0, capfd.readouterr().err
    folder, _ = result_of("label_errors")
    rows = lines(folder / "next.csv")
    assert len({row["file"] for row in rows}) == 5
    assert all(Path(row["file"]).is_file() for row in rows)
    assert all(0 <= float(row["margin"]) <= 1 for row in rows)
    assert {path.name for path in folder.glob("*.png")} == {"suspicious.png", "ambiguous.png", "next.png"}
    assert main([*SMALL, "task=more_labels", "more_labels.replicates=100"]) == 0, capfd.readouterr().err
    _, result = result_of("more_labels")
    assert [point["images"] for point in result["curve"]] == [10, 20, 50]
    assert result["backtest"] is None


def test_new_unlabelled_images_are_looked_at(monkeypatch, capfd):
    """The same command, after more photos came."""
    looked = []

    def next_list(node, model, labelled, wanted, strength):
        looked.append(len(wanted.files))
        return Ranked([], [], lambda _: [])

    monkeypatch.setattr(label_errors_module, "frozen", lambda *_, **__: Clouds())
    monkeypatch.setattr(label_errors_module, "next_list", next_list)
    monkeypatch.setattr(label_errors_module, "_draw", lambda *_: None)
    Path("new").mkdir()
    command = [*SMALL, "task=label_errors", "label_errors.unlabelled=new", "label_errors.logistic=[0.1]"]
    for count in (1, 1, 2):
        Image.new("L", (20, 20), count).save(Path("new", f"{count}.png"))
        assert main(command) == 0, capfd.readouterr().err
    assert looked == [1, 2]


@pytest.mark.parametrize(
    ("module", "task", "clouds", "said"),
    [
        (more_labels_module, "more_labels", Clouds(images=7), "a curve needs 3 numbers of training images, got 3, 7"),
        (label_errors_module, "label_errors", Clouds(images=4, wrong=0), "'bee' has fewer than two of 4"),
    ],
)
def test_too_few_images_are_one_line(module, task, clouds, said, monkeypatch, capfd):
    monkeypatch.setattr(module, "frozen", lambda *_, **__: clouds)
    only_train = ["label_errors.splits=[train]"] if task == "label_errors" else []
    assert main([*SMALL, f"task={task}", *only_train]) == 2
    assert said in capfd.readouterr().err


def test_a_pattern_without_images_is_one_line(capfd):
    assert main([*SMALL, "task=label_errors", "label_errors.unlabelled=nowhere"]) == 2
    assert "label_errors.unlabelled must be a folder with images" in capfd.readouterr().err

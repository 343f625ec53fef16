"""Contributions of single images give the figures that torchmetrics gives, and intervals over images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MultilabelAveragePrecision

from headstart.report.analysis.run_measures import measured
from headstart.report.analysis.study_records import Question
from headstart.report.report_files import write_report
from headstart.report.statistics.seed_intervals import Verdict
from headstart.report.stored_runs.stored_predictions import StoredPredictions, answers_in
from headstart.report.stored_runs.study_runs import runs_below
from planted_studies import write_answers


def one_label(images=120, classes=5, evaluations=3):
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, images)
    predicted = np.where(
        rng.random((evaluations, images)) < 0.6, label, rng.integers(0, classes, (evaluations, images))
    )
    loss = rng.random((evaluations, images))
    return StoredPredictions(np.arange(images).astype(np.uint64), label, np.arange(evaluations), predicted, loss, None)


def test_figures_of_one_label_are_those_of_torchmetrics():
    answers = one_label()
    kinds = {
        "accuracy": MulticlassAccuracy(5, average="micro"),
        "balanced_accuracy": MulticlassAccuracy(5, average="macro"),
        "f1": MulticlassF1Score(5, average="macro"),
    }
    for name, metric in kinds.items():
        rows = answers.rows(name)
        assert rows is not None
        for said, value in zip(answers.predicted, rows.value, strict=True):
            want = metric(torch.from_numpy(said), torch.from_numpy(answers.label))
            assert value.mean() == pytest.approx(float(want), abs=1e-6), name
    assert answers.rows("loss").value.tolist() == answers.loss.tolist()
    assert answers.rows("calibration_error") is None, "nothing was kept that it is made of"


def test_mean_average_precision_is_that_of_torchmetrics_ties_too():
    rng = np.random.default_rng(1)
    label = (rng.random((80, 4)) < 0.3).astype(np.int64)
    logits = np.round(rng.normal(size=(2, 80, 4)) + label, 1)
    rows = StoredPredictions(np.arange(80).astype(np.uint64), label, np.arange(2), None, None, logits).rows("map")
    assert rows is not None
    for said, value in zip(logits, rows.value, strict=True):
        metric = MultilabelAveragePrecision(4, average="macro", thresholds=None)
        want = metric(torch.from_numpy(said).sigmoid(), torch.from_numpy(label))
        assert value.mean() == pytest.approx(float(want), abs=1e-6)


def test_pseudo_values_of_a_figure_have_the_spread_of_its_error():
    """The jackknife's standard error of macro F1 is near that of drawing images anew."""
    rng = np.random.default_rng(2)
    drawn, errors = [], []
    for _ in range(200):
        label = rng.integers(0, 4, 400)
        said = np.where(rng.random(400) < 0.7, label, rng.integers(0, 4, 400))[None]
        rows = StoredPredictions(np.arange(400).astype(np.uint64), label, np.zeros(1), said, None, None).rows("f1")
        drawn.append(rows.value.mean())
        errors.append(rows.value.std(ddof=1) / np.sqrt(rows.value.shape[1]))
    assert np.mean(errors) == pytest.approx(np.std(drawn), rel=0.15)


def test_a_part_of_the_images_keeps_which_of_them_trials_saw():
    answers = replace(one_label(images=4), seen_by_trials=np.array([True, False, False, True]))
    assert answers.taken(np.array([0, 2])).seen_by_trials.tolist() == [True, False]
    assert answers.unseen().image.tolist() == [1, 2]
    assert not answers.unseen().seen_by_trials.any()


def test_a_run_has_rows_where_each_evaluation_of_its_curve_has_answers(tmp_path: Path, save_answers):
    right = curves(np.random.default_rng(6), 50, 0.7)
    folder = save_answers(tmp_path, 0, False, right)
    (whole,) = measured(runs_below(tmp_path).finished, "val/accuracy")
    assert whole.rows.value.tolist() == right.tolist()
    assert whole.has_curve
    write_answers(folder, "val", np.arange(50), right[:-1], [2 * i for i in range(len(right) - 1)])
    (cut,) = measured(runs_below(tmp_path).finished, "val/accuracy")
    assert cut.rows is None


def test_the_curve_of_a_tuned_run_is_that_of_the_images_that_no_trial_saw(tmp_path: Path, save_answers):
    right, seen = curves(np.random.default_rng(7), 80, 0.7), np.arange(80) < 30
    save_answers(tmp_path, 0, False, right, seen=seen, tuned={"trials": 8, "chosen": {}})
    (run,) = measured(runs_below(tmp_path).finished, "val/accuracy")
    assert run.curve.level == pytest.approx(right[:, ~seen].mean(axis=1))


def test_what_is_no_file_of_answers_counts_as_none(tmp_path: Path):
    assert answers_in(tmp_path, "val") is None
    (tmp_path / "answers").mkdir()
    for content in (b"", b"no zip", b"PK\x03\x04"):
        (tmp_path / "answers" / "val.npz").write_bytes(content)
        assert answers_in(tmp_path, "val") is None
    np.savez(tmp_path / "answers" / "val.npz", image=np.array([{}], dtype=object))
    assert answers_in(tmp_path, "val") is None, "pickles are not read"


@pytest.fixture
def save_answers(save_run):
    def write(study: Path, seed: int, control: bool, right, *, image=None, seen=None, **more):
        """A run whose curve is what its images say, (E, N)."""
        listed = ["mode=fine_tuning", f"control={str(control).lower()}", f"seed={seed}"]
        levels = list(np.mean(right, axis=1))
        sizes = {"train": 50, "val": right.shape[1], "test": 100}
        folder = save_run(study, "fine_tuning", seed, levels, listed, control=control, sizes=sizes, **more)
        image = np.arange(right.shape[1]) if image is None else image
        extra = {} if seen is None else {"seen_by_trials": seen}
        write_answers(folder, "val", image, right, [2 * i for i in range(len(right))], closed_form=right[0], **extra)
        return folder

    return write


def curves(rng, images, end, mode_by_image=0.0, evaluations=12):
    """Right answers (E, N): 0.3 at the start, `end` at the end, images differ in how easy they are for this mode."""
    chance = np.clip(end + mode_by_image * rng.standard_normal(images), 0, 1)
    return (rng.random((evaluations, images)) < np.linspace(0.3, 1, evaluations)[:, None] * chance).astype(int)


def test_intervals_are_over_seeds_and_images_where_seeds_share_them(tmp_path: Path, save_answers):
    rng = np.random.default_rng(3)
    for seed in range(5):
        for control, end in ((True, 0.7), (False, 0.8)):
            save_answers(tmp_path / "same", seed, control, curves(rng, 200, end))
            own = curves(rng, 200, end)
            save_answers(tmp_path / "own", seed, control, own, image=np.arange(200) + 1000 * seed)
    for name, over in (("same", "seeds and images"), ("own", "seeds")):
        (weights,) = write_report(tmp_path / name).study.sections[0].of(Question.WEIGHTS)
        assert weights.over == over
    record = json.loads((tmp_path / "own" / "report.json").read_text())
    end = record["settings"][0]["comparisons"][0]["differences"]["asymptote"]
    assert end["degrees_of_freedom"] == 4, "no two seeds share an image: over seeds alone"


def test_an_older_run_without_answers_has_intervals_over_seeds_and_the_page_says_so(tmp_path: Path, save_run, curve):
    for seed in range(3):
        for control, end in (("true", 0.7), ("false", 0.8)):
            listed = ["mode=fine_tuning", f"control={control}", f"seed={seed}"]
            levels = curve(0.3, end + 0.003 * seed, 0.3)
            save_run(tmp_path / "s", "fine_tuning", seed, levels, listed, control=control == "true")
    page = write_report(tmp_path / "s").page.read_text()
    assert "intervals over seeds" in page
    assert "6 of the runs have no predictions of single images: their intervals are over seeds alone" in page


def test_tuned_runs_are_judged_by_the_images_that_no_trial_saw(tmp_path: Path, save_answers):
    """On the images that trials saw the arm is better, on the others it is not."""
    rng = np.random.default_rng(4)
    seen = np.arange(200) < 100
    tuned = {"trials": 8, "chosen": {"optimizer.lr": 0.001}}
    for seed in range(5):
        for control in (True, False):
            right = curves(rng, 200, 0.6)
            right[:, seen] = 1 - control
            save_answers(tmp_path / "s", seed, control, right, seen=seen, tuned=tuned)
    (weights,) = write_report(tmp_path / "s").study.sections[0].of(Question.WEIGHTS)
    end = weights.differences["asymptote"]
    assert abs(end.mean) < 0.1, "0.5 higher on all images together"
    assert [b.verdict for b in weights.benefits if b.name == "asymptote"] != [Verdict.YES]


def test_where_trials_saw_all_val_images_test_is_judged_and_the_slope_is_not(tmp_path: Path, save_answers):
    rng = np.random.default_rng(5)
    tuned = {"trials": 8, "chosen": {"optimizer.lr": 0.001}}
    for seed in range(5):
        for control in (True, False):
            metrics = {"test/accuracy": 0.7 + 0.001 * seed * (1 - 2 * control) + 0.1 * (not control)}
            right = curves(rng, 60, 0.6)
            save_answers(tmp_path / "s", seed, control, right, seen=np.ones(60, bool), tuned=tuned, metrics=metrics)
    (weights,) = write_report(tmp_path / "s").study.sections[0].of(Question.WEIGHTS)
    found = {b.name: b for b in weights.benefits}
    assert (found["asymptote"].measure, found["asymptote"].verdict) == ("test", Verdict.YES)
    assert found["slope"].verdict is Verdict.NOT_MEASURABLE
    assert found["start"].difference.known, "no trial has a part in the start"
    assert "the trials saw 60 of 60 val images" in found["asymptote"].note

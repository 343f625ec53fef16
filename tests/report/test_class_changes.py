"""What each arm changed class by class."""

import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

from headstart.report.analysis.study_comparison import study_of
from headstart.report.report_files import write_report
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval
from headstart.report.statistics.seed_intervals import holm
from headstart.report.stored_runs.study_runs import runs_below
from planted_studies import planted, write_answers, write_run

IMAGES = 60
NAMES = ("ant", "bee", "cat")
LABEL = np.arange(IMAGES) % 3
IMAGE = np.arange(IMAGES, dtype=np.uint64) + 7


def write_pair(study, seed, right, *, answers=True, **more):
    """A run of fine_tuning and of its control, with what each said of the test images: right (2, N)."""
    for control in (False, True):
        own = right[int(control)]
        recalls = {name: float(own[i == LABEL].mean()) for i, name in enumerate(NAMES)}
        overrides = ["mode=fine_tuning", *(["control=true"] if control else []), f"seed={seed}"]
        folder = write_run(
            study, "fine_tuning", seed, planted(0.4, 0.8, 0.3), overrides,
            test_recall_per_class=recalls, sizes={"train": 9, "val": 700, "test": IMAGES}, **more,
        )  # fmt: skip
        if answers:
            predicted = np.where(own, LABEL, (LABEL + 1) % 3)[None]
            write_answers(folder, "test", IMAGE, predicted, [60], label=LABEL)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    chance = np.stack([[0.9, 0.6, 0.7], [0.3, 0.6, 0.8]])[:, LABEL]  # ant gains, cat loses
    return [rng.random((2, IMAGES)) < chance for _ in range(4)]


def changes_of(study):
    comparison = study_of(runs_below(study), baseline="scratch", metric="val/accuracy")
    (section,) = comparison.sections
    (changes,) = section.class_changes
    return changes


def test_changes_are_crossed_intervals_of_the_images_of_each_class(tmp_path, drawn):
    for seed, right in enumerate(drawn):
        write_pair(tmp_path / "s", seed, right)
    changes = changes_of(tmp_path / "s")
    assert (changes.against, changes.pairs, changes.over) == ("fine_tuning with random weights", 4, "seeds and images")
    wanted = []
    for number, entry in enumerate(changes.classes):
        own = np.equal(LABEL, number)
        parts = [Contributions(IMAGE[own], right[0, own].astype(float) - right[1, own]) for right in drawn]
        wanted.append(crossed_interval(parts, resolution=1 / own.sum()))
        assert entry.name == NAMES[number]
        assert entry.images == own.sum()
        assert entry.change == wanted[-1]
        assert entry.after - entry.before == pytest.approx(entry.change.mean)
    assert [entry.corrected_p for entry in changes.classes] == holm([interval.p for interval in wanted])
    # weighted by their images, the changes of the classes are the change of the accuracy
    total = sum(entry.images * entry.change.mean for entry in changes.classes) / IMAGES
    assert total == pytest.approx(np.mean([right[0].mean() - right[1].mean() for right in drawn]))


def test_without_answers_they_are_paired_t_tests_over_seeds(tmp_path, drawn):
    for seed, right in enumerate(drawn):
        write_pair(tmp_path / "s", seed, right, answers=False)
    changes = changes_of(tmp_path / "s")
    assert changes.over == "seeds"
    for number, entry in enumerate(changes.classes):
        own = np.equal(LABEL, number)
        ours, theirs = ([right[side, own].mean() for right in drawn] for side in (0, 1))
        assert entry.change.p == pytest.approx(ttest_rel(ours, theirs).pvalue)


def test_a_class_without_test_images_and_runs_that_did_not_count_have_none(tmp_path, drawn):
    for seed, right in enumerate(drawn):
        write_pair(tmp_path / "s", seed, right, answers=False)
    for file in (tmp_path / "s").glob("*/result.json"):
        result = json.loads(file.read_text())
        result["test_recall_per_class"]["bee"] = None
        file.write_text(json.dumps(result))
    assert [entry.name for entry in changes_of(tmp_path / "s").classes] == ["ant", "cat"]
    file.write_text(json.dumps(result | {"test_recall_per_class": None}))
    comparison = study_of(runs_below(tmp_path / "s"), baseline="scratch", metric="val/accuracy")
    assert comparison.sections[0].class_changes == ()


def test_a_diverged_run_says_nothing_of_classes(tmp_path, drawn):
    write_pair(tmp_path / "s", 0, drawn[0])
    write_pair(tmp_path / "s", 1, drawn[1], state="diverged")
    comparison = study_of(runs_below(tmp_path / "s"), baseline="scratch", metric="val/accuracy")
    assert comparison.sections[0].class_changes == ()


def test_the_pages_and_the_record_say_the_same(tmp_path, drawn):
    for seed, right in enumerate(drawn):
        write_pair(tmp_path / "s", seed, right)
    write_report(tmp_path / "s", figures=True)
    changes = changes_of(tmp_path / "s")
    (record,) = json.loads((tmp_path / "s" / "report.json").read_text())["settings"][0]["class_changes"]
    page, text = ((tmp_path / "s" / f"report.{kind}").read_text() for kind in ("html", "md"))
    for entry, written in zip(changes.classes, record["classes"], strict=True):
        assert (written["class"], written["images"]) == (entry.name, entry.images)
        assert written["change"]["mean"] == entry.change.mean
        shown = f"{entry.before:.3f} → {entry.after:.3f}"
        assert shown in page
        assert shown in text
    assert "fine_tuning: 1 better of 3 classes." in page
    assert "ant" in (tmp_path / "s" / "report-figures" / "classes-0.svg").read_text()

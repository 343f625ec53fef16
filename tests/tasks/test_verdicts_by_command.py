"""Verdicts of real commands: what a study cannot know is not said, what it can is."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.cli import main

WIDTH = "backbone.width=4"
QUICK = [
    "data@source=printed", "source.characters=digits", "source.per_class=10", "source.test_per_class=5",
    "source.val_per_class=5", "weights.max_epochs=1", "weights.require_better=false", WIDTH, "trainer.accelerator=cpu",
    "callbacks.figures=null", "logger=csv",
]  # fmt: skip
FEW = ["target.shots=2", "target.val_shots=10", "trainer.max_epochs=3"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def report(folder="outputs/mine"):
    return json.loads((Path(folder) / "report.json").read_text())


def verdicts(record, question=None):
    return {
        (c["question"], c["arm"], name): b["verdict"]
        for section in record["settings"]
        for c in section["comparisons"]
        if question in (None, c["question"])
        for name, b in c["benefits"].items()
    }


@pytest.mark.slow
def test_more_shots_than_the_baseline_had_are_no_benefit(capsys):
    """Two commands into one folder: 4 shots, another budget and another val share are compared with nothing."""
    into = "hydra.sweep.dir=outputs/mine"
    assert main(["-m", *QUICK, *FEW, "mode=scratch", "seed=0,1", into]) == 0
    assert main(["-m", *QUICK, *FEW, "mode=fine_tuning", "target.shots=4", "seed=0,1", into]) == 0
    assert main(["-m", *QUICK, *FEW, "mode=fine_tuning", "trainer.max_epochs=4", "seed=0,1", into]) == 0
    record = report()
    assert verdicts(record) == {}
    hints = " ".join(hint for section in record["settings"] for hint in section["hints"])
    assert "target.shots 4 against 2" in hints
    assert "trainer.max_epochs 4 against 3" in hints


@pytest.mark.slow
def test_a_diverged_arm_is_named_and_has_no_yes_and_a_control_is_beside_it(capsys):
    rates = ["optimizer.lr=1e30", "seed=0,1", "control=false,true", "hydra.sweep.dir=outputs/mine"]
    main(["-m", *QUICK, *FEW, "mode=feature_extraction,fine_tuning", *rates])
    record = report()
    assert set(verdicts(record).values()).isdisjoint({"yes", "no"})
    states = {arm["arm"]: arm["diverged"] for section in record["settings"] for arm in section["arms"]}
    assert states["fine_tuning"] == 2
    assert "2 of 2 runs of fine_tuning diverged" in " ".join(record["settings"][0]["summary"])


@pytest.mark.slow
def test_folds_are_one_section_with_a_corrected_interval(capsys):
    folds = ["target.fold=0,1,2", "target.folds=3", "mode=scratch,feature_extraction", "seed=0"]
    few = [one for one in FEW if "val_shots" not in one]
    assert main(["-m", *QUICK, *few, *folds, "hydra.sweep.dir=outputs/mine"]) == 0
    record = report()
    (section,) = record["settings"]
    assert {(c["intervals_over"], c["pairs"]) for c in section["comparisons"]} == {("folds", 3)}


@pytest.mark.slow
def test_a_run_folder_without_answers_reports_over_seeds_and_one_with_them_over_images(capsys):
    assert main(["-m", *QUICK, *FEW, "mode=feature_extraction", "control=false,true", "seed=0,1,2",
                 "hydra.sweep.dir=outputs/mine"]) == 0  # fmt: skip
    assert {c["intervals_over"] for s in report()["settings"] for c in s["comparisons"]} == {"seeds and images"}
    for answers in Path("outputs/mine").glob("*/answers"):
        shutil.rmtree(answers)
    assert main(["task=report", "report.dir=outputs/mine"]) == 0
    assert {c["intervals_over"] for s in report()["settings"] for c in s["comparisons"]} == {"seeds"}
    assert "intervals over seeds alone" in Path("outputs/mine/report.html").read_text()


@pytest.mark.slow
def test_random_weights_bring_nothing():
    """Ten studies whose source knows nothing: at most one false verdict in each question."""
    false: dict[tuple[str, str], int] = {}
    for study in range(10):
        torch.manual_seed(100 + study)
        backbone = small_cnn(width=8, size=32, channels=1, keep=None)
        torch.save({f"backbone.{key}": value for key, value in backbone.state_dict().items()}, "random.pth")
        folder = f"outputs/study{study}"
        source = [
            "weights=file",
            "weights.path=random.pth",
            "backbone.width=8",
            "trainer.accelerator=cpu",
            "logger=csv",
        ]
        arms = ["mode=scratch,feature_extraction,fine_tuning", "control=false,true", "seed=0,1,2"]
        short = ["trainer.max_epochs=15", "callbacks.figures=null", f"hydra.sweep.dir={folder}"]
        assert main(["-m", *source, *arms, *short]) == 0
        said = verdicts(report(folder))
        for name in {(question, benefit) for (question, _, benefit), word in said.items()
                     if word in ("yes", "negative transfer")}:  # fmt: skip
            false[name] = false.get(name, 0) + 1
    print("false verdicts of ten studies", false)
    assert max(false.values(), default=0) <= 1, false

"""A transfer that must do harm is called negative transfer."""

import json
from pathlib import Path

import pytest

from headstart.cli import main

OPTIONS = {
    "data/corners": "_target_: label_shift.Corners\nlight: 0\nshares: [0.25, 0.25, 0.25, 0.25]\n"
    "batch_size: 32\nnum_workers: 0\naugment: null\n",
    "data/same_shares": "defaults: [corners]\nlight: 5\n",
    "data/mostly_one": "defaults: [same_shares]\nshares: [0.94, 0.02, 0.02, 0.02]\n",
    "adaptation/strong_dan": "defaults: [dan]\nweight: 30\n",
}


@pytest.mark.slow
def test_features_made_alike_where_classes_have_other_shares_are_reported_as_negative_transfer(tmp_path, monkeypatch):
    """The same method does no harm where the shares are the same.

    Zhao et al. 2019, On learning invariant representations for domain adaptation (arXiv:1901.09453): with other shares
    of the classes, no features that are alike can be right on both.
    """
    monkeypatch.chdir(tmp_path)
    for name, text in OPTIONS.items():
        file = Path("conf", f"{name}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    command = [
        "--config-dir", "conf", "study=adaptation", "data@source=corners", "data@target=same_shares,mostly_one",
        "adaptation=source_only,strong_dan", "seed=0,1,2,3", "backbone.width=4", "backbone.size=16",
        "trainer.max_epochs=12", "trainer.accelerator=cpu", "callbacks.figures=null",
    ]  # fmt: skip
    assert main(command) == 0
    study = Path("outputs", "adaptation")
    same, mostly = (
        {one["method"]: one for one in section["methods"]}
        for name in ("same_shares", "mostly_one")
        for section in json.loads((study / "report.json").read_text())["adaptation"]
        if section["overrides"] == [f"data@target={name}"]
    )
    assert same["source_only"]["test/accuracy"]["mean"] > 0.9
    assert mostly["source_only"]["test/accuracy"]["mean"] > 0.9, "there is little to gain"
    assert same["strong_dan"]["verdict"] in ("no difference", "undecided")
    assert same["strong_dan"]["difference"]["mean"] == pytest.approx(0, abs=0.03)
    assert mostly["strong_dan"]["verdict"] == "negative transfer"
    assert mostly["strong_dan"]["difference"]["high"] < -0.1
    sentence = "Negative transfer, worse than source_only on the target beyond chance: strong_dan ("
    assert (study / "report.md").read_text().replace("\\", "").count(sentence) == 1
    assert sentence in (study / "report.html").read_text()

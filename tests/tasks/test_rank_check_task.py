"""A check of scores against fine-tuning, by its command."""

import json
from pathlib import Path

import pytest
import yaml

from composed import CONF, TINY
from headstart.cli import main
from headstart.runs.candidates.ranking import fine_tuned
from headstart.runs.training import train_run

SMALL = [
    *TINY, "task=rank_check", "mode=fine_tuning", "logger=csv", "trainer.max_epochs=1", "source.characters=digits",
    'rank_check.candidates=["weights.seed=0","control=true","backbone.depth=2"]',
    'rank_check.targets=["target.shots=2","target.shots=2 target.corruption=fog"]', "rank_check.scores=[logme]",
    "rank_check.times=[1]", "rank_check.draws=100",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_check_says_what_it_found_and_goes_on_where_it_was_stopped(monkeypatch, capfd):
    trained = []

    def recorded(cfg, folder, *, about):
        trained.append(folder.name)
        if len(trained) == 5:
            raise KeyboardInterrupt
        return train_run.train(cfg, folder, about=about)

    monkeypatch.setattr(fine_tuned, "train", recorded)
    assert main(SMALL) == 130
    assert main(SMALL) == 0
    assert len(trained) == 2 * 2 * 3 + 1  # targets, seeds, candidates; and the one that was stopped
    (file,) = Path("outputs", "rank_check").glob("*/*/result.json")
    found = json.loads(file.read_text())
    assert found["checked"] == ["neighbours", "logme"]
    for target in found["targets"]:
        for text in found["candidates"]:
            (runs,) = [found["fine_tuned"][target][text]["test"]]
            assert len(runs) == 2
    page = (file.parent / "rank_check.md").read_text()
    assert "decides nothing" in page
    said = capfd.readouterr().out
    for base in ("chance", "static rank", "nearest neighbours"):
        assert base in said
    assert main(SMALL) == 0
    assert len(trained) == 13


def test_the_check_is_of_the_zoo_and_of_eight_targets_at_least():
    zoo = yaml.safe_load((CONF / "experiment" / "source_zoo.yaml").read_text())
    study = yaml.safe_load((CONF / "study" / "rank_check.yaml").read_text())
    assert study["rank_check"]["candidates"] == zoo["rank_sources"]["candidates"]
    assert len(zoo["rank_sources"]["candidates"]) >= 12
    assert len(study["rank_check"]["targets"]) >= 8
    for key, least in (("width", 3), ("depth", 3)):
        named = {
            word
            for text in study["rank_check"]["candidates"]
            for word in text.split()
            if word.startswith(f"backbone.{key}=")
        }
        assert len(named) >= least - 1  # and the default


def test_wrong_targets_are_one_line(capfd):
    assert main([*SMALL, 'rank_check.targets=["shots","target.shots=2"]']) == 2
    assert "is no override (key=value)" in capfd.readouterr().err
    assert main([*SMALL, 'rank_check.targets=["target.shots=2","target.shots=2"]']) == 2
    assert "twice" in capfd.readouterr().err

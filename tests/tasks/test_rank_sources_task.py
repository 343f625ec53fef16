"""What a user finds after candidates have been ranked."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from composed import TINY
from headstart import scores
from headstart.backbones.weights import download
from headstart.cli import main
from headstart.runs.candidates.ranking.candidate_features import check_labels
from headstart.runs.probing.frozen_features import Frozen
from headstart.types import UserError

QUICK = [
    *TINY, "task=rank_sources", "feature_cache=off", "logger=csv", "rank_sources.scores=[logme,leep,neighbours]",
    "rank_sources.by=neighbours", "rank_sources.half_samples=4",
]  # fmt: skip
LETTERS, DIGITS = "source.characters=letters", "source.characters=digits"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def candidates(*texts):
    return "rank_sources.candidates=[" + ",".join(f'"{text}"' for text in texts) + "]"


def result():
    (file,) = Path("outputs", "rank_sources").glob("*/*/result.json")
    return json.loads(file.read_text()), file.parent


def embedded(*overrides):
    """Features and labels of the target's training images, by the command that writes them."""
    command = [*TINY, "task=embed", "feature_cache=off", "embed.splits=[train]", "embed.format=npz", *overrides]
    assert main([*command, "embed.out_dir=embedded"]) == 0
    with np.load("embedded/train.npz") as file:
        return file["features.stage4"], file["label"]


def test_the_scores_are_those_of_the_models_features_and_of_their_own_heads(capfd):
    assert main([*QUICK, candidates(DIGITS, "control=true")]) == 0
    said = capfd.readouterr().out
    found, folder = result()
    features, labels = embedded(DIGITS)
    own = next(entry for entry in found["candidates"] if entry["candidate"] == DIGITS)
    assert own["scores"]["logme"]["value"] == pytest.approx(scores.logme(features, labels), rel=1e-5)
    assert own["scores"]["neighbours"]["value"] == pytest.approx(scores.neighbour_accuracy(features, labels))
    state = torch.load(Path(own["origin"]["folder"], "checkpoints", "best.ckpt"), weights_only=True)["state_dict"]
    logits = features @ state["head.linear.weight"].numpy().T + state["head.linear.bias"].numpy()
    expected = scores.leep(softmax(logits.astype(np.float64), axis=1), labels)
    assert own["scores"]["leep"]["value"] == pytest.approx(expected, rel=1e-5)
    developed = json.loads(Path(own["origin"]["folder"], "result.json").read_text())
    assert own["own_accuracy"] == developed["metrics"]["val/accuracy"]
    control = found["candidates"][1]
    assert "leep" not in control["scores"]
    assert "no head" in control["missing"]["leep"]
    best = max(found["candidates"], key=lambda entry: entry["scores"]["neighbours"]["value"])
    assert found["pick"] == best["candidate"]
    assert found["sizes"]["train"] == 50
    assert list(own["by_stage"]) == ["stage1", "stage2", "stage3", "stage4"]
    assert (folder / "ranking.png").is_file()
    page = (folder / "ranking.md").read_text()
    for entry in found["candidates"]:
        assert entry["candidate"].replace("_", "\\_") in page
        assert entry["candidate"] in said


def test_only_train_and_val_are_looked_at(monkeypatch):
    asked = []
    features = Frozen.features

    def recorded(self, split, stages, **more):
        asked.append(split)
        return features(self, split, stages, **more)

    monkeypatch.setattr(Frozen, "features", recorded)
    assert main([*QUICK, candidates("control=true")]) == 0
    assert asked == ["train", "val"]


@pytest.mark.slow
def test_a_finished_ranking_is_shown_again_until_a_file_of_its_candidates_is_another_one(capfd):
    assert main([*TINY, "mode=scratch", "trainer.max_epochs=1", "logger=csv", "hydra.run.dir=mine"]) == 0
    state = torch.load("mine/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    torch.save(state, "weights.pth")
    command = [*QUICK, candidates("weights.pth", "mine")]
    capfd.readouterr()
    assert main(command) == 0
    first, said = result()[0], capfd.readouterr().out
    by_name = {entry["candidate"]: entry for entry in first["candidates"]}
    same = [entry["scores"]["logme"]["value"] for entry in by_name.values()]
    assert same[0] == pytest.approx(same[1])  # the run's best weights are those in the file
    ran = json.loads(Path("mine/result.json").read_text())
    assert by_name["mine"]["own_accuracy"] == ran["metrics"]["val/accuracy"]
    assert main(command) == 0
    again = capfd.readouterr()
    assert again.out == said
    assert "is finished" in again.err
    torch.save({name: tensor * 1.5 for name, tensor in state.items()}, "weights.pth")
    assert main(command) == 0
    changed = {entry["candidate"]: entry for entry in result()[0]["candidates"]}
    assert changed["weights.pth"]["scores"]["logme"]["value"] != by_name["weights.pth"]["scores"]["logme"]["value"]
    assert changed["mine"]["scores"]["logme"]["value"] == by_name["mine"]["scores"]["logme"]["value"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ((LETTERS, "resnet19"), "did you mean resnet18"),
        ((LETTERS, "absent.pth"), "there is no absent.pth"),
        ((LETTERS, "target.shots=7"), "changes target, and all candidates see the same images"),
        ((LETTERS, "seed=7"), "changes seed"),
        ((LETTERS, "mode=scratch"), "reuses no source"),
        ((LETTERS, "backbone.widht=8"), "cannot be composed"),
        ((LETTERS, "source.characters=runes"), "characters must be one of"),
        ((LETTERS, "small_cnn"), "weights=pretrained needs a backbone that a library has weights for"),
        ((LETTERS, LETTERS), "twice"),
    ],
)
def test_a_wrong_candidate_is_one_line_before_anything_is_computed(texts, said, capfd):
    assert main([*QUICK, candidates(*texts)]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert said in line
    assert not Path("outputs", "source").exists()


def test_weights_that_cannot_be_had_are_one_line_or_left_out(monkeypatch, tmp_path, capfd):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "urlopen", offline)
    command = [*QUICK, candidates("control=true", "mobilenet_v2")]
    assert main(command) == 2
    assert "candidate 'mobilenet_v2': cannot download" in capfd.readouterr().err
    assert main([*command, "rank_sources.unavailable=skip"]) == 0
    found, _ = result()
    assert [entry["candidate"] for entry in found["candidates"]] == ["control=true"]
    assert "cannot download" in found["unavailable"]["mobilenet_v2"]
    assert "mobilenet_v2" in capfd.readouterr().out


def test_targets_that_are_not_one_class_an_image_are_refused():
    with pytest.raises(UserError, match="several labels"):
        check_labels(SimpleNamespace(multi_label=True))
    with pytest.raises(UserError, match="numbers"):
        check_labels(SimpleNamespace(regression=True))

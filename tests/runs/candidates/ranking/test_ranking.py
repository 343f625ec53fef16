"""Rankings of planted candidates: clouds of features that tell the classes more or less clearly."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from headstart import scores
from headstart.report.rendering.ranking_page import ranking_markdown, ranking_text
from headstart.report.rendering.wording.ranking_words import recommendation
from headstart.runs.candidates.ranking import ranking as module
from headstart.runs.candidates.ranking.candidate_features import CandidateFeatures
from headstart.runs.candidates.ranking.candidate_row import RankingSettings
from headstart.runs.candidates.ranking.candidate_scores import ALL, etran_of
from headstart.runs.candidates.ranking.ranking_picture import ranking_figure
from headstart.runs.candidates.ranking.source_softmax import SourceSoftmax
from headstart.runs.candidates.ranking.static_facts import StaticFacts
from headstart.system.files.atomic_write import plain
from headstart.types import UserError

LABELS = np.arange(80) % 4


def clouds(clear, seed, labels=LABELS):
    """Features (N, 6) whose classes lie `clear` apart."""
    rng = np.random.default_rng(seed)
    return (clear * np.random.default_rng(9).normal(size=(4, 6))[labels] + rng.normal(size=(len(labels), 6))).astype(
        np.float32
    )


def features_of(candidate):
    """A candidate called `clear` or `clear/early`: the clearness after the last stage, and after the first."""
    last, _, early = candidate.text.partition("/")
    seed = len(candidate.text)
    softmax = None if candidate.text.startswith("0.3") else np.full((80, 3), 1 / 3)
    val = np.arange(40) % 4
    return CandidateFeatures(
        stages={"low": clouds(float(early or 0), seed + 1), "high": clouds(float(last), seed)},
        labels=LABELS,
        val=(clouds(float(last), seed + 2, val), val),
        softmax=SourceSoftmax(softmax, "" if softmax is not None else "there is no head"),
        static=StaticFacts(1000, 0.5, "its own val"),
        origin=None,
        class_names=("a", "b", "c", "d"),
        seconds=0.0,
    )


def ranked(monkeypatch, *texts, **changes):
    monkeypatch.setattr(module, "candidate_features", features_of)
    settings = {
        "by": "logistic", "scores": ALL, "neighbours": 5, "sample": 2000, "half_samples": 6, "half_images": 500,
        "depth": True, "seed": 0,
    } | changes  # fmt: skip
    found = module.ranking([SimpleNamespace(text=text, hash="0") for text in texts], RankingSettings(**settings))
    return {**json.loads(json.dumps(found)), "unavailable": {}, "picture": "ranking.png"}


def test_the_clearest_is_first_by_every_score_and_told_from_noise(monkeypatch):
    found = ranked(monkeypatch, "0.3", "2.5", "0.0")
    assert found["pick"] == "2.5"
    by_text = {entry["candidate"]: entry for entry in found["candidates"]}
    features = features_of(SimpleNamespace(text="2.5"))
    for name, function in (("logme", scores.logme), ("gbc", scores.gbc), ("logistic", scores.logistic_accuracy)):
        assert by_text["2.5"]["scores"][name]["value"] == pytest.approx(function(features.last, LABELS))
        assert by_text["2.5"]["scores"][name]["rank"] == 1
    assert by_text["2.5"]["scores"]["logistic"]["first"] == 1
    assert by_text["0.0"]["behind_first"]["told_apart"]
    assert by_text["0.3"]["missing"] == {"leep": "there is no head", "nce": "there is no head"}
    assert found["agreement"]["plain"]["logme"]["logme"] == pytest.approx(1)
    assert found["chance"] == {"largest_class": 0.25, "uniform": 0.25}
    said = " ".join(recommendation(found))
    assert said.startswith("Take 2.5")
    for text in (ranking_text(found, whole=True), ranking_markdown(found, "headstart")):
        assert "there is no head" in text
    assert len(ranking_figure(found).axes) == 2


def test_two_that_are_alike_are_not_told_apart_and_the_words_say_so(monkeypatch):
    found = ranked(monkeypatch, "1.0", "1.01", "0.0", scores=("logistic", "neighbours"))
    others = (entry for entry in found["candidates"] if entry["candidate"] not in ("0.0", found["pick"]))
    other = next(others)
    assert not other["behind_first"]["told_apart"]
    said = recommendation(found)[0]
    assert said.startswith("Not sure")
    assert other["candidate"] in said


def test_without_halves_nobody_knows_how_sure_it_is(monkeypatch):
    found = ranked(monkeypatch, "0.5/3.0", "0.0", half_samples=0, scores=("logistic",))
    found = json.loads(json.dumps(plain(found)))  # as it is read from disk
    assert "How sure that is nobody knows" in recommendation(found)[0]
    assert "no interval" in " ".join(recommendation(found))
    assert ranking_text(found)


def test_no_source_is_called_good_where_none_is_better_than_chance(monkeypatch):
    found = ranked(monkeypatch, "0.0", "0.00", scores=("neighbours",), by="neighbours", half_samples=2)
    best = max(entry["scores"]["neighbours"]["value"] for entry in found["candidates"])
    found["chance"]["largest_class"] = best
    assert any("none of these sources is a good start" in sentence for sentence in recommendation(found))


def test_the_stage_with_the_best_features_is_the_depth_to_keep(monkeypatch):
    found = ranked(monkeypatch, "0.5/3.0", "0.3", scores=("neighbours",), by="neighbours")
    depth = found["candidates"][0]["depth"]
    assert (depth["best"], depth["keep"], depth["last_told_apart"]) == ("low", 1, True)
    assert any("backbone.keep=1" in sentence for sentence in recommendation(found))


def test_scores_on_a_sample_say_its_size_and_the_others_are_on_all(monkeypatch):
    found = ranked(monkeypatch, "2.0", "1.0", sample=40, half_samples=2)
    images = {name: value["images"] for name, value in found["candidates"][0]["scores"].items()}
    assert {images[name] for name in ("logistic", "neighbours", "n_leep", "parc", "sfda")} == {40}
    assert {images[name] for name in ("logme", "gbc", "leep", "etran")} == {80}
    assert "stratified sample of 40 of 80" in ranking_markdown(found, "headstart")


def test_etran_is_the_sum_of_its_parts_scaled_over_the_candidates():
    assert etran_of(np.array([1.0, 3.0, 2.0]), np.array([-4.0, -8.0, -8.0])).tolist() == [1, 1, 0.5]


def test_a_score_that_no_candidate_has_cannot_decide(monkeypatch):
    with pytest.raises(UserError, match=r"rank_sources\.by=leep: there is no head"):
        ranked(monkeypatch, "0.3", "0.31", by="leep", scores=("leep",))

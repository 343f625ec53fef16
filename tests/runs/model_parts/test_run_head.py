"""Heads that do not go with another part of a run are refused before training, in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from composed import QUIET, TINY
from headstart.cli import main

RUN = [*TINY, "mode=scratch", *(f"{key}={value}" for key, value in QUIET.items())]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["head=attentive", "regularizer=bss"],
            "regularizer=BSS reads pooled features, and AttentiveHead takes",
        ),
        (
            ["head=attentive", "head.blocks=2"],
            "head.blocks must be 1 to 1, as the last stage, stage4, has 1",
        ),
        (["head=attentive", "head.attention_heads=7"], "head.attention_heads must divide the width of the tokens, 32"),
        (["head=cosine", "head.init=zeros"], "head.init must be random, class_means or source, got zeros"),
        (["head=cosine", "head.scale=0"], "head.scale must be a number above 0, got 0"),
        (["head=mlp", "head.dropout=1"], "head.dropout must be"),
    ],
)
def test_what_does_not_go_together_is_an_error_in_one_line(overrides, said, capfd):
    assert main([*RUN, *overrides]) != 0
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart: error")]
    assert said in line
    assert not list(Path().rglob("metrics.csv"))


@pytest.mark.parametrize(
    "head", ["attentive", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlp", "cosine"))]
)
def test_a_run_of_each_head_predicts_at_the_end_as_its_checkpoint_does(head):
    assert main([*RUN, f"head={head}", "head.init=class_means", "hydra.run.dir=mine"]) == 0
    result = json.loads(Path("mine/result.json").read_text())
    assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 0
    confusion = np.array(json.loads(Path("mine/evaluate-test.json").read_text())["confusion"])
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result["metrics"]["test/accuracy"], abs=1e-6)

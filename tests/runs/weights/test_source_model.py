"""The source model is developed once, found again, and worth reusing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from composed import composed
from headstart.runs.weights import source_model
from headstart.runs.weights.source_model import source_config, source_weights
from headstart.types import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def developed(*overrides):
    cfg = composed("mode=fine_tuning", *overrides)
    return source_weights(cfg=cfg, **{key: value for key, value in cfg.weights.items() if key != "_target_"})


def recipe(*overrides):
    cfg = composed("mode=fine_tuning", *overrides)
    wanted = ("seed", "max_epochs", "batch_size", "optimizer", "scheduler")
    return source_config(cfg, **{key: cfg.weights[key] for key in wanted})


@pytest.mark.parametrize(
    "override",
    ["seed=3", "mode=gradual", "target.shots=9", "trainer.max_epochs=9", "optimizer.lr=1", "backbone.keep=2",
     "weights.reset_from=1", "head.init=random", "module.stage_decay=0.9", "trainer.limit_val_batches=2"],
)  # fmt: skip
def test_runs_that_differ_in_the_target_or_in_how_they_reuse_share_one_source_model(override):
    assert recipe(override) == recipe()


@pytest.mark.parametrize(
    "override",
    ["source.per_class=9", "source.characters=letters", "backbone.width=5", "weights.seed=1", "weights.max_epochs=3",
     "weights.optimizer.lr=1e-4", "weights.batch_size=32", "module.label_smoothing=0.1"],
)  # fmt: skip
def test_whatever_the_source_model_depends_on_makes_another_one(override):
    assert recipe(override) != recipe()


def test_a_finished_source_model_is_found_again_and_not_trained_twice():
    first = developed()
    result = Path(first.facts["folder"]) / "result.json"
    made = result.stat().st_mtime_ns
    second = developed()
    assert result.stat().st_mtime_ns == made
    assert first.facts == second.facts
    assert all(torch.equal(first.backbone[key], second.backbone[key]) for key in first.backbone)


@pytest.mark.slow
def test_an_unfinished_source_model_is_trained_anew():
    first = developed()
    folder = Path(first.facts["folder"])
    (folder / "result.json").unlink()  # as after a crash: the checkpoint may be of any epoch
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"torn")
    second = developed()
    assert all(torch.equal(first.backbone[key], second.backbone[key]) for key in first.backbone)
    assert json.loads((folder / "result.json").read_text())["weights_hash"] == first.facts["weights_hash"]


@pytest.mark.slow
def test_parallel_runs_train_one_source_model_and_the_others_wait_with_a_message(tmp_path):
    program = (
        "import logging, sys; logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s');"
        "from composed import composed; from headstart.runs.weights.source_model import source_weights;"
        "cfg = composed('mode=fine_tuning', 'weights.max_epochs=1', 'weights.require_better=false');"
        "facts = source_weights(cfg=cfg, **{k: v for k, v in cfg.weights.items() if k != '_target_'}).facts;"
        "print('hash', facts['weights_hash'])"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2] / "helpers"), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sum("training the source model" in text for text in said) == 1
    assert len({text.split("hash ")[1] for text in said}) == 1


def test_a_source_model_that_does_not_beat_naive_models_stops_the_run_with_the_table():
    with pytest.raises(UserError, match="not better than naive models") as error:
        developed("weights.require_better=true", "weights.max_epochs=1")
    table = str(error.value)
    for name in ("majority", "class means", "logistic regression", "source model", "95 % interval"):
        assert name in table


def test_the_gate_is_the_lower_end_of_the_interval_against_the_best_naive_model(monkeypatch):
    """80 of 100 right: the Wilson interval's lower end is 0.7112 (Wilson 1927)."""

    def result(best_naive):
        return {
            "metrics": {"test/accuracy": 0.80}, "sizes": {"test": 100}, "class_names": ["a"],
            "naive": {"majority": 0.1, "class_means": 0.2, "logistic_regression": best_naive},
            "wall_s": 1.0, "examples": 1, "weights_hash": "0",
        }  # fmt: skip

    monkeypatch.setattr(source_model.torch, "load", lambda *_, **__: {"state_dict": {}})  # type: ignore[attr-defined]
    monkeypatch.setattr(source_model, "_developed", lambda *_: result(0.711))
    assert developed("weights.require_better=true").facts["accuracy_interval"][0] == pytest.approx(0.7112, abs=1e-4)
    monkeypatch.setattr(source_model, "_developed", lambda *_: result(0.712))
    with pytest.raises(UserError, match="not better"):
        developed("weights.require_better=true")


def test_source_weights_without_source_data_are_an_error():
    cfg = composed("mode=fine_tuning")
    cfg.source = None
    with pytest.raises(UserError, match="needs source data"):
        source_weights(cfg=cfg, **{key: value for key, value in cfg.weights.items() if key != "_target_"})

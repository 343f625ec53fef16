"""Weights whose bytes have changed are never taken for those that a run wrote."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from composed import composed
from headstart.cli import main
from headstart.runs.saved.finished_run import saved_run
from headstart.runs.weights.source_model import source_weights


@pytest.fixture
def best(made, monkeypatch):
    """The best checkpoint of a finished run, whole again afterwards."""
    monkeypatch.chdir(made)
    path = Path("mine/checkpoints/best.ckpt")
    kept = path.read_bytes()
    yield path
    path.write_bytes(kept)


def flip(path, *, mends_checksum=False):
    """Change a bit where the largest tensor lies; with the archive's own checksums made to fit, where wanted."""
    if mends_checksum:
        state = torch.load(path, weights_only=True)
        next(iter(state["state_dict"].values())).view(-1)[0] += 1
        torch.save(state, path)
        return
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("mends_checksum", [False, True])
@pytest.mark.parametrize(
    "task",
    [
        ["task=evaluate", "evaluate.run_dir=mine"],
        ["task=predict", "predict.run_dir=mine", "predict.images=nowhere"],
        ["task=export", "export.run_dir=mine"],
        ["task=embed", "embed.run_dir=mine"],
        ["resume=mine", "trainer.max_epochs=9"],
        ["mode=fine_tuning", "backbone.width=4", "weights=file", "weights.path=mine/checkpoints/best.ckpt"],
    ],
    ids=lambda task: task[0],
)
def test_a_run_s_changed_best_checkpoint_is_refused_by_whoever_reads_it(best, capfd, task, mends_checksum):
    flip(best, mends_checksum=mends_checksum)
    assert main(task) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    told = "mine cannot be extended: its best.ckpt" if task[0] == "resume=mine" else "mine/checkpoints/best.ckpt"
    assert f"{told} is damaged" in line
    assert not Path("mine/export").exists()


def test_without_digests_as_older_runs_have_none_the_archive_s_own_checksums_are_looked_at(best, capfd):
    file = Path("mine/result.json")
    whole = file.read_text()
    try:
        file.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != "files"}))
        assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 0
        flip(best)
        assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 2
        assert "is not what was written" in capfd.readouterr().err
    finally:
        file.write_text(whole)


def test_a_last_checkpoint_is_looked_at_where_it_is_what_counts(made, monkeypatch, capfd):
    monkeypatch.chdir(made)
    path = Path("mine/checkpoints/last.ckpt")
    kept = path.read_bytes()
    try:
        flip(path)
        assert main(["task=evaluate", "evaluate.run_dir=mine", "evaluate.checkpoint=last"]) == 2
        assert "last.ckpt is damaged" in capfd.readouterr().err
        assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 0
    finally:
        path.write_bytes(kept)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("damage", ["flipped", pytest.param("gone", marks=SLOW), pytest.param("result", marks=SLOW)])
def test_a_damaged_source_model_is_developed_anew_and_gives_the_same_weights(tmp_path, monkeypatch, caplog, damage):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")

    def developed():
        cfg = composed("mode=fine_tuning", "weights.max_epochs=1")
        return source_weights(cfg=cfg, **{key: value for key, value in cfg.weights.items() if key != "_target_"})

    first = developed()
    folder = Path(first.facts["folder"])
    before = (folder / "result.json").stat().st_mtime_ns
    (folder / "precious.txt").touch()
    if damage == "flipped":
        flip(folder / "checkpoints/best.ckpt", mends_checksum=True)
    elif damage == "gone":
        (folder / "metrics.csv").unlink()
    else:
        (folder / "result.json").write_text("[]")
    second = developed()
    assert "made anew" in caplog.text
    assert (folder / "result.json").stat().st_mtime_ns > before
    assert all(torch.equal(first.backbone[key], second.backbone[key]) for key in first.backbone)
    assert second.facts["weights_hash"] == first.facts["weights_hash"]
    assert (folder / "precious.txt").exists()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"state": "diverged"}, "training of mine diverged: its weights are those that it had before"),
        (
            {"state": "pruned", "pruned": {"epoch": 2, "step": 9, "metric": "val/accuracy", "value": 0.1}},
            "mine was stopped by its search after epoch 2 at val/accuracy 0.1: its weights are those of then",
        ),
        ({}, ""),
    ],
)
def test_whoever_takes_a_model_that_was_not_trained_to_its_end_is_told(made, tmp_path, caplog, state, told):
    folder = tmp_path / "mine"
    shutil.copytree(made / "mine", folder)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, **state}))
    saved_run(folder, "best")
    said = [record.getMessage() for record in caplog.records if record.name.endswith("finished_run")]
    assert said == ([told] if told else [])

"""Is a further job of a sweep the run that it would be alone, without doing again what the first one did?"""

import json
from pathlib import Path

import pytest
import torch

from headstart.backbones import digest
from headstart.cli import main
from headstart.tasks import weights_file

SHORT = ["backbone=resnet18", "backbone.size=32", "weights=file", "weights.path=w.pth", "mode=feature_extraction",
         "head.init=random", "trainer=cpu", "trainer.max_epochs=1"]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(seed):
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(models.resnet18(weights=None).state_dict(), "w.pth")


def results():
    return [json.loads(path.read_text()) for path in sorted(Path("outputs").rglob("result.json"))]


@pytest.fixture
def reads(monkeypatch):
    """The files of weights that are read."""
    files = []
    weights_file._tensors.cache_clear()
    read = weights_file.tensors_in
    monkeypatch.setattr(weights_file, "tensors_in", lambda path: files.append(path) or read(path))
    return files


def test_jobs_of_a_sweep_read_their_weights_once_and_a_changed_file_is_seen(reads):
    saved(1)
    first = digest.sha256(Path("w.pth"))
    assert main(["-m", *SHORT, "optimizer.lr=0.1,0.01"]) == 0
    assert len(reads) == 1
    saved(2)
    assert main([*SHORT, "optimizer.lr=0.1"]) == 0
    assert len(reads) == 2
    assert [one["source"]["sha256"] for one in results()].count(first) == 2
    assert [one["source"]["sha256"] for one in results()].count(digest.sha256(Path("w.pth"))) == 1

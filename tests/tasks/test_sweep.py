"""A further job of a sweep equals the run that it would be alone, without repeating the first one's work."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from headstart.backbones.weights.backbone_weights import Weights
from headstart.cli import main
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.model_parts import backbone_template
from headstart.runs.training import run_plan
from headstart.runs.weights import weights_from_file
from headstart.system.files.file_identity import sha256

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
    weights_from_file._tensors.cache_clear()
    read = weights_from_file.tensors_in  # type: ignore[attr-defined]
    monkeypatch.setattr(weights_from_file, "tensors_in", lambda path: files.append(path) or read(path))
    return files


@pytest.mark.slow
def test_jobs_of_a_sweep_read_their_weights_once_and_a_changed_file_is_seen(reads):
    saved(1)
    first = sha256(Path("w.pth"))
    assert main(["-m", *SHORT, "optimizer.lr=0.1,0.01"]) == 0
    assert len(reads) == 1
    saved(2)
    assert main([*SHORT, "optimizer.lr=0.1"]) == 0
    assert len(reads) == 2
    assert [one["source"]["sha256"] for one in results()].count(first) == 2
    assert [one["source"]["sha256"] for one in results()].count(sha256(Path("w.pth"))) == 1


@pytest.fixture
def forgotten(monkeypatch):
    """As in a process that has made no network yet."""
    monkeypatch.setattr(backbone_template, "_TEMPLATES", {})
    monkeypatch.setattr(backbone_template, "_CHANCE", {})
    monkeypatch.setattr(run_plan, "_COSTS", {})


def network(name):
    target = "headstart.backbones.zoo.torchvision_models.torchvision"
    return OmegaConf.create({"_target_": target, "name": name, "size": 32, "channels": 3, "keep": None})


def figures(study, *overrides):
    """What a run with these overrides measured, and its final weights."""
    (file,) = (path for path in Path("outputs").glob(f"{study}/*/result.json") if _has(path, overrides))
    result = json.loads(file.read_text())
    return result["weights_hash"], result["metrics"], (file.parent / "metrics.csv").read_text()


def _has(path, overrides):
    return set(overrides) <= set(json.loads(path.read_text())["overrides"])


@pytest.mark.slow
def test_a_job_alone_the_first_and_a_later_one_of_a_sweep_give_the_same_figures(forgotten):
    saved(1)
    alone = [*SHORT, "seed=1", "optimizer.lr=0.1", "rerun=true"]
    assert main(alone) == 0
    want = figures("runs", "optimizer.lr=0.1")
    assert main(alone) == 0
    assert figures("runs", "optimizer.lr=0.1") == want
    assert main(["-m", *SHORT, "seed=0,1", "optimizer.lr=0.01,0.1"]) == 0
    assert figures("sweep-*", "seed=1", "optimizer.lr=0.1") == want
    assert figures("sweep-*", "seed=0", "optimizer.lr=0.1") != want


def test_a_further_job_draws_no_numbers_that_its_weights_replace(forgotten, monkeypatch):
    cfg = network("resnet18")
    numbers = Weights(backbone=backbone_template.template(cfg).state_dict())
    made = []
    monkeypatch.setattr(backbone_template, "instantiate", lambda node: made.append(1) or instantiate(node))

    def begun(weights, seed=3):
        torch.manual_seed(seed)
        backbone, _ = backbone_template.with_weights(cfg, weights)
        return backbone, torch.rand(1).item(), len(made)

    first, drawn, count = begun(numbers)
    assert count == 1
    again, same, count = begun(numbers)
    assert count == 1
    assert same == drawn
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(again.eval()(image), first.eval()(image))
    assert all(p.requires_grad and p.is_leaf for p in again.parameters())
    assert {p.data_ptr() for p in again.parameters()}.isdisjoint(p.data_ptr() for p in first.parameters())
    _, other, count = begun(numbers, seed=4)  # another seed leads elsewhere, which is not known yet
    assert count == 2
    assert other != drawn
    _, same, count = begun(Weights())  # numbers of chance are drawn each time
    assert count == 3
    assert same == drawn


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("convnext_tiny", "vit_b_16")]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", *LARGE])
def test_a_network_made_again_computes_what_its_weights_do(forgotten, name):
    cfg = network(name)
    torch.manual_seed(0)
    first, _ = backbone_template.with_weights(cfg, Weights())
    torch.manual_seed(0)
    again, stages = backbone_template.with_weights(cfg, Weights(backbone=first.state_dict()))
    assert stages == first.names
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(image), first.eval()(image))
    assert backbone_template.template(cfg).state_dict().keys() == first.state_dict().keys()

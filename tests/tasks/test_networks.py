"""Each network of Yosinski et al. 2014 has the weights, the frozen stages and the images that it should have."""

import csv
import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch.nn.functional import cross_entropy

from composed import TINY, composed, trained
from headstart.backbones.weights.backbone_weights import load
from headstart.cli import main
from headstart.runs.folder.run_folder import finished
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config
from headstart.runs.weights import source_model
from headstart.runs.weights.source_model import source_config, target_config, waits_for_source
from headstart.runs.weights.starting_weights import weights_of
from headstart.types import UserError

STAGES = ("stage1", "stage2", "stage3", "stage4")
WANTED = ("seed", "max_epochs", "batch_size", "optimizer", "scheduler")
SHORT = ("trainer.max_epochs=2", "feature_cache=off")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, sources):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_model, "SOURCES", sources)  # each source model is trained once


def state_of(folder):
    return torch.load(Path(folder) / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]


def same_stages(one, other):
    """The stages whose parameters and buffers are the same to the bit."""
    keys = {stage: [key for key in one if key.startswith(f"backbone.stages.{stage}.")] for stage in STAGES}
    assert all(keys.values())
    return [stage for stage in STAGES if all(torch.equal(one[key], other[key]) for key in keys[stage])]


@pytest.mark.parametrize(
    ("mode", "n"),
    [
        pytest.param("AnB", 0, marks=pytest.mark.slow),
        ("AnB", 3),
        ("BnB", 1),
        pytest.param("BnB", 4, marks=pytest.mark.slow),
    ],
)
def test_the_first_n_stages_are_the_other_networks_to_the_bit_when_training_is_over(mode, n, tmp_path):
    result = trained(f"mode={mode}", f"weights.reset_from={n}", *SHORT, folder=tmp_path / "run")
    base = torch.load(Path(result["source"]["folder"]) / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert same_stages(state_of(tmp_path / "run"), base) == list(STAGES[:n])


@pytest.mark.parametrize("mode", ["AnB+", pytest.param("BnB+", marks=pytest.mark.slow)])
def test_a_network_with_a_plus_begins_with_the_first_n_stages_and_moves_them_all(mode, tmp_path):
    cfg = composed(f"mode={mode}", "weights.reset_from=2", *SHORT)
    base = {f"backbone.{key}": tensor for key, tensor in weights_of(cfg).backbone.items()}
    backbone = assembled(cfg).backbone
    assert load(backbone, weights_of(cfg)) == STAGES[:2]
    began = {f"backbone.{key}": tensor for key, tensor in backbone.state_dict().items()}
    assert same_stages(began, base) == list(STAGES[:2])
    trained(f"mode={mode}", "weights.reset_from=2", *SHORT, folder=tmp_path / "run")
    assert same_stages(state_of(tmp_path / "run"), base) == []
    with (tmp_path / "run" / "metrics.csv").open() as lines:
        row = next(row for row in csv.DictReader(lines) if row["lr/head"])
    assert {row[f"lr/{stage}"] for stage in STAGES} == {row["lr/head"]}, "all at one rate, as in the paper"


def test_what_is_reset_must_not_be_what_the_base_began_with():
    with pytest.raises(UserError, match="another than the run's, got 1000 for both"):
        weights_of(composed("mode=BnB", "seed=1000"))


def test_the_base_of_bnb_is_trained_on_the_runs_own_images():
    for seed in (0, 7):
        cfg = composed("mode=BnB", "weights.reset_from=2", f"seed={seed}", *SHORT)
        recipe = target_config(cfg, **{key: cfg.weights[key] for key in WANTED})
        assert (recipe.seed, recipe.target.shots) == (1000, cfg.target.shots)
        theirs = assembled(OmegaConf.merge(recipe, {"regularizer": None})).data
        ours = assembled(cfg).data
        for data in (theirs, ours):
            data.setup("fit")
        assert theirs.contents("train") == ours.contents("train")
        assert theirs.contents("val") == ours.contents("val")
    other = assembled(composed("mode=BnB", "seed=1", *SHORT)).data
    other.setup("fit")
    assert other.contents("train") != ours.contents("train"), "the images do depend on the seed"


def test_the_base_of_bnb_is_evaluated_on_the_images_that_it_was_trained_on():
    base = Path(weights_of(composed("mode=BnB", *SHORT)).facts["folder"])
    assert main(["task=evaluate", f"evaluate.run_dir={base}", "evaluate.split=train", "evaluate.checkpoint=last"]) == 0
    found = json.loads((base / "evaluate-train.json").read_text())
    parts = assembled(run_config(base))
    assert parts.data.seed == 0, "the run's seed, where the base's own is 1000"
    parts.data.setup("fit")
    parts.module.load_state_dict(state_of(base))
    parts.module.eval()
    batches = list(parts.data.plain_dataloader("train"))
    with torch.no_grad():
        loss = sum(float(cross_entropy(parts.module(batch.image), batch.label, reduction="sum")) for batch in batches)
    assert found["metrics"]["train/loss"] == pytest.approx(loss / found["images"], rel=1e-5)


@pytest.mark.parametrize(
    "override", ["seed=3", "target.shots=9", "target.batch_size=9", "optimizer.lr=1", "weights.seed=5"]
)
def test_another_target_run_has_another_base(override):
    def recipe(*overrides):
        cfg = composed("mode=BnB", *overrides)
        return target_config(cfg, **{key: cfg.weights[key] for key in WANTED})

    assert recipe(override) != recipe()
    assert recipe("weights.reset_from=3") == recipe("mode=BnB+") == recipe("module.stage_decay=0.3") == recipe()


@pytest.mark.slow
def test_the_base_is_waited_for_where_it_is_not_there_and_found_where_it_is(tmp_path):
    cfg = composed("mode=BnB", "weights.reset_from=1", "seed=5", *SHORT)
    assert waits_for_source(cfg)
    facts = weights_of(cfg).facts
    assert finished(Path(facts["folder"]))
    assert not waits_for_source(cfg)
    assert waits_for_source(composed("mode=BnB", "weights.reset_from=1", "seed=6", *SHORT))
    assert not waits_for_source(composed("mode=scratch", *SHORT))


def test_the_recipe_of_a_source_has_no_key_of_the_control():
    cfg = composed("mode=AnB")
    assert "images_seed" not in source_config(cfg, **{key: cfg.weights[key] for key in WANTED})


def test_more_stages_than_there_are_is_an_error_in_a_line(capfd):
    assert main([*TINY, "mode=AnB", "weights.reset_from=7"]) == 2
    assert "weights.reset_from must be 0 to 4, got 7" in capfd.readouterr().err

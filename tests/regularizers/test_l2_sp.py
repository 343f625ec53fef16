"""The term is the paper's, over what is trainable, and a resumed run is pulled to the same weights."""

import pytest
import torch
from torch import nn

from composed import composed, trained
from headstart.regularizers.l2_sp import L2SP
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights.source_model import source_recipe
from headstart.types import Batch

NOTHING = {"batch": Batch(torch.empty(0), torch.empty(0)), "features": torch.empty(0), "outputs": {}}


def stages():
    torch.manual_seed(0)
    return {
        "first": nn.Linear(2, 3),
        "second": nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)),
        "head": nn.Linear(3, 2),
    }


def begun(parts, from_source, **settings):
    term = L2SP(**{"alpha": 0.3, "beta": 0.2} | settings)
    term.prepare(parts)
    term.begin(parts, from_source)
    return term


def square(module):
    return sum(float(p.detach().double().square().sum()) for p in module.parameters())


def moved(parts, by):
    with torch.no_grad():
        for module in parts.values():
            for parameter in module.parameters():
                parameter += by
    return sum(p.numel() for name in ("first", "second") for p in parts[name].parameters())


def test_the_term_is_the_papers():
    parts = stages()
    term = begun(parts, ("first", "second"))
    count = moved(parts, 0.5)
    want = 0.3 / 2 * count * 0.25 + 0.2 / 2 * square(parts["head"])
    assert float(term(stages=parts, **NOTHING).detach()) == pytest.approx(want, rel=1e-6)


def test_its_gradient_is_alpha_times_the_way_gone_and_beta_times_what_is_new():
    parts = stages()
    term = begun(parts, ("first",))
    moved(parts, 0.5)
    term(stages=parts, **NOTHING).backward()
    torch.testing.assert_close(parts["first"].weight.grad, torch.full((3, 2), 0.3 * 0.5))
    for new in (parts["second"][0], parts["head"]):
        torch.testing.assert_close(new.weight.grad, 0.2 * new.weight.detach())


def test_what_is_closed_adds_nothing():
    parts = stages()
    term = begun(parts, ("first", "second"))
    moved(parts, 0.5)
    parts["first"].requires_grad_(False)
    parts["head"].requires_grad_(False)
    count = sum(p.numel() for p in parts["second"].parameters())
    assert float(term(stages=parts, **NOTHING).detach()) == pytest.approx(0.3 / 2 * count * 0.25, rel=1e-6)


def test_without_a_source_it_is_the_weight_decay_of_beta_on_everything():
    parts = stages()
    term = begun(parts, ())
    want = 0.2 / 2 * sum(square(module) for module in parts.values())
    assert float(term(stages=parts, **NOTHING).detach()) == pytest.approx(want, rel=1e-6)


def test_a_head_that_comes_from_the_source_is_pulled_there_too():
    parts = stages()
    assert float(begun(parts, ("first", "second", "head"))(stages=parts, **NOTHING).detach()) == 0


def test_what_it_remembers_is_in_the_state_dict_so_that_a_resumed_run_needs_no_source():
    parts = stages()
    term = begun(parts, ("first", "second"))
    resumed = L2SP(alpha=0.3, beta=0.2)
    moved(parts, 0.5)
    resumed.prepare(parts)  # when the module is made, with whatever weights
    resumed.load_state_dict(term.state_dict())
    assert float(resumed(stages=parts, **NOTHING).detach()) == float(term(stages=parts, **NOTHING).detach())


# ---------------------------------------------------------------------- in a run


def test_the_optimizers_weight_decay_is_off_with_it_and_on_without():
    for overrides, want in (((), {0.0, 0.05}), (("regularizer=l2_sp",), {0.0})):
        module = assembled(composed("scheduler=constant", *overrides)).module
        known = {"estimated_stepping_batches": 4, "max_epochs": 1, "check_val_every_n_epoch": 1}
        module.trainer = type("Trainer", (), known)()
        groups = module.configure_optimizers()["optimizer"].param_groups
        assert {group["weight_decay"] for group in groups} == want


def test_it_is_the_target_runs_alone():
    with_it, without = composed("regularizer=l2_sp", "callbacks=ema", "compile=true"), composed()
    assert config_hash(source_recipe(with_it)) == config_hash(source_recipe(without))
    assert "regularizer" not in source_recipe(with_it)


def test_a_run_is_pulled_to_its_source_and_logs_the_term(tmp_path, monkeypatch):
    """With alpha times the rate of stage4 (half the head's) = 1 its weights are never further than one step away."""
    monkeypatch.chdir(tmp_path)
    ways = {}
    for alpha in (0.0, 2000.0):
        folder = tmp_path / f"alpha{alpha}"
        trained(
            "mode=fine_tuning", "regularizer=l2_sp", f"regularizer.alpha={alpha}", "trainer.max_epochs=2",
            "scheduler=constant", "optimizer=sgd", "optimizer.lr=1e-3", "optimizer.momentum=0",
            "optimizer.nesterov=false", folder=folder,
        )  # fmt: skip
        kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        assert kept["regularizer.from_source"].tolist() == [True] * 4 + [False]
        start = kept["regularizer.start:stage4/0/weight"]
        ways[alpha] = float((kept["backbone.stages.stage4.0.weight"] - start).norm())
        assert "train/regularizer" in (folder / "metrics.csv").read_text().splitlines()[0]
    assert 0 < ways[2000.0] < 0.5 * ways[0.0]

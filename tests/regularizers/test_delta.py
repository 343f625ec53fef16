"""The term is the distance of the maps from the source's, each filter at its weight."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from composed import TINY, trained
from headstart.cli import main
from headstart.features.probing.stacked_heads import StackedHeads
from headstart.regularizers.delta import DELTA, attention, distance, rises
from headstart.types import Batch, UserError


def parts():
    torch.manual_seed(0)
    return {
        "first": nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.ReLU()),
        "second": nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()),
        "head": nn.Linear(4, 2),
    }


def image(count=6):
    return torch.randn(count, 1, 7, 7, generator=torch.Generator().manual_seed(1))


def begun(stages, from_source=("first", "second"), **settings):
    term = DELTA(**{"alpha": 0.3, "beta": 0.2, "at": None, "attention_images": 0, "temperature": 5.0} | settings)
    term.prepare(stages)
    term.begin(stages, from_source)
    return term


def outputs(stages, x, start=0):
    found = {}
    for name, stage in list(stages.items())[start:-1]:
        found[name] = x = stage(x)
    return found


def value(term, stages, x=None, start=0):
    entering = image() if x is None else x
    batch = Batch(entering, torch.zeros(len(entering), dtype=torch.long), start)
    given = outputs(stages, entering, start)
    return term(stages=stages, batch=batch, features=torch.empty(1), outputs=given)


def moved(stages, name, by=0.3):
    with torch.no_grad():
        for weight in stages[name].parameters():
            weight += by


def square(module):
    return sum(float(p.detach().double().square().sum()) for p in module.parameters())


# ---------------------------------------------------------------------- the formulas


@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (5, 6, 3), (5, 3)])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_distance_is_numpys(shape, weighted):
    generator = torch.Generator().manual_seed(2)
    maps, source = (torch.randn(shape, generator=generator) for _ in range(2))
    weights = torch.tensor([0.5, 0.2, 0.3]) if weighted else None
    filters_last = (lambda x: np.moveaxis(x, 1, -1)) if len(shape) == 4 else (lambda x: x)
    gap = (filters_last(maps.numpy()).astype(float) - filters_last(source.numpy()).astype(float)) ** 2
    each = np.array([0.5, 0.2, 0.3] if weighted else [1 / 3] * 3)
    want = 0.0
    for one in gap.reshape(5, -1, 3):
        places = len(one)
        want += 0.5 * sum(3 * each[c] * one[:, c].sum() / places for c in range(3)) / 5
    assert distance(maps, source, weights).item() == pytest.approx(want, rel=1e-5)


def test_by_hand_a_filter_that_is_standard_deviations_more_important_weighs_more_and_all_weigh_one():
    weights = attention(torch.tensor([0.0, 0.0, 0.0, 4.0]), 2.0)  # mean 1, standard deviation sqrt(3)
    far = np.exp(3 / np.sqrt(3) / 2) / np.exp(-1 / np.sqrt(3) / 2)
    assert (weights[3] / weights[0]).item() == pytest.approx(far, rel=1e-5)
    assert weights.sum().item() == pytest.approx(1)


def test_filters_that_matter_alike_weigh_alike():
    torch.testing.assert_close(attention(torch.full((4,), 0.7), 5.0), torch.full((4,), 0.25))


@pytest.mark.parametrize("name", ["first", "second"])
def test_the_loss_rises_as_it_does_where_the_filter_is_really_taken_out(name):
    stages, x = parts(), image(70)  # more than are looked at together
    label = torch.arange(70) % 2
    probe = StackedHeads(torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(3)), torch.tensor([[0.1, -0.2]]))

    def loss(model):
        features = outputs(model, x)["second"].mean(dim=(2, 3))
        return cross_entropy(features @ probe.weight[0].T + probe.bias[0], label)

    want = []
    for number in range(stages[name][0].out_channels):
        without = copy.deepcopy(stages)
        with torch.no_grad():
            without[name][0].weight[number] = 0
            want.append(loss(without) - loss(stages))
    torch.testing.assert_close(rises(stages, name, x, label, probe), torch.stack(want), atol=1e-6, rtol=1e-4)


# ---------------------------------------------------------------------- the term


def test_at_the_start_the_maps_are_the_sources_and_only_the_head_is_penalised():
    stages = parts()
    term = value(begun(stages), stages)
    assert float(term.detach()) == pytest.approx(0.2 / 2 * square(stages["head"]), rel=1e-6)
    term.backward()
    assert all(float(weight.grad.abs().max()) == 0 for weight in stages["first"].parameters())
    torch.testing.assert_close(stages["head"].weight.grad, 0.2 * stages["head"].weight.detach())


def test_what_has_moved_costs_the_distance_of_its_maps_and_of_all_behind_it():
    stages = parts()
    before = {name: maps.detach() for name, maps in outputs(stages, image()).items()}
    term = begun(stages, beta=0.0)
    moved(stages, "first")
    after = outputs(stages, image())
    want = 0.3 * sum(float(distance(after[name].detach(), before[name], None)) for name in before)
    assert want > 0.01
    assert float(value(term, stages).detach()) == pytest.approx(want, rel=1e-5)


def test_a_filter_without_weight_may_go_anywhere():
    stages = parts()
    term = begun(stages, beta=0.0, at=["second"])
    term.register_buffer("attention:second", torch.tensor([0.0, 0.5, 0.5, 0.0]))
    with torch.no_grad():
        stages["second"][0].weight[[0, 3]] += 5
    assert float(value(term, stages).detach()) == pytest.approx(0, abs=1e-10)


def test_activations_that_enter_a_stage_give_the_term_of_the_images_while_the_stages_before_are_the_sources():
    stages = parts()
    term = begun(stages)
    moved(stages, "second")
    from_images = value(term, stages)
    from_first = value(term, stages, outputs(stages, image())["first"].detach(), start=1)
    torch.testing.assert_close(from_images, from_first)


def test_what_lies_behind_the_last_compared_stage_is_penalised_as_the_head_is():
    stages = parts()
    want = 0.2 / 2 * (square(stages["second"]) + square(stages["head"]))
    assert float(value(begun(stages, at=["first"]), stages).detach()) == pytest.approx(want, rel=1e-6)


def test_a_stage_that_starts_afresh_is_compared_with_nothing():
    stages = parts()
    term = begun(stages, from_source=("first",))
    moved(stages, "second")
    want = 0.2 / 2 * (square(stages["second"]) + square(stages["head"]))
    assert float(value(term, stages).detach()) == pytest.approx(want, rel=1e-6)


def test_without_a_source_it_is_the_weight_decay_of_beta_on_what_is_open():
    stages = parts()
    term = begun(stages, from_source=())
    stages["first"].requires_grad_(False)
    want = 0.2 / 2 * (square(stages["second"]) + square(stages["head"]))
    assert float(value(term, stages).detach()) == pytest.approx(want, rel=1e-6)


def test_what_it_remembers_is_in_the_state_dict_so_that_a_resumed_run_needs_no_source():
    stages = parts()
    term = begun(stages)
    term.register_buffer("attention:first", torch.tensor([0.7, 0.1, 0.2]))
    resumed = DELTA(alpha=0.3, beta=0.2, at=None, attention_images=0, temperature=5.0)
    moved(stages, "first")
    resumed.prepare(stages)  # when the module is made, with whatever weights
    resumed.load_state_dict(term.state_dict())
    assert float(value(resumed, stages).detach()) == float(value(term, stages).detach())


def test_look_gives_each_filter_its_weight_by_a_probe_on_the_images():
    stages, x = parts(), image(40)
    label = (x.mean(dim=(1, 2, 3)) > 0).long()
    term = begun(stages, attention_images=16)

    def batches(split, *, stored):
        assert split == "train"
        for part, said in zip(torch.split(x, 10), torch.split(label, 10), strict=True):
            yield Batch(stages["first"](part) if stored else part, said, int(stored))  # as the store would give it

    with torch.no_grad():
        term.look(stages, batches)
    for name, filters in (("first", 3), ("second", 4)):
        weights = term.get_buffer(f"attention:{name}")
        assert weights.shape == (filters,)
        assert weights.sum().item() == pytest.approx(1)
    assert len(set(term.get_buffer("attention:second").tolist())) > 1


def test_a_stage_that_is_not_there_or_not_the_sources_is_an_error_that_names_those_that_are():
    with pytest.raises(UserError, match=r"regularizer.at must be of the stages first, second, got third"):
        begun(parts(), at=["third"])
    with pytest.raises(UserError, match="second start afresh"):
        begun(parts(), from_source=("first",), at=["first", "second"])


# ---------------------------------------------------------------------- in a run


@pytest.mark.slow
def test_a_run_keeps_the_source_that_it_began_with_and_what_each_filter_weighs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    trained(
        "mode=fine_tuning", "regularizer=delta", "regularizer.attention_images=20", "trainer.max_epochs=1",
        folder=folder,
    )  # fmt: skip
    kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    (source,) = Path("outputs/source").glob("*/checkpoints/best.ckpt")
    began = torch.load(source, weights_only=True)["state_dict"]
    for name, tensor in began.items():
        if name.startswith("backbone.stages."):
            stage = name.removeprefix("backbone.stages.")
            assert torch.equal(kept[f"regularizer.source.copy:{stage}"], tensor), name
            assert not name.endswith("weight") or not torch.equal(kept[name], tensor), name  # the model has moved
    for stage, filters in (("stage1", 4), ("stage4", 32)):
        assert kept[f"regularizer.attention:{stage}"].shape == (filters,)
        assert kept[f"regularizer.attention:{stage}"].sum().item() == pytest.approx(1)
    assert "train/regularizer" in (folder / "metrics.csv").read_text().splitlines()[0]


def test_a_run_of_which_the_command_line_is_wrong_ends_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "mode=scratch", "regularizer=delta", "regularizer.at=[stage9]"]) == 2
    said = capsys.readouterr().err
    assert "regularizer.at must be of the stages stage1, stage2, stage3, stage4, got stage9" in said
    assert "Traceback" not in said

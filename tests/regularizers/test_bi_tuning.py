"""Both losses are means over positives; the keys are the last ones of each class, by a slower encoder."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from headstart.modules.heads.linear_head import LinearHead
from headstart.regularizers.bi_tuning import BiTuning, contrast, of_all_devices
from headstart.types import Batch, UserError
from two_processes import run_both


def parts():
    torch.manual_seed(0)
    return {
        "first": nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU()),
        "second": nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.ReLU()),
        "head": LinearHead(width=5, num_classes=3, init="random"),
    }


def begun(stages, **settings):
    term = BiTuning(**{"weight": 1.0, "temperature": 0.5, "keys": 2, "momentum": 0.9, "projection": 4} | settings)
    term.prepare(stages)
    term.begin(stages, ("first", "second"))
    return term


def batch_of(labels, seed=1):
    image = torch.randn(len(labels), 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return Batch(image, torch.tensor(labels))


def features_of(stages, batch):
    x = batch.image
    for stage in list(stages.values())[batch.start : -1]:
        x = stage(x)
    return x.mean(dim=(2, 3))


def value(term, stages, batch):
    return term(stages=stages, batch=batch, features=features_of(stages, batch), outputs={})


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# ---------------------------------------------------------------------- the loss


def by_numpy(query, own, keys, there, label, temperature):
    total = 0.0
    for q, mine, y in zip(query, own, label, strict=True):
        positive, every = [mine], [mine]
        for c in range(len(keys)):
            for k in range(keys.shape[1]):
                if there[c, k]:
                    every.append(keys[c, k])
                    if c == y:
                        positive.append(keys[c, k])
        below = sum(math.exp(q @ one / temperature) for one in every)
        total -= sum(math.log(math.exp(q @ one / temperature) / below) for one in positive) / len(positive)
    return total / len(query)


def test_the_loss_is_that_of_loops_over_images_and_keys():
    generator = torch.Generator().manual_seed(0)
    query, own = (torch.randn(5, 4, generator=generator) for _ in range(2))
    keys = torch.randn(3, 2, 4, generator=generator)
    there, label = torch.tensor([[True, True], [True, False], [False, False]]), torch.tensor([0, 1, 2, 0, 1])
    want = by_numpy(*(one.numpy().astype(float) for one in (query, own, keys)), there.numpy(), label.numpy(), 0.3)  # type: ignore[call-arg]
    assert contrast(query, own, keys, there, label, 0.3).item() == pytest.approx(want, rel=1e-5)


def test_by_hand_one_positive_key_and_one_of_another_class():
    """q.p = 1 for its own and the key of its class, 0 for the other: at temperature 1/2 each is e^2 of 2 e^2 + 1."""
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    keys, there = torch.stack([x[None], y[None]]), torch.ones(2, 1, dtype=torch.bool)
    got = contrast(x[None], x[None], keys, there, torch.tensor([0]), 0.5)
    assert got.item() == pytest.approx(-math.log(math.exp(2) / (2 * math.exp(2) + 1)), rel=1e-6)


def test_it_falls_when_the_positives_coincide_and_the_others_go_away():
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    there, label = torch.ones(2, 1, dtype=torch.bool), torch.tensor([0])
    apart = contrast(x[None], x[None], torch.stack([y[None], x[None]]), there, label, 0.5)
    together = contrast(x[None], x[None], torch.stack([x[None], -x[None]]), there, label, 0.5)
    assert together < apart


def test_an_image_without_keys_costs_nothing_and_has_no_gradient():
    query = torch.tensor([[1.0, 2.0]], requires_grad=True)
    none = torch.zeros(3, 2, dtype=torch.bool)
    loss = contrast(query, torch.ones(1, 2), torch.zeros(3, 2, 2), none, torch.tensor([1]), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert query.grad.tolist() == [[0, 0]]


# ---------------------------------------------------------------------- the term


def test_the_term_is_the_two_losses_of_unit_vectors_times_the_weight():
    stages, batch = parts(), batch_of([0, 1, 2, 0, 1, 1])
    for stage in stages.values():
        stage.eval()
    term = begun(stages, weight=0.7, momentum=1.0, keys=4)
    value(term, stages, batch_of([0, 1, 2, 2], seed=2))
    keys, projected = term.features.numpy().astype(float), term.projections.numpy().astype(float)
    there = np.arange(4) < term.counts.numpy()[:, None]
    with torch.no_grad():
        features = features_of(stages, batch)
        own = unit(np.concatenate([features.numpy(), np.ones((6, 1))], axis=1).astype(float))
        z = unit(term.projector(features).numpy().astype(float))
        linear = stages["head"].linear
        rows = unit(torch.cat([linear.weight, linear.bias[:, None]], dim=1).numpy().astype(float))
    y = batch.label.numpy()
    want = by_numpy(rows[y], own, keys, there, y, 0.5) + by_numpy(z, z, projected, there, y, 0.5)
    assert float(value(term, stages, batch).detach()) == pytest.approx(0.7 * want, rel=1e-4)


def test_backbone_head_and_projector_learn_by_it_and_the_keys_do_not():
    stages = parts()
    term = begun(stages)
    value(term, stages, batch_of([0, 1, 2, 0]))
    value(term, stages, batch_of([2, 1, 0, 0], seed=2)).backward()
    for module in (*stages.values(), term.projector):
        assert all(float(weight.grad.abs().sum()) > 0 for weight in module.parameters())
    assert {name.partition(".")[0] for name, _ in term.named_parameters()} == {"projector"}


def test_the_last_keys_of_each_class_are_kept_also_where_a_batch_brings_more_than_there_is_place_for():
    stages = parts()
    for stage in stages.values():
        stage.eval()
    term = begun(stages, momentum=1.0)
    first, second = batch_of([0, 0, 0, 1]), batch_of([1, 0, 2, 1], seed=2)
    seen = []
    for batch in (first, second):
        value(term, stages, batch)
        rows = torch.cat([features_of(stages, batch), torch.ones(4, 1)], dim=1).detach().numpy()
        seen.append(unit(rows))
    of_class = [[seen[0][2], seen[1][1]], [seen[1][0], seen[1][3]], [seen[1][2]]]
    for number, want in enumerate(of_class):
        got = {tuple(np.round(row, 4)) for row in term.features[number].numpy() if np.any(row)}
        assert got == {tuple(np.round(row, 4)) for row in want}
    assert term.counts.tolist() == [4, 3, 1]


def test_the_encoder_of_the_keys_goes_a_tenth_of_the_way_before_each_batch():
    stages = parts()
    term = begun(stages)
    began = stages["second"][0].weight.detach().clone()
    with torch.no_grad():
        stages["second"][0].weight += 1
        term.projector.weight += 1
    projector = term.encoder.of("head").weight.clone()
    value(term, stages, batch_of([0, 1]))
    torch.testing.assert_close(term.encoder.of("second")[0].weight, began + 0.1)
    torch.testing.assert_close(term.encoder.of("head").weight, projector + 0.1)


def test_activations_that_enter_a_stage_give_the_term_of_the_images():
    stages, batch = parts(), batch_of([0, 1, 2, 1])
    stages["first"].requires_grad_(False).eval()
    entering = batch._replace(image=stages["first"](batch.image).detach(), start=1)
    got = []
    for one in (batch, entering):
        torch.manual_seed(3)
        term = begun(stages)
        value(term, stages, one)
        got.append((float(value(term, stages, one).detach()), term.features))
    assert got[0][0] == pytest.approx(got[1][0], rel=1e-6)
    torch.testing.assert_close(got[0][1], got[1][1])


def test_the_keys_and_their_encoder_are_in_the_state_dict():
    stages = parts()
    term = begun(stages)
    value(term, stages, batch_of([0, 1, 2, 0]))
    resumed = begun(parts())
    resumed.load_state_dict(term.state_dict())
    later = batch_of([2, 1, 0, 0], seed=2)
    assert float(value(resumed, stages, later).detach()) == float(value(term, stages, later).detach())
    assert torch.equal(resumed.features, term.features)


@pytest.mark.parametrize("label", [torch.eye(3), torch.tensor([0.0, 1.0, 2.0])])
def test_images_of_several_classes_are_an_error(label):
    stages = parts()
    batch = batch_of([0, 1, 2])._replace(label=label)
    with pytest.raises(UserError, match="regularizer=bi_tuning needs one class an image"):
        value(begun(stages), stages, batch)


def test_a_head_of_two_layers_is_an_error():
    with pytest.raises(UserError, match="needs a head of one linear layer with a bias, as head=linear, got Sequential"):
        begun(parts() | {"head": nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))})


# ---------------------------------------------------------------------- two devices


def rank(number):
    dist.init_process_group("gloo", rank=number, world_size=2)
    found = of_all_devices(torch.full((3 - number, 2), float(number)))  # three rows here, two there
    assert found.tolist() == [[0, 0]] * 3 + [[1, 1]] * 2
    stages = parts()
    for stage in stages.values():
        stage.eval()
    term = begun(stages, momentum=1.0)
    value(term, stages, [batch_of([0, 1, 2]), batch_of([0, 0], seed=2)][number])
    alone = begun(parts(), momentum=1.0)  # one device sees the images of both
    alone_stages = {name: stage.eval() for name, stage in parts().items()}
    both = [batch_of([0, 1, 2]), batch_of([0, 0], seed=2)]
    batch = Batch(torch.cat([one.image for one in both]), torch.cat([one.label for one in both]))
    dist.destroy_process_group()
    value(alone, alone_stages, batch)
    torch.testing.assert_close(term.features, alone.features)
    torch.testing.assert_close(term.projections, alone.projections)
    assert term.counts.tolist() == alone.counts.tolist() == [3, 1, 1]


@pytest.mark.slow
def test_two_devices_keep_the_keys_that_one_would_have_kept_of_all_images(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "helpers"))
    run_both(__file__, seconds=100)


if __name__ == "__main__":
    rank(int(os.environ["LOCAL_RANK"]))

"""Means of weights equal hand computations, and their laws hold."""

import pytest
import torch
from torch import nn

from headstart.evaluation.weight_averaging import averaged, interpolated


def state(*values, batches=3):
    return {"weight": torch.tensor(values), "batches": torch.tensor(batches)}


def test_a_quarter_of_the_way_is_a_quarter_of_the_difference():
    found = interpolated(state(0.0, 8.0), state(4.0, 0.0, batches=9), 0.25)
    assert found["weight"].tolist() == [1.0, 6.0]
    assert found["batches"] == 9


def test_both_ends_are_the_models_to_the_bit():
    first, last = (nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)).state_dict() for _ in range(2))
    last["1.num_batches_tracked"] += 2
    for share, model in ((0.0, first), (1.0, last)):
        found = interpolated(first, last, share)
        assert all(torch.equal(found[name], model[name]) for name in ("0.weight", "0.bias", "1.running_var"))
        assert found["1.num_batches_tracked"] == 2


def test_the_way_back_is_the_same_way():
    first, last = state(*torch.randn(9).tolist()), state(*torch.randn(9).tolist())
    there, back = interpolated(first, last, 0.3)["weight"], interpolated(last, first, 0.7)["weight"]
    torch.testing.assert_close(there, back, rtol=1e-6, atol=0)


def test_a_linear_model_of_mean_weights_gives_the_mean_of_the_logits():
    models = [nn.Linear(6, 3) for _ in range(4)]
    image = torch.randn(5, 6)
    soup = nn.Linear(6, 3)
    soup.load_state_dict(averaged([model.state_dict() for model in models]))
    torch.testing.assert_close(soup(image), torch.stack([model(image) for model in models]).mean(dim=0))


def test_half_precision_is_summed_in_full():
    large = {"weight": torch.tensor([60000.0], dtype=torch.float16)}
    assert averaged([large] * 4)["weight"].item() == 60000.0


def test_models_of_other_shapes_are_refused_by_the_tensor_that_differs():
    with pytest.raises(ValueError, match="weight differs"):
        interpolated(state(1.0), state(1.0, 2.0), 0.5)
    with pytest.raises(ValueError, match="one model at least"):
        averaged([])

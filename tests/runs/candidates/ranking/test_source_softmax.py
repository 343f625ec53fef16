"""The source's softmax is its head on its features, or a reason."""

import numpy as np
import torch

from headstart.modules.heads.linear_head import LinearHead
from headstart.runs.candidates.ranking.source_softmax import source_softmax


def test_the_softmax_is_that_of_the_head_standardised_or_not():
    for standardise in (False, True):
        torch.manual_seed(0)
        head = LinearHead(width=5, num_classes=3, init="random", standardise=standardise)
        features = torch.randn(20, 5) * 3 + 1
        head.set_scale(features)
        expected = head(features).softmax(dim=1).detach().numpy()
        found, reason = source_softmax(head.state_dict(), features.numpy(), multi_label=False)
        assert reason == ""
        assert np.allclose(found, expected, atol=1e-6)


def test_where_there_is_none_the_reason_is_said():
    features = np.zeros((4, 5), np.float32)
    linear = {"linear.weight": torch.zeros(3, 8), "linear.bias": torch.zeros(3)}
    for head, several, said in (
        ({}, False, "no head over classes"),
        (linear, True, "several labels"),
        (linear, False, "reads 8 features, and the last stage gives 5"),
        ({"layers.0.weight": torch.zeros(3, 5)}, False, "no linear layer"),
    ):
        found, reason = source_softmax(head, features, multi_label=several)
        assert found is None
        assert said in reason

"""Fixtures of the tests in this folder."""

import pytest
import torch

from headstart.adaptation.adaptation import Side
from loss_cases import C, D, S, T


@pytest.fixture
def clouds():
    drawn = torch.Generator().manual_seed(0)
    source, target = torch.randn(S, D, generator=drawn), torch.randn(T, D, generator=drawn) * 1.5 + 0.5
    return source, target


@pytest.fixture
def sides(clouds):
    drawn = torch.Generator().manual_seed(1)
    source, target = clouds
    label = torch.arange(S) % C
    return (
        Side(source.requires_grad_(), torch.randn(S, C, generator=drawn), label),
        Side(target.requires_grad_(), torch.randn(T, C, generator=drawn), None),
    )

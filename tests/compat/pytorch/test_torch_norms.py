"""What compat/pytorch/torch_norms.py relies on. Tried: torch 2.15.0."""

import pytest
import torch
from torch import nn

from headstart.compat.pytorch.torch_norms import BatchNorm, RunningNorm

BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@pytest.mark.parametrize("norm", BATCH)
def test_a_batch_norm_is_both_and_has_running_statistics(norm):
    layer = norm(3)
    assert isinstance(layer, BatchNorm)
    assert isinstance(layer, RunningNorm)
    assert torch.equal(layer.running_mean, torch.zeros(3))
    assert torch.equal(layer.running_var, torch.ones(3))


@pytest.mark.parametrize("norm", INSTANCE)
def test_an_instance_norm_is_a_running_norm_and_no_batch_norm(norm):
    assert isinstance(norm(3), RunningNorm)
    assert not isinstance(norm(3), BatchNorm)


@pytest.mark.parametrize("norm", [nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3)])
def test_norms_without_running_statistics_are_neither(norm):
    assert not isinstance(norm, RunningNorm)

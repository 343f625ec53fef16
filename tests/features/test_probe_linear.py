"""A head of the grid equals the head that would have been trained alone."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from headstart.data.loading.batch_order import EpochOrder
from headstart.features.probing.linear_probe import trained

SETTINGS = [(1e-3, 0.0), (1e-3, 0.5), (3e-2, 0.0), (3e-2, 2.0), (0.1, 0.1)]


def cloud():
    generator = torch.Generator().manual_seed(0)
    # no class has a quarter: its bias would have no slope at first but rounding, and Adam steps by its sign
    labels = torch.arange(4).repeat_interleave(torch.tensor([10, 13, 17, 20]))
    return torch.randn(4, 7, generator=generator)[labels] + torch.randn(60, 7, generator=generator), labels


def alone(features, labels, lr, weight_decay, *, epochs, batch_size, seed):
    """torch's own layer, optimizer and scheduler; the head after each epoch."""
    layer = nn.Linear(features.shape[1], 4)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    groups = [{"params": [layer.weight]}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)
    batches = -(-len(features) // batch_size)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * batches)
    order, heads = EpochOrder(length=len(features), seed=seed), []
    for epoch in range(epochs):
        order.set_epoch(epoch)
        for rows in torch.from_numpy(order.positions()).split(batch_size):
            optimizer.zero_grad()
            cross_entropy(layer(features[rows]), labels[rows]).backward()
            optimizer.step()
            scheduler.step()
        heads.append((layer.weight.detach().clone(), layer.bias.detach().clone()))
    return heads


@pytest.mark.parametrize("batch_size", [16, 60, 256])  # with a smaller last batch, one batch, fewer images than that
def test_each_head_of_the_grid_is_the_one_that_torch_trains_alone(batch_size):
    features, labels = cloud()
    found = trained(features, labels, 4, SETTINGS, epochs=6, batch_size=batch_size, seed=3)
    for number, (lr, decay) in enumerate(SETTINGS):
        weight, bias = alone(features, labels, lr, decay, epochs=6, batch_size=batch_size, seed=3)[-1]
        assert torch.allclose(found.heads.weight[number], weight, atol=1e-5)
        assert torch.allclose(found.heads.bias[number], bias, atol=1e-5)
    assert found.epoch.tolist() == [6] * len(SETTINGS)


def test_the_other_settings_of_a_grid_change_nothing():
    features, labels = cloud()
    together = trained(features, labels, 4, SETTINGS, epochs=4, batch_size=16, seed=0).heads
    for number, setting in enumerate(SETTINGS):
        single = trained(features, labels, 4, [setting], epochs=4, batch_size=16, seed=0).heads
        assert torch.allclose(together.weight[number], single.weight[0], atol=1e-6)


def test_with_a_score_each_head_is_of_its_first_best_epoch():
    features, labels = cloud()
    given = iter([[3, 1, 0, 0, 5], [4, 2, 0, 0, 5], [4, 5, 0, 1, 4], [1, 5, 0, 0, 6]])
    found = trained(
        features, labels, 4, SETTINGS, epochs=4, batch_size=16, seed=0, score=lambda _: torch.tensor(next(given))
    )
    assert found.epoch.tolist() == [2, 3, 1, 3, 4]
    for number, (lr, decay) in enumerate(SETTINGS):
        heads = alone(features, labels, lr, decay, epochs=4, batch_size=16, seed=0)
        weight, bias = heads[found.epoch[number] - 1]
        assert torch.allclose(found.heads.weight[number], weight, atol=1e-5)
        assert torch.allclose(found.heads.bias[number], bias, atol=1e-5)


def test_the_first_step_is_the_rate_in_the_direction_of_each_sign():
    # Adam's first step is lr * g / |g|: two images at +1 and -1 of classes 0 and 1 push W up and down by lr
    features, labels = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
    found = trained(features, labels, 2, [(0.5, 0.0)], epochs=1, batch_size=2, seed=0).heads
    assert torch.allclose(found.weight[0, :, 0], torch.tensor([0.5, -0.5]), atol=1e-6)
    assert torch.allclose(found.bias[0], torch.zeros(2), atol=1e-6)


def test_the_seed_alone_decides_the_numbers():
    features, labels = cloud()
    first, again, other = (
        trained(features, labels, 4, SETTINGS, epochs=2, batch_size=16, seed=seed).heads.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

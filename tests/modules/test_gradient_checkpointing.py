"""Stages that compute their activations again train as those that keep them, and keep less."""

import copy
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from composed import trained
from headstart.modules.gradient_checkpointing import checkpoint_in_place
from headstart.types import UserError

SHORT = ("unfreeze.every_epochs=1", "unfreeze.first_epoch=1", "trainer.max_epochs=3", "feature_cache=off")


def stage(channels, out):
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.GELU(),
    )  # fmt: skip


def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"stage1": stage(3, 8), "stage2": stage(8, 8), "stage3": stage(8, 8)})


@contextmanager
def saved_bytes():
    """Of what autograd keeps for the backward pass outside of checkpoints."""
    counts = {}

    def kept(tensor):
        counts[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
        yield counts


def step(stages, x):
    """The loss, the gradients, what is kept for them and the random number that comes next, of one step."""
    torch.manual_seed(5)
    with saved_bytes() as counts:
        for module in stages.values():
            x = module(x)
        loss = x.square().mean()
    loss.backward()
    gradients = {name: weight.grad for name, weight in stages.named_parameters()}
    return loss, gradients, sum(counts.values()), torch.rand(1)


@pytest.mark.parametrize("among", [True, ["stage2"]])
def test_loss_gradients_statistics_and_random_numbers_are_those_without_it_and_less_is_kept(among):
    plain = model()
    saving = copy.deepcopy(plain)
    checkpoint_in_place(saving, among=among)
    x = torch.randn(4, 3, 16, 16)
    loss, gradients, kept, following = step(plain, x)
    other_loss, other_gradients, less, other_following = step(saving, x)
    assert other_loss.item() == pytest.approx(loss.item(), abs=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(other_gradients[name], gradient, rtol=0, atol=1e-6)
    for (name, buffer), (_, other) in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        assert torch.equal(buffer, other), name  # num_batches_tracked is 1, not 2
    assert torch.equal(following, other_following)
    assert less < (0.2 if among is True else 0.75) * kept
    assert plain.state_dict().keys() == saving.state_dict().keys()


def test_a_frozen_stage_is_computed_once():
    stages = model()
    checkpoint_in_place(stages, among=True)
    passes = {name: [] for name in stages}
    for name, module in stages.items():
        module[0].register_forward_hook(lambda *_, name=name: passes[name].append(1))
    stages["stage1"].requires_grad_(False)
    step(stages, torch.randn(2, 3, 8, 8))
    assert {name: len(times) for name, times in passes.items()} == {"stage1": 1, "stage2": 2, "stage3": 2}
    with torch.no_grad():
        stages["stage3"](torch.randn(2, 8, 8, 8))
    assert len(passes["stage3"]) == 3


def test_a_copy_trains_its_own_weights():
    stages = model()
    checkpoint_in_place(stages, among=True)
    copied = copy.deepcopy(stages)
    step(copied, torch.randn(2, 3, 8, 8))
    assert all(weight.grad is None for weight in stages.parameters())
    assert all(weight.grad is not None for weight in copied.parameters())


def test_an_unknown_stage_is_named():
    with pytest.raises(UserError, match=r"a list of stages, of stage1, stage2, stage3, got stage9"):
        checkpoint_in_place(model(), among=["stage9"])


def test_a_run_has_the_figures_of_one_without_it(tmp_path):
    plain, saving = (
        trained("mode=gradual", *SHORT, f"gradient_checkpointing={value}", folder=tmp_path / value)
        for value in ("false", "true")
    )
    assert saving["metrics"] == pytest.approx(plain["metrics"], abs=1e-4)

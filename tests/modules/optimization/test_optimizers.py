"""Every optimizer of torch moves what is trainable, and nothing that is frozen."""

import functools
import inspect

import pytest
import torch
from torch import optim

from headstart.modules.optimization.optimizers import learning_rate, optimizer_of
from headstart.types import UserError
from sandwich_schedule import OPENED, SANDWICH, States
from three_parts import ThreeParts, fitted, part

REFUSED = (optim.LBFGS, optim.SparseAdam, optim.Muon) if hasattr(optim, "Muon") else (optim.LBFGS, optim.SparseAdam)
FOUND = [one for _, one in inspect.getmembers(optim, inspect.isclass) if issubclass(one, optim.Optimizer)]
FIT = [one for one in FOUND if one not in (*REFUSED, optim.Optimizer)]


def made(kind):
    """With all that would move a closed weight: weight decay, momentum."""
    known = inspect.signature(kind).parameters
    given = {key: value for key, value in {"weight_decay": 0.1, "momentum": 0.9}.items() if key in known}
    return functools.partial(kind, **given)


@pytest.mark.parametrize("kind", FIT, ids=lambda kind: kind.__name__)
def test_closed_parts_stay_equal_to_the_bit_and_every_open_weight_moves_also_with_accumulation_and_clipping(kind):
    def configure(groups, trainer):
        return optimizer_of(made(kind), groups)

    seen = States()
    module = ThreeParts(configure, rate=0.05)
    fitted(module, seen, epochs=4, schedule=SANDWICH, accumulate_grad_batches=2, gradient_clip_val=0.1)
    assert len(seen.states) == 5
    for before, after, opened in zip(seen.states[:-1], seen.states[1:], OPENED, strict=True):
        for name, tensor in before.items():
            if tensor.is_floating_point():  # the count of BatchNorm's batches is an integer
                assert torch.equal(tensor, after[name]) == (part(name) not in opened), name


def test_the_list_is_that_of_torch_but_for_the_base_class():
    assert set(FIT) | set(REFUSED) == set(FOUND) - {optim.Optimizer}
    assert optim.AdamW in FIT


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_takes_no_groups_no_vectors_or_no_dense_gradients_is_said_before_training(kind):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(shape))]} for shape in ((2, 2), (2,))]
    with pytest.raises(UserError, match=rf"optimizer must take .*{kind.__name__}.*try optimizer=adamw"):
        optimizer_of(kind, groups)


def test_the_rate_is_the_one_given_else_the_optimizers_own():
    assert learning_rate(functools.partial(optim.AdamW, lr=0.25)) == 0.25
    assert learning_rate(optim.AdamW) == 1e-3
    with pytest.raises(UserError, match=r"optimizer\.lr"):
        learning_rate(functools.partial(optim.AdamW, lr=None))


IN_ONE_PASS = (optim.Adam, optim.AdamW, optim.SGD, optim.Adagrad)


@pytest.mark.parametrize("kind", IN_ONE_PASS, ids=lambda kind: kind.__name__)
def test_on_the_cpu_an_optimizer_steps_in_one_pass_and_to_the_same_weights(kind):
    def learned(make):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 8, 3), torch.nn.Flatten(),
            torch.nn.Linear(8 * 16, 4),
        ).to(memory_format=torch.channels_last)  # fmt: skip
        image = torch.randn(16, 3, 8, 8).contiguous(memory_format=torch.channels_last)
        optimizer = make([{"params": [one], "lr": 0.01} for one in net.parameters()])
        for _ in range(5):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(image), torch.arange(16) % 4).backward()
            optimizer.step()
        return optimizer, net.state_dict()

    optimizer, ours = learned(lambda groups: optimizer_of(made(kind), groups))
    _, one_by_one = learned(lambda groups: made(kind)(groups, foreach=False))
    assert all(group["fused"] for group in optimizer.param_groups)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, one_by_one[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("said", [{"fused": False}, {"foreach": True}, {"foreach": False}, {"differentiable": True}])
def test_what_was_said_of_how_steps_are_computed_holds(said):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))]}]
    optimizer = optimizer_of(functools.partial(optim.AdamW, **said), groups)
    assert not optimizer.defaults["fused"]
    assert all(optimizer.defaults[name] == value for name, value in said.items())


def test_torch_chooses_for_parameters_that_are_not_on_the_cpu():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2, device="meta"))]}]
    assert optimizer_of(optim.AdamW, groups).defaults["fused"] is None

"""A compiled model, or one in half precision, trains exactly what is trainable."""

import pytest
import torch
import torch._dynamo
import torch._dynamo.testing
from torch._dynamo.exc import FailOnRecompileLimitHit

from headstart.callbacks.training.ema import EMA
from headstart.modules.compilation import compile_in_place
from headstart.unfreeze.schedules.explicit_phases import Explicit
from sandwich_schedule import OPENED, SANDWICH, States
from three_parts import ThreeParts, fitted, part


@pytest.fixture(autouse=True)
def afresh():
    """Without what other tests have compiled in this process, and with the settings as they were."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(
        recompile_limit=8, accumulated_recompile_limit=256, fail_on_recompile_limit_hit=False
    ):
        yield
    torch._dynamo.reset()


def model():
    return ThreeParts(lambda groups, _: torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01), rate=0.1)


def check(backend, *callbacks, **trainer):
    """Every open weight moves after each boundary, no closed one does, and the loss went the same way as uncompiled."""
    seen, module = States(), model()
    if backend:
        compile_in_place(module.stages, backend=backend)
    names = list(module.state_dict())
    fitted(module, seen, *callbacks, epochs=4, schedule=SANDWICH, **trainer)
    assert names == list(model().state_dict())
    for before, after, opened in zip(seen.states[:-1], seen.states[1:], OPENED, strict=True):
        for name, tensor in before.items():
            if tensor.is_floating_point():
                assert torch.equal(tensor, after[name]) == (part(name) not in opened), name
    return seen.states[-1]


@pytest.mark.parametrize(
    "backend", ["aot_eager", *(pytest.param(name, marks=pytest.mark.slow) for name in ("eager", "inductor"))]
)
def test_compiled_every_open_weight_moves_after_each_boundary_and_no_closed_one(backend):
    compiled = check(backend)
    for name, tensor in check(None).items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "backend", ["aot_eager", *(pytest.param(name, marks=pytest.mark.slow) for name in (None, "inductor"))]
)
def test_in_half_precision_too_with_an_average_accumulation_and_clipping(backend):
    last = check(backend, EMA(decay=0.9), precision="bf16-mixed", accumulate_grad_batches=2, gradient_clip_val=0.1)
    assert {tensor.dtype for tensor in last.values()} == {torch.float32, torch.int64}


def test_a_schedule_of_many_phases_does_not_compile_anew_for_each():
    """The same four states again and again: what was compiled serves."""
    counter = torch._dynamo.testing.CompileCounterWithBackend("eager")
    states = [["head"], ["second", "head"], ["first"], ["first", "second", "head"]]
    counts = []
    for rounds in (1, 5):
        torch._dynamo.reset()
        counter.clear()
        module = model()
        for stage in module.stages.values():
            stage.compile(backend=counter)
        phases = [{"trainable": names, "steps": 1} for _ in range(rounds) for names in states]
        fitted(module, epochs=6, schedule=Explicit(phases=[*phases, {"trainable": "all"}]))
        counts.append(counter.frame_count)
    assert counts[0] == counts[1] <= 20


def test_it_stops_rather_than_go_on_uncompiled_when_torch_has_compiled_too_often():
    module = model()
    compile_in_place(module.stages, backend="eager")
    torch._dynamo.config.recompile_limit = 2
    with pytest.raises(FailOnRecompileLimitHit):
        fitted(module, epochs=4, schedule=SANDWICH)

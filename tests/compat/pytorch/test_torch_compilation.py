"""What compat/pytorch/torch_compilation.py relies on. Tried: torch 2.15.0."""

import pytest
import torch._dynamo.config
from torch import nn

from headstart.compat.pytorch.torch_compilation import is_compiled, raise_recompile_limits

LIMITS = {"recompile_limit": 8, "accumulated_recompile_limit": 256, "fail_on_recompile_limit_hit": False}


@pytest.fixture(autouse=True)
def torch_limits():
    """Torch's own limits, whatever other tests have set in this process."""
    with torch._dynamo.config.patch(LIMITS):
        yield torch._dynamo.config


def test_limits_rise_to_what_is_asked_and_passing_them_is_an_error(torch_limits):
    raise_recompile_limits(64, modules=5)
    assert torch_limits.recompile_limit == 64
    assert torch_limits.accumulated_recompile_limit == 320
    assert torch_limits.fail_on_recompile_limit_hit


def test_limits_that_are_higher_stay(torch_limits):
    raise_recompile_limits(2, modules=1)
    assert torch_limits.recompile_limit == 8
    assert torch_limits.accumulated_recompile_limit == 256


def test_a_module_is_compiled_once_its_compile_was_called():
    module = nn.Linear(2, 2)
    assert not is_compiled(module)
    module.compile(backend="eager")
    assert is_compiled(module)

"""What compat/pytorch/torch_hooks.py relies on. Tried: torch 2.15.0."""

from torch import nn

from headstart.compat.pytorch.torch_hooks import has_forward_hooks


def test_hooks_before_and_after_a_call_are_seen_until_they_are_removed():
    layer = nn.Linear(2, 2)
    for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
        hook = register(lambda *_: None)
        assert has_forward_hooks(layer)
        hook.remove()
        assert not has_forward_hooks(layer)

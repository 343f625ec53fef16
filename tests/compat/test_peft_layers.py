"""What compat/peft_layers.py relies on. Tried: peft 0.21.2, torch 2.15.0."""

import copy
import pickle

import pytest
from torch import nn

from headstart.compat.peft_layers import describe, is_low_rank

peft = pytest.importorskip("peft")


@pytest.mark.slow
def test_a_layer_of_peft_is_recognised_and_shows_the_text_as_do_its_copies():
    net = nn.Sequential(nn.Linear(2, 2))
    peft.inject_adapter_in_model(peft.LoraConfig(r=1, target_modules="0"), net)
    assert is_low_rank(net[0])
    assert not is_low_rank(net[0].base_layer)
    assert "scaling=2" not in repr(net)
    describe(net[0], "scaling=2")
    assert "scaling=2" in repr(net)
    assert "scaling=2" in repr(copy.deepcopy(net))


def test_a_described_layer_can_be_pickled():
    layer = nn.Linear(2, 2)
    describe(layer, "scaling=2")
    assert "scaling=2" in repr(pickle.loads(pickle.dumps(layer)))

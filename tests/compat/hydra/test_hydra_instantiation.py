"""What compat/hydra/hydra_instantiation.py relies on. Tried: hydra-core 1.3.4 and 1.4.0rc3."""

import warnings
from typing import NamedTuple

import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from headstart.compat.hydra.hydra_instantiation import instantiate


class Size(NamedTuple):
    height: int
    width: int


class Box:
    def __init__(self, depth, size=None, inner=None):
        if depth < 0:
            raise ValueError("no depth")
        self.depth, self.size, self.inner = depth, size, inner


BOX = f"{__name__}.Box"


def node(**settings):
    return OmegaConf.create({"depth": 7, "box": {"_target_": BOX, "depth": "${depth}", **settings}}).box


def test_an_argument_goes_to_the_call_as_it_is_and_replaces_the_setting():
    size, inner = Size(2, 3), Box(1)
    box = instantiate(node(size=[1, 1], inner={"_target_": "not.there"}), size=size, inner=inner)
    assert (box.depth, box.size) == (7, size)
    assert type(box.size) is Size
    assert box.inner is inner


def test_the_node_stays_as_it_was():
    config = node(size=4)
    OmegaConf.set_readonly(config, True)
    assert instantiate(config, size=5).size == 5
    assert config.size == 4


def test_a_plain_mapping_is_a_node_too():
    assert instantiate({"_target_": BOX, "depth": 1, "size": 2}, size=3).size == 3


def test_nodes_within_a_node_are_made_and_a_partial_call_waits():
    assert instantiate(node(inner={"_target_": BOX, "depth": 2})).inner.depth == 2
    assert instantiate(node(), _partial_=True)(size=9).size == 9


def test_nothing_is_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        instantiate(node())


@pytest.mark.parametrize("arguments", [{}, {"size": 1}])
def test_what_a_target_raises_comes_out_as_it_is(arguments):
    with pytest.raises(ValueError, match="no depth") as caught:
        instantiate(OmegaConf.create({"box": {"_target_": BOX, "depth": -1}}).box, **arguments)
    assert str(caught.value) == "no depth"
    assert caught.value.__context__ is None  # whoever follows causes and contexts comes to an end


def test_the_key_of_the_call_is_a_note():
    with pytest.raises(ValueError, match="no depth") as caught:
        instantiate(OmegaConf.create({"box": {"_target_": BOX, "depth": -1}}).box)
    assert caught.value.__notes__ == ["full_key: box"]


def test_a_target_that_is_not_there_is_an_error():
    with pytest.raises((InstantiationException, ImportError), match="nowhere"):
        instantiate({"_target_": "nowhere.Box"})

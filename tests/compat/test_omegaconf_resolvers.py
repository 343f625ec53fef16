"""What compat/omegaconf_resolvers.py relies on. Tried: omegaconf 2.3.0, 2.3.1 and 2.4.1rc1."""

import warnings

from omegaconf import OmegaConf

from headstart.compat.omegaconf_resolvers import register_resolver


def test_a_resolver_answers_an_interpolation_and_a_later_one_takes_its_place():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_resolver("headstart_test", lambda number: number + 1)
        assert OmegaConf.create({"a": "${headstart_test:1}"}).a == 2
        register_resolver("headstart_test", lambda number: number + 2)
        assert OmegaConf.create({"a": "${headstart_test:1}"}).a == 3


def test_a_resolver_may_ask_for_the_root():
    def root_key(*, _root_):
        return _root_.key

    register_resolver("headstart_root", root_key)
    assert OmegaConf.create({"key": "x", "in": {"a": "${headstart_root:}"}})["in"].a == "x"

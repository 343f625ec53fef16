"""Defaults of schedules are the same in conf and in the signatures."""

import inspect
from importlib import import_module

import pytest
import yaml

from composed import CONF


@pytest.mark.parametrize("path", sorted((CONF / "unfreeze").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_default_in_conf_is_the_signatures_where_it_has_one(path):
    """Of `until`, which a schedule has no default for, the length and the return are each schedule's own."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert _departing(values) == set()
    if "until" in values:
        assert _departing(values["until"]) <= {"max_epochs", "return_to_best"}


def _departing(values):
    module, _, name = values["_target_"].rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    defaults = {key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
    return {key for key, default in defaults.items() if values.get(key, ...) != default}

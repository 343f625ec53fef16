"""Hydra's state of a process, left as it was."""

import logging

import pytest
from hydra.core.hydra_config import HydraConfig

from headstart.runs.folder.run_naming import register


@pytest.fixture
def hydra_as_before():
    """The resolvers of configs are registered; Hydra's config and the root logger's handlers are put back."""
    register()
    before, handlers = HydraConfig.instance().cfg, logging.getLogger().handlers[:]
    yield
    HydraConfig.instance().cfg = before
    logging.getLogger().handlers[:] = handlers  # a command's own write to what pytest has closed

"""Hydra's config loader, which says what it composed a config from.

Relies on: `hydra._internal` holds the loader and the function that makes a search path; the loader composes in
`_compose_config_from_defaults_list`, and answers `load_configuration` and `load_sweep_config`.
"""

from __future__ import annotations

import warnings

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from omegaconf import DictConfig


def set_version_base(base: str) -> None:
    """Let Hydra have the defaults of one of its versions; 1.4 still does so, and warns that 1.5 will not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version.setbase(base)


class DefaultsListLoader(ConfigLoaderImpl):
    """Hydra's loader, which also keeps the defaults list that it composed the last config from."""

    defaults: tuple[ResultDefault, ...] = ()

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self.defaults = tuple(defaults)
        return super()._compose_config_from_defaults_list(defaults, repo)


def config_search_path(folder: str) -> ConfigSearchPath:
    """The places where Hydra looks for configs: the folder, Hydra's own, and what plugins add."""
    return create_config_search_path(folder)

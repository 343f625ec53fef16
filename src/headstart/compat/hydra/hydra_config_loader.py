"""Hydra's config loader, which says what it composed a config from.

Relies on: `hydra._internal` holds the loader and the function that makes a search path; the loader composes in
`_compose_config_from_defaults_list`, answers `load_configuration` and `load_sweep_config`, and sets the values of
overrides by `_apply_overrides_to_config` when all options are composed; which override is one of a value,
`defaults_list.Overrides` says so. What `load_sweep_config` writes of a job's overrides into the hydra node: the list of
them, and `get_overrides_dirname`.
"""

from __future__ import annotations

import warnings
from copy import deepcopy

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf


def set_version_base(base: str) -> None:
    """Let Hydra have the defaults of one of its versions; 1.4 still does so, and warns that 1.5 will not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version.setbase(base)


class DefaultsListLoader(ConfigLoaderImpl):
    """Hydra's loader, which also keeps the defaults list that it composed the last config from."""

    defaults: tuple[ResultDefault, ...] = ()

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._options: dict[tuple[str, ...], DictConfig] = {}  # configs of a sweep's jobs, without their values

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config of a job, as Hydra has it; jobs that differ in values alone share the composing of their options.

        Args:
            master_config: Of the sweep.
            sweep_overrides: Of the job.

        Raises:
            Exception: What Hydra raises.
        """
        if master_config.hydra.searchpath:  # groups may be there that the repository does not know yet
            return super().load_sweep_config(master_config, sweep_overrides)
        parsed = OverridesParser.create().parse_overrides(overrides=sweep_overrides)
        self.validate_sweep_overrides_legal(overrides=parsed, run_mode=RunMode.RUN, from_shell=True)
        values = [override for override in parsed if self._is_value(override)]
        options = [override.input_line or "" for override in parsed if not self._is_value(override)]
        hydras = OmegaConf.to_container(master_config.hydra.overrides.hydra, resolve=False)
        key = (*map(str, hydras), "", *options)  # type: ignore[arg-type]
        if key not in self._options:
            self._options[key] = super().load_sweep_config(master_config, options)
        cfg = deepcopy(self._options[key])
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        own = [override for override in parsed if not override.is_hydra_override()]
        cfg.hydra.overrides.task = [override.input_line for override in own]
        says = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            overrides=own, kv_sep=says.kv_sep, item_sep=says.item_sep, exclude_keys=says.exclude_keys
        )
        OmegaConf.copy_cache(from_config=master_config, to_config=cfg)
        return cfg

    def _is_value(self, override: Override) -> bool:
        """Whether an override sets a value of headstart's config, and chooses no option."""
        if override.is_hydra_override() or override.package is not None:
            return False
        return isinstance(override.value(), dict) or not self.repository.group_exists(override.key_or_group)

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self.defaults = tuple(defaults)
        return super()._compose_config_from_defaults_list(defaults, repo)


def config_search_path(folder: str) -> ConfigSearchPath:
    """The places where Hydra looks for configs: the folder, Hydra's own, and what plugins add."""
    return create_config_search_path(folder)

"""Hydra's composing, of which equal choices of options are made once: thousands of command lines in minutes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.config_repository import ConfigRepository

from headstart.cli.checking import config_keys, override_errors
from headstart.compat.hydra.hydra_config_loader import DefaultsListLoader

CONF = str(Path(__file__).parents[2] / "conf")
_KNOWN: dict[Hashable, Any] = {}  # what was made, or the error that making it raised
INSTALLED = ("headstart.", "torch.", "pytorch_lightning.")  # whose source no test changes


@contextmanager
def cached_composing() -> Iterator[None]:
    """Read each file once, make each defaults list and its config once; Hydra sets the values, on a copy.

    The sources of targets must not change meanwhile. Nothing of Hydra's grammar or of setting values is passed over: a
    test compares configs with those that are composed anew.
    """
    with pytest.MonkeyPatch.context() as patch:
        compose_options_once(patch)
        for module in (config_keys, override_errors):
            patch.setattr(module, "signature", cache(module.signature))
        patch.setattr(config_keys, "missing_part", cache(config_keys.missing_part))  # type: ignore[attr-defined]
        yield


def compose_options_once(patch: pytest.MonkeyPatch) -> None:
    """The part of it that keeps what files of conf/ and the package's source say; what a test writes is read anew."""
    patch.setattr(ConfigRepository, "load_config", _file(ConfigRepository.load_config))
    patch.setattr(config_loader_impl, "create_defaults_list", _defaults(config_loader_impl.create_defaults_list))
    compose = DefaultsListLoader._compose_config_from_defaults_list
    patch.setattr(DefaultsListLoader, "_compose_config_from_defaults_list", _config(compose))
    for module in (config_keys, override_errors):
        patch.setattr(module, "signature", _of_installed("signature", module.signature))
    patch.setattr(config_keys, "missing_part", _of_installed("missing", config_keys.missing_part))  # type: ignore[attr-defined]


def _once(key: Hashable, make: Callable[[], Any]) -> Any:
    if key not in _KNOWN:
        try:
            _KNOWN[key] = make()
        except Exception as error:
            _KNOWN[key] = error
    outcome = _KNOWN[key]
    if isinstance(outcome, Exception):
        raise outcome.with_traceback(None)
    return outcome


def _of_installed(kind: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    def known(target: str) -> Any:
        return _once((kind, target), lambda: read(target)) if target.startswith(INSTALLED) else read(target)

    return known


def _copy_of(key: Hashable, make: Callable[[], Any]) -> Any:
    return pickle.loads(_once(key, lambda: pickle.dumps(make())))  # a sixth of the time of a deep copy


def _file(load: Callable[..., Any]) -> Callable[..., Any]:
    def known(self: ConfigRepository, config_path: str) -> Any:
        if not _is_constant(self):
            return load(self, config_path)
        return _copy_of(("file", _sources(self), config_path), lambda: load(self, config_path))

    return known


def _defaults(create: Callable[..., Any]) -> Callable[..., Any]:
    def known(*, repo: Any, config_name: str, overrides_list: list[Any], skip_missing: bool, **rest: Any) -> Any:
        if not _is_constant(repo):
            return create(
                repo=repo, config_name=config_name, overrides_list=overrides_list, skip_missing=skip_missing, **rest
            )
        choices = [
            override
            for override in overrides_list
            if repo.group_exists(override.key_or_group)
            and not override.is_sweep_override()
            and not isinstance(override.value(), dict)
        ]
        key = (
            "defaults",
            _sources(repo),
            config_name,
            skip_missing,
            tuple(override.input_line for override in choices),
        )
        defaults = _once(
            key,
            lambda: create(
                repo=repo, config_name=config_name, overrides_list=choices, skip_missing=skip_missing, **rest
            ),
        )
        values = [
            override for override in overrides_list if override not in choices and not override.is_sweep_override()
        ]
        return replace(defaults, config_overrides=values)

    return known


def _config(compose: Callable[..., Any]) -> Callable[..., Any]:
    def known(self: DefaultsListLoader, defaults: list[Any], repo: Any) -> Any:
        self.defaults = tuple(defaults)
        if not _is_constant(repo):
            return compose(self, defaults, repo)
        return _copy_of(("config", _sources(repo), repr(defaults)), lambda: compose(self, defaults, repo))

    return known


def _sources(repo: Any) -> tuple[str, ...]:
    return tuple(source.path for source in repo.get_sources())


def _is_constant(repo: Any) -> bool:
    """Whether all that it reads is the package's own, which no test writes."""
    return all(source.path == CONF or source.scheme() != "file" for source in repo.get_sources())

"""The config of a command line, composed as Hydra composes it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from headstart.cli.checking.value_types import UNKNOWN
from headstart.cli.job_folders import JobFolders, job_folder, keep_finished
from headstart.compat.hydra.hydra_config_loader import DefaultsListLoader, config_search_path, set_version_base
from headstart.runs.folder.run_naming import STUDY
from headstart.system.files.conf_folder import conf_dir
from headstart.types import UserError

VERSION_BASE = "1.3"
INTERPOLATION = re.compile(r"\$\{\.*([A-Za-z_]\w*)[^:{}]*\}")  # ${seed}, ${optimizer.lr}; a resolver has a colon


class CommandLoader(DefaultsListLoader):
    """The loader of a command, which composes no config twice.

    ready: a config of one job with the overrides that it was composed from: it is given once, not composed again.
    So are the configs of a sweep's jobs, which Hydra composes once to see that each of them can be, once to run it.
    """

    ready: tuple[list[str], DictConfig] | None = None

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self._swept: dict[tuple[str, ...], tuple[DictConfig, Path | None]] = {}  # and the job's folder
        self._folders: JobFolders | None = JobFolders()
        self._command: tuple[str, str] | None = None  # of a loader that was sent to another process: study, folder

    def __getstate__(self) -> dict[str, Any]:
        """For launchers that send it to other processes with each job: without the configs of all jobs.

        Nor with their folders, as a job's number in the sweep is not known there; the task looks itself. With the
        command's study and working folder: a process may be one that an earlier command has started.
        """
        command = self._command or (os.environ.get(STUDY, ""), str(Path.cwd()))
        return {**vars(self), "_options": {}, "_swept": {}, "_folders": None, "_command": command}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        key = tuple(sweep_overrides)
        if key in self._swept:  # it begins now
            composed, folder = self._swept.pop(key)
            keep_finished(composed, folder)
            return composed
        if self._folders is None:
            return self._elsewhere(master_config, sweep_overrides)
        composed = super().load_sweep_config(master_config, sweep_overrides)
        self._swept[key] = composed, self._folders.checked(composed)
        return composed

    def _elsewhere(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config of a job that begins now in another process, whose paths are as in the command."""
        assert self._command is not None
        study, folder = self._command
        os.environ[STUDY] = study
        if Path(folder).is_dir():
            os.chdir(folder)
        composed = super().load_sweep_config(master_config, sweep_overrides)
        keep_finished(composed, job_folder(composed))
        return composed

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        ready, self.ready = self.ready, None
        if ready is not None and run_mode == RunMode.RUN and overrides == ready[0]:
            return ready[1]
        return super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)


@dataclass(frozen=True)
class Composed:
    """A config with what its defaults list says about it."""

    cfg: DictConfig  # with the hydra node
    files: tuple[str, ...]  # of the options, relative to a folder of the search path, without .yaml
    mounts: frozenset[str]  # the top-level keys where groups lie

    @property
    def choices(self) -> dict[str, Any]:
        """The chosen option by group, `data@source` among them."""
        return dict(self.cfg.hydra.runtime.choices)


@dataclass(frozen=True)
class Plain:
    """A config as dicts and lists."""

    values: dict[str, Any]  # without the hydra node; UNKNOWN where only the run will know
    missing: tuple[str, ...]  # the paths of the values that are still ???
    referred: frozenset[str]  # the top-level keys that an interpolation names


class Composer:
    """Composes command lines over one search path, as Hydra will when it runs."""

    job_name = "headstart"

    def __init__(self, flags: dict[str, str]) -> None:
        set_version_base(VERSION_BASE)
        setup_globals()  # the resolvers ${hydra:} and ${now:}
        JobRuntime().set("name", self.job_name)  # what ${hydra:job.name} is, where a config does not say it
        HydraConfig.instance().cfg = None  # of an earlier command in this process: ${hydra:} would tell its folder
        search_path = config_search_path(flags.get("--config-path", str(conf_dir())))
        if "--config-dir" in flags:
            search_path.prepend("command-line", f"file://{flags['--config-dir']}", SearchPathQuery("schema"))
        self.own_folders = [Path(flags["--config-dir"])] if "--config-dir" in flags else []
        self.config_name = flags.get("--config-name", "config").removesuffix(".yaml")
        self.loader = CommandLoader(search_path)
        self.parser = OverridesParser.create(config_loader=self.loader)

    def composed(self, overrides: list[str]) -> Composed:
        """The config of one job. Raises what Hydra raises."""
        cfg = self.loader.load_configuration(
            self.config_name, overrides, run_mode=RunMode.RUN, validate_sweep_overrides=False
        )
        defaults = self.loader.defaults
        packages = {(default.package or "").partition(".")[0] for default in defaults}
        return Composed(
            cfg,
            tuple(default.config_path for default in defaults if default.config_path),
            frozenset(packages - {"", "_global_", "hydra"}),
        )

    def parsed(self, override: str) -> Override:
        """One override by Hydra's grammar. Raises what Hydra raises."""
        (override_parsed,) = self.parser.parse_overrides(
            [override]
        )  # the plural one knows the groups that glob() needs
        return override_parsed

    def groups(self) -> list[str]:
        """The names of the groups on the search path, Hydra's own left out."""
        return [group for group in self.loader.list_groups("") if group != "hydra"]

    def is_group(self, name: str) -> bool:
        """Whether a folder of options has this name."""
        return self.loader.repository.group_exists(name)

    def options(self, group: str) -> list[str]:
        """The options of a group, those in its subfolders included; `_settings` holds what the options share."""
        folders = self.loader.get_group_options(group, ObjectType.GROUP)
        below = [folder for folder in folders if not folder.startswith("_")]
        nested = [f"{folder}/{name}" for folder in below for name in self.options(f"{group}/{folder}")]
        return self.loader.get_group_options(group, ObjectType.CONFIG) + nested

    def comment(self, composed: Composed, key: str) -> str:
        """The comment beside `key: ???` in the YAML file that has it, "" where there is none."""
        line = re.compile(rf"^\s*{re.escape(key)}:\s*\?\?\?\s*#\s*(.+?)\s*$", re.MULTILINE)
        for source in self.loader.get_sources():
            for file in composed.files if source.scheme() == "file" else ():
                path = Path(source.path, f"{file}.yaml")
                match = line.search(path.read_text(encoding="utf-8")) if path.is_file() else None
                if match:
                    return match[1]
        return ""


def plain(composed: Composed) -> Plain:
    """The config with its interpolations resolved, as far as they can be before the run.

    Raises UserError where an interpolation names a key that is not there.
    """
    missing: list[str] = []
    referred: set[str] = set()

    def of(node: DictConfig | ListConfig, path: str) -> Any:
        if isinstance(node, ListConfig):
            return [item(node, index, f"{path}[{index}]") for index in range(len(node))]
        return {str(key): item(node, key, f"{path}.{key!s}") for key in node}

    def item(node: Any, key: Any, path: str) -> Any:
        if OmegaConf.is_missing(node, key):
            missing.append(path)
            return UNKNOWN
        if OmegaConf.is_interpolation(node, key):
            raw: Any = OmegaConf.to_container(node, resolve=False)
            referred.update(INTERPOLATION.findall(str(raw[key])))
        try:
            value = node[key]
        except InterpolationKeyError as error:
            raise UserError(f"{path} refers to a key that is not there: {str(error).splitlines()[0]}") from error
        except Exception:  # a resolver of the run, of an environment variable, of the user: the run will tell
            return UNKNOWN
        return of(value, path) if isinstance(value, DictConfig | ListConfig) else value

    values = {str(key): item(composed.cfg, key, str(key)) for key in composed.cfg if key != "hydra"}
    return Plain(values, tuple(missing), frozenset(referred))

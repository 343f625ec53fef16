"""A config as it lies in a run's folder, checked as that of another person unless this user has signed it."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from headstart.runs.saved.allowed_objects import is_allowed, sending_loggers, values_in
from headstart.runs.saved.config_signing import signed
from headstart.system.files.conf_folder import conf_dir
from headstart.system.files.file_identity import sha256
from headstart.system.old_names import renamed
from headstart.system.trust_flags import permits
from headstart.types import UserError

log = logging.getLogger(__name__)
# interpolations that read this config, or what every run knows of itself; no other resolver is run
KEY = r"\.*[A-Za-z_][\w.@\[\]-]*"
OF_A_RUN = (
    r"(?:run_dir|run_name|study_name):|hydra:(?:runtime\.(?:cwd|output_dir)|job\.(?:name|num)|mode)|now:[%\w :.-]*"
)
OWN_VARIABLE = r"oc\.env:HEADSTART_DATA(?:,[\w./-]*)?"  # a folder, which configs of ours name
# one of them in a text, and beside it nothing of which another could be made when it is resolved
BESIDE = r"[^${}\\]*"
INTERPOLATED = re.compile(rf"{BESIDE}\$\{{(?:{KEY}|{OF_A_RUN}|{OWN_VARIABLE})\}}{BESIDE}")
# https://, hf-hub:name, pipe:command; C:\ is a drive, and train[:10%] a slice
ADDRESS = re.compile(r"//|^\s*[A-Za-z][A-Za-z0-9+_-]+:\S")
# settings that say where something is written
PLACES = {"default_root_dir", "dirpath", "filename", "folder", "log_dir", "model_registry", "out", "out_dir"}
PLACES |= {"save_dir", "sub_dir"}
LOGGER = "pytorch_lightning.loggers."
NAMES_OF_LOGGERS = {"filename_suffix", "name", "prefix", "version"}  # become parts of paths
CALLING = {"_partial_": (bool,), "_recursive_": (bool,), "_convert_": (str,)}  # Hydra's own keys besides _target_
UNKNOWN = "is not signed as your own"
CHANGED = "is not as it was when it was signed as your own"
OWN_MODULE = "headstart.backbones.zoo.user_module.module"  # calls what its setting `target` names


def saved_config(file: Path, *, vouched: str | None = None, own: Iterable[Path] | None = None) -> dict[str, Any]:
    """The config in a file of a run's folder, as plain values with their interpolations.

    Every task that reads one reads it here. It is used as it is where this user's key has signed it, where the command
    has --trust, and where a process that has composed it vouches for it. Else it is another person's and may only name
    objects of allowed_targets.py, with arguments that fetch, run and write nothing outside of the run's folder.

    vouched: `digest_of` the file as the parent of a rank saw it. own: conf folders of the user; None: those of this
    command. Raises UserError where there is no config in it, or it is not allowed.
    """
    content = file.read_bytes()
    config = _plain(file, content)
    config.pop("hydra", None)  # Hydra's own settings have no place here
    if vouched == hashlib.sha256(content).hexdigest() or permits("--trust"):
        return config
    whose = signed(file, content)
    if whose == "changed":
        log.warning("%s %s; it is read as another person's", file, CHANGED)
    if whose != "own":
        _drop_sending_loggers(config, file)
        if "trial" in config:
            config["trial"] = None  # a run that goes on would write to its search's journal, wherever that lies
        _check(config, file, tuple(own_folders() if own is None else own), whose)
        if "run_dir" in config:
            config["run_dir"] = str(_run_folder(file).absolute())
    return config


def digest_of(file: Path) -> str | None:
    """What a parent says of a config that its ranks will read; None where it is not there."""
    return sha256(file) if file.is_file() else None


def own_folders() -> tuple[Path, ...]:
    """The folders of YAML files that this command was composed from, the user's --config-dir among them."""
    if not HydraConfig.initialized():
        return ()
    sources = HydraConfig.get().runtime.config_sources
    return tuple(Path(source.path) for source in sources if source.schema == "file" and Path(source.path).is_dir())


def is_plain(text: str) -> bool:
    """Whether an interpolation in a text, if there is one, reads nothing but the config and what every run knows."""
    return "${" not in text or INTERPOLATED.fullmatch(text) is not None


def _plain(file: Path, content: bytes) -> dict[str, Any]:
    try:
        content_read = OmegaConf.to_container(OmegaConf.load(io.StringIO(content.decode("utf-8"))), resolve=False)
    except (UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException, OSError) as error:
        raise UserError(f"{file} cannot be read as a config: {' '.join(str(error).split())}") from error
    if not isinstance(content_read, dict):
        raise UserError(f"{file} must hold a config, a mapping, got {type(content_read).__name__}")
    config = renamed({str(key): value for key, value in content_read.items()})
    assert isinstance(config, dict)
    return config


def _run_folder(file: Path) -> Path:
    return file.parent.parent if file.parent.name == ".hydra" else file.parent


def _check(config: dict[str, Any], file: Path, own: tuple[Path, ...], whose: str) -> None:
    """Raise UserError for the first thing in the config that another person's may not have."""
    offence = next(_offences(config, "", own), None) or next(_links(_run_folder(file)), None)
    if offence is None:
        return
    reason = CHANGED if whose == "changed" else UNKNOWN
    raise UserError(
        f"{file} {offence}, and it {reason}: another person's config may only name headstart's parts, and fetch, run "
        "and write nothing elsewhere. Where you trust whoever made it, add --trust; where your own conf folder names "
        f"that part, --config-dir <folder>; try: cat {shlex.quote(str(file))}"
    )


def _drop_sending_loggers(config: dict[str, Any], file: Path) -> None:
    """Leave out the loggers by which another person's run told an address of itself: they change no metric."""
    sending = {node["_target_"] for node in sending_loggers()}
    loggers = config.get("logger")
    if not isinstance(loggers, dict):
        return
    dropped = [key for key, node in loggers.items() if isinstance(node, dict) and str(node.get("_target_")) in sending]
    for key in dropped:
        del loggers[key]
    if dropped:
        log.info("%s: left out logger %s of another person's run", file, ", ".join(map(str, dropped)))


def _links(folder: Path) -> Iterator[str]:
    """Links out of a run's folder, through which a log or a result would be written elsewhere."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            yield f"lies beside {str(path.relative_to(folder))!r}, a link out of the run's folder"


def _offences(node: Any, path: str, own: tuple[Path, ...]) -> Iterator[str]:
    if isinstance(node, dict):
        yield from _of_call(node, path, own)
        for key, child in node.items():
            yield from _offences(child, f"{path}.{key}" if path else str(key), own)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _offences(child, f"{path}[{index}]", own)
    elif isinstance(node, str):
        if not is_plain(node):
            yield f"has {path}={node!r}, which asks this machine for something (an environment variable, or code)"
        if ADDRESS.search(node):
            yield f"has the address {path}={node!r}"


def _of_call(node: dict[Any, Any], path: str, own: tuple[Path, ...]) -> Iterator[str]:
    target = node.get("_target_")
    where = f"{path}." if path else ""
    if "_target_" in node and not (isinstance(target, str) and is_allowed(target, own)):
        yield f"names {target!r} as {where}_target_, which is none of headstart's parts"
    if target == OWN_MODULE and not is_allowed(str(node.get("target")), own):
        yield f"names {node.get('target')!r} as {where}target, which is none of headstart's parts"
    if "_args_" in node:
        yield f"has arguments without names, {where}_args_"
    for key, kinds in CALLING.items():
        if key in node and not isinstance(node[key], kinds):
            yield f"has {where}{key}={node[key]!r}"
    places = PLACES | (NAMES_OF_LOGGERS if isinstance(target, str) and target.startswith(LOGGER) else set())
    for key in places & node.keys():
        if isinstance(node[key], str) and not _is_inside(key, node[key], own):
            yield f"would write to {where}{key}={node[key]!r}"
    if node.get("download") and isinstance(node.get("root"), str) and not _is_shipped("root", node["root"], own):
        yield f"would download to {where}root={node['root']!r}"


def _is_inside(key: str, text: str, own: tuple[Path, ...]) -> bool:
    """Whether a place lies in the run's folder, or is one that headstart's own configs say."""
    if _is_shipped(key, text, own):
        return True
    first, *others = text.split("/")
    return first in ("${run_dir}", "${run_dir:}") and all(re.fullmatch(r"[\w-][\w.-]*", part) for part in others)


def _is_shipped(key: str, text: str, own: tuple[Path, ...]) -> bool:
    return text == "" or any((key, text) in values_in(folder) for folder in (conf_dir(), *own))

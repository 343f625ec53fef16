"""The config of a job that has its folder already."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.conf import ConfigSourceInfo, HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from headstart.runs.folder.run_naming import register
from headstart.runs.saved.allowed_objects import content
from headstart.runs.saved.saved_config import is_plain, own_folders, saved_config
from headstart.system.files.conf_folder import conf_dir
from headstart.system.old_names import override_now
from headstart.types import UserError

# of hydra.yaml; what Hydra would make objects of (logging, launcher, sweeper, callbacks) is left out
READ = ("job", "mode", "output_subdir", "overrides", "run", "runtime", "sweep", "verbose")
OVERRIDES = "overrides"  # texts that nothing resolves: see names.job_overrides
NAME = re.compile(r"[\w-][\w.-]*")


def saved_job(folder: Path, *, vouched: str | None = None, own: Iterable[Path] | None = None) -> DictConfig:
    """The config of <folder>/.hydra/config.yaml, its interpolations as they were in the job that wrote it.

    For that, Hydra's own config becomes that of the job, `${run_dir:}` this folder wherever it was moved to.
    `${study_name:}` is what the environment says, as in the job; `${now:...}` is now. Of hydra.yaml only texts and
    numbers are taken: how the job logs is said by headstart. vouched, own: as saved_config has them.
    Raises UserError where the folder has no such files, or the config is another person's and not allowed.
    """
    config_file, hydra_file = (folder / ".hydra" / name for name in ("config.yaml", "hydra.yaml"))
    if missing := [path for path in (config_file, hydra_file) if not path.is_file()]:
        raise UserError(
            f"expected the folder of a run, with .hydra/config.yaml and .hydra/hydra.yaml, got {folder} without "
            f"{missing[0].relative_to(folder)}; try: ls -a {folder}"
        )
    own = own_folders() if own is None else tuple(own)
    saved = saved_config(config_file, vouched=vouched, own=own)
    setup_globals()  # ${hydra:...}, ${now:...}
    register()
    schema = OmegaConf.structured(HydraConf)  # HydraConfig takes no plain hydra node
    OmegaConf.set_struct(schema, False)  # what newer versions of Hydra add
    try:
        config = OmegaConf.merge({"hydra": schema}, saved, {"hydra": _hydra(hydra_file)})
    except OmegaConfBaseException as error:
        raise UserError(f"{hydra_file} does not fit Hydra's settings ({' '.join(str(error).split())})") from error
    assert isinstance(config, DictConfig)
    config.hydra.runtime.output_dir = str(folder.absolute())
    sources = [ConfigSourceInfo(path=str(place), schema="file", provider="user") for place in own]
    config.hydra.runtime.config_sources = sources
    HydraConfig.instance().set_config(config)
    cfg = config.copy()
    with open_dict(cfg):
        del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)  # as Hydra gives it to a job: a name that is not there is an error
    return cfg


def check_working_folder(command: str) -> None:
    """Raise UserError where the saved job was started in another folder of this machine than the working folder.

    Its relative paths lead from there. To be called after `saved_job`.

    Args:
        command: What to give there.
    """
    started_in = Path(HydraConfig.get().runtime.cwd)
    if started_in.is_dir() and started_in.resolve() != Path.cwd().resolve():
        raise UserError(
            f"the run was started in {started_in}, and finds its data and source model from there; this is "
            f"{Path.cwd()}; try: cd {shlex.quote(str(started_in))}; {command}"
        )


def _hydra(file: Path) -> dict[str, Any]:
    """What a job's hydra.yaml says of it, and the way in which headstart logs."""
    read = content(file)
    hydra_node = read.get("hydra") if isinstance(read, dict) else None
    if not isinstance(hydra_node, dict) or not isinstance(hydra_node.get("job", {}), dict):
        raise UserError(f"{file} must hold the settings that Hydra wrote for the job, a mapping hydra; was it changed?")
    hydra_config = {
        key: _overrides(hydra_node[key]) if key == OVERRIDES else _texts(hydra_node[key])
        for key in READ
        if key in hydra_node
    }
    job = hydra_config.setdefault("job", {})
    if not NAME.fullmatch(str(job.get("name"))):  # of its log file
        job["name"] = "headstart"
    return hydra_config | {"job_logging": content(conf_dir() / "hydra" / "job_logging" / "headstart.yaml")}


def _overrides(node: Any) -> Any:
    """The lists of overrides that the job was given, by today's names."""
    if isinstance(node, dict):
        return {key: _overrides(child) for key, child in node.items()}
    if isinstance(node, list):
        return [override_now(text) if isinstance(text, str) else text for text in node]
    return node


def _texts(node: Any) -> Any:
    """The same without what names an object, and without texts that ask this machine for something."""
    if isinstance(node, dict):
        texts = {key: _texts(child) for key, child in node.items() if _is_kept(child)}
        return {key: child for key, child in texts.items() if key != "_target_"}
    if isinstance(node, list):
        return [_texts(child) for child in node if _is_kept(child)]
    return node


def _is_kept(node: Any) -> bool:
    return not (isinstance(node, dict) and "_target_" in node) and not (isinstance(node, str) and not is_plain(node))

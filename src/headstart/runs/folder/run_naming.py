"""Names of the folders of studies and runs, and the hash of what a run computes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from headstart.compat.omegaconf_resolvers import register_resolver
from headstart.runs.folder.changed_figures import changed_figures
from headstart.runs.folder.hash_exclusions import is_uncounted, without_uncounted
from headstart.runs.folder.hashed_weights import by_content, preprocessing_of_weights
from headstart.runs.folder.run_folder import CHECKPOINTS, RESULT
from headstart.runs.saved.settings_added_later import without_later
from headstart.system.credential_masking import without_credentials
from headstart.system.files.short_paths import short_override
from headstart.system.metric_direction import with_modes
from headstart.system.old_names import as_earlier, override_earlier

OUTPUTS = Path("outputs")
STUDY = "HEADSTART_STUDY"  # an environment variable, as launchers start jobs in other processes too
ODD = re.compile(r"[^A-Za-z0-9=,.+@_-]")
LONGEST = 120  # of a name without its hash; file systems take 255 bytes
OF_THE_RUN = re.compile(r"\$\{(?:(?:run_dir|run_name|study_name|now):|hydra[.:])[^{}]*\}")  # where or when, not what
RESOLVER = re.compile(r"\$\{[^{}]*:")  # what it says depends on more than the config
OF_THE_COMMAND = ("rerun", "resume", "extended_lr", "trial", "retry", "live_table", "slots")  # how a run is started
OF_THE_TRIALS = "tuned"  # what was tried and at what cost; the values that it led to count themselves
OF_THE_TESTS = "tests"  # what the finished model is tested on besides; nothing of its training depends on it
OF_THE_MACHINE = ("folder", "max_gib")  # of the feature cache: where and how much of it there may be
# how its report judges, what its sweeper is told; no figure of a run depends on it
OF_THE_STUDY = ("fixed_seeds", "objective", "study_name")
NO_NAME = ("study", "experiment", *OF_THE_COMMAND, *OF_THE_STUDY)  # the folder above says the first two
CONTROL = "control"
# later keys, and the values at which they do nothing
IDLE = {
    "skipped_steps": 0,
    "gradient_checkpointing": False,
    "halve_batch": False,
    "forgetting": False,
    "class_sets": "same",
}


def register() -> None:
    """Make ${study_name:}, ${run_name:} and ${run_dir:} known to OmegaConf."""
    for resolver in (study_name, run_name, run_dir):
        register_resolver(resolver.__name__, resolver)


def study_name(*, _root_: DictConfig) -> str:
    """The folder above the run's: what the command found out before Hydra ran, else by the choices alone."""
    hydra = _hydra_node(_root_)
    choices = {} if hydra is None else hydra.runtime.choices
    return os.environ.get(STUDY) or study_folder(choices, [], [], called=_root_.get("study_name"))


def study_folder(
    choices: Mapping[Any, Any], swept: Iterable[str], fixed: Iterable[str], *, called: str | None = None
) -> str:
    """What it is called by study_name, else the study's name, else the experiment's, else the sweep's, else `runs`.

    choices: the option of each group. swept: the keys that vary from job to job. fixed: the other overrides.
    Swept keys and fixed overrides tell one sweep from another; the swept values do not, so that seeds can be
    added to a sweep.
    """
    if called is not None:
        return _one_folder(str(called))
    # a control lies beside the run that it is compared with, also where it is made later
    varying = sorted(key for key in set(swept) if key != CONTROL or set(swept) == {CONTROL})
    for group in ("study", "experiment"):
        chosen = choices.get(group)
        if chosen and group not in varying:
            return _one_folder(chosen if isinstance(chosen, str) else ",".join(map(str, chosen)))
    if not varying:
        return "runs"
    named = [override for override in fixed if not _is_left_out(override) and _key(override) != CONTROL]
    counted = [override for override in named if not is_uncounted(_key(override))]
    # the names of earlier versions, which had some settings in them and other keys: a sweep that has one goes on there
    earlier = [_sweep_folder(varying, named)]
    earlier += [
        _sweep_folder(sorted(override_earlier(key) for key in varying), [override_earlier(text) for text in listed])
        for listed in (named, counted)
    ]
    return next((name for name in earlier if (OUTPUTS / name).is_dir()), _sweep_folder(varying, counted))


def _one_folder(text: str) -> str:
    name = safe(text)
    return name if name == text else f"{name}-{_hex(text)}"  # two names may differ in odd letters alone


def _sweep_folder(varying: list[str], overrides: list[str]) -> str:
    keys = ",".join(key.lstrip("+") for key in varying)
    listed = sorted(map(_without_machine, overrides))
    return f"sweep-{safe(keys)}-{_hex(json.dumps([varying, listed]))}"


def run_name(*, _root_: DictConfig) -> str:
    """`<overrides>-<hash>` of one job, `default-<hash>` where it has no override of its own; of a path its last part.

    Where the study's folder has a run of this hash under another name, that one: it is the same run.
    """
    hydra = _hydra_node(_root_)
    overrides = [] if hydra is None else own_overrides(_root_, _texts(hydra.overrides.task))
    # sorted: the order of overrides changes no config, and so should find the same folder again
    named = [override for override in overrides if not _is_left_out(override) and not is_uncounted(_key(override))]
    own = hashes(_root_)
    name = f"{safe(','.join(sorted(map(short_override, named))) or 'default')}-{own.now}"
    study = OUTPUTS / study_name(_root_=_root_)
    return name if (study / name).is_dir() else _otherwise_called(study, *own) or name


def _otherwise_called(study: Path, *digests: str) -> str | None:
    """The name of a folder in a study's that holds a run of one of these hashes."""
    for digest in dict.fromkeys(digests):
        for folder in sorted(study.glob(f"*-{digest}")):
            if (folder / RESULT).is_file() or (folder / CHECKPOINTS / "last.ckpt").is_file():
                return folder.name
    return None


def is_control(cfg: DictConfig) -> bool:
    """Whether a job is a control: random weights stand where its mode would take the source's (`control=true`).

    A mode that takes none is no control, whatever the key says. The config of an older run has no such key.
    """
    return bool(cfg.get(CONTROL) and cfg.get("reuse"))


def job_overrides() -> list[str]:
    """The overrides of this process's job, as they were written."""
    return _texts(HydraConfig.get().overrides.task)


def own_overrides(cfg: DictConfig, overrides: Iterable[str]) -> list[str]:
    """A job's overrides without `rerun` and `resume`, without `control` where it is no control, without credentials."""
    own = [without_credentials(override) for override in overrides if _key(override) not in OF_THE_COMMAND]
    control = ["control=true"] if is_control(cfg) else []  # however it is written
    return [text for override in own for text in (control if _key(override) == CONTROL else [override])]


def run_dir(*, _root_: DictConfig) -> str:
    """The folder of this run; before it is known, the one that it would have."""
    hydra = _hydra_node(_root_)
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        try:
            return str(hydra.runtime.output_dir)
        except OmegaConfBaseException:  # only shown, not run: --cfg job --resolve
            pass
    return "." if hydra is None else str(hydra.run.dir)


def config_hash(cfg: DictConfig) -> str:
    """8 hex digits of what a run computes: its config without its folder, `rerun`, `resume`, this machine's paths.

    Nor does the choice of loggers count, or another setting that cannot change a figure (folder/hash_exclusions.py).
    `control` counts where the run is one, and then of `weights` only which stages would have them.

    cfg: the job's, with or without the hydra node. The working folder counts as `.`, the home folder as `~`.
    """
    return _hash_of(without_uncounted(_counted(cfg)))


class Hashes(NamedTuple):
    """A run's hash by the rule of now and by the earlier one."""

    now: str
    earlier: str


def hashes(cfg: DictConfig) -> Hashes:
    """Its config_hash, and the hash that the run had when loggers, progress bar and profiler counted.

    Runs of then have the earlier one in their names. With the shipped values of these settings the two are equal.
    """
    earlier = _counted(cfg)
    now = without_uncounted(earlier)
    digest = _hash_of(now)
    return Hashes(digest, digest if now == earlier else _hash_of(earlier))


def _counted(cfg: DictConfig) -> dict[str, Any]:
    """The unresolved settings that counted by the earlier rule."""
    raw = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(raw, dict)  # a DictConfig gives a dict; mypy cannot know
    counted: dict[Any, Any] = {
        key: value
        for key, value in raw.items()
        if key not in ("hydra", OF_THE_TRIALS, OF_THE_TESTS, *OF_THE_COMMAND, *OF_THE_STUDY)
    }
    for key, idle in IDLE.items():  # what runs without these keys do
        if key in counted and counted[key] == idle:
            counted.pop(key)
    if "run_dir" in counted:
        counted["run_dir"] = "."
    if isinstance(cache := counted.get("feature_cache"), dict):
        counted["feature_cache"] = {key: value for key, value in cache.items() if key not in OF_THE_MACHINE}
    if is_control(cfg):
        counted["weights"] = {
            key: value for key, value in dict(counted.get("weights") or {}).items() if key == "reset_from"
        }
    else:
        counted.pop(CONTROL, None)  # runs have the hashes of before there was this key
    if isinstance(module := counted.get("module"), dict) and not cfg.get("reuse"):  # it is of the source's stages alone
        counted["module"] = {key: value for key, value in module.items() if key != "batch_norm"}
    if (decided := preprocessing_of_weights(cfg)) is not None:
        counted["backbone"] = {**counted["backbone"], "preprocessing": decided}
    if isinstance(counted.get("weights"), dict) and isinstance(counted["weights"].get("path"), str):
        counted["weights"] = by_content(counted["weights"])
    loggers = counted.get("logger")
    for logger in loggers.values() if isinstance(loggers, dict) else ():
        if isinstance(logger, dict):
            logger.pop("save_dir", None)
    return counted


def _hash_of(counted: dict[str, Any]) -> str:
    resolved = _resolved(_without_run(counted))
    monitor = (resolved.get("module") or {}).get("scheduler_monitor") or "val/loss"
    # null modes are those that earlier configs named
    named: dict[str, Any] = as_earlier(without_later(with_modes(resolved, str(monitor))))
    changed = changed_figures(resolved)
    named = {**named, "changed": changed} if changed else named
    return _hex(json.dumps(_canonical(named), sort_keys=True, default=str))


def _resolved(raw: dict[str, Any]) -> Any:
    text = json.dumps(raw, default=str)
    if RESOLVER.search(text) is None and json.loads(text) == raw:
        return json.loads(_resolved_text(text))
    return OmegaConf.to_container(OmegaConf.create(raw), resolve=True)


@lru_cache(maxsize=64)  # a job asks for its hash four times
def _resolved_text(text: str) -> str:
    return json.dumps(OmegaConf.to_container(OmegaConf.create(json.loads(text)), resolve=True))


def safe(text: str) -> str:
    """The text as the name of a folder: odd characters replaced, cut, no leading dot or dash."""
    name = ODD.sub("_", text)[:LONGEST]
    return "_" + name[1:] if name[:1] in (".", "-", "") else name  # a dot hides or climbs, a dash reads as a flag


def _texts(listed: Any) -> list[str]:
    """The texts of a list, unresolved: target.root=${oc.env:DATA} stays what it is."""
    plain: Any = OmegaConf.to_container(listed, resolve=False)
    return [str(value) for value in plain]


def _is_left_out(override: str) -> bool:
    key = _key(override)
    return key in NO_NAME or override == "task=fit" or key.startswith(("hydra.", "hydra/"))


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _hydra_node(root: DictConfig) -> Any:
    if "hydra" in root:
        return root.hydra
    return HydraConfig.get() if HydraConfig.initialized() else None


def _without_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_run(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_run(child) for child in value]
    return OF_THE_RUN.sub(".", value) if isinstance(value, str) else value


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _canonical(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_canonical(child) for child in value]
    return _without_machine(without_credentials(value)) if isinstance(value, str) else value


def _without_machine(text: str) -> str:
    for folder, sign in ((os.getcwd(), "."), (str(Path.home()), "~")):  # noqa: PTH109 - text is wanted
        if folder != "/":
            text = re.sub(rf"(?<![\w./-]){re.escape(folder)}(?![\w.-])", sign, text)
    return text


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]

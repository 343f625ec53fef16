"""Explanations of command lines that Hydra cannot compose."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf

from headstart.cli.checking.callable_parameters import signature
from headstart.cli.checking.closest_name import hint, listed
from headstart.cli.checking.config_keys import SETTINGS, names_of, unknown_key, unknown_top
from headstart.cli.checking.renamed_names import renamed_in_files
from headstart.cli.config_composing import Composed, Composer
from headstart.cli.error_messages import hydras_reason
from headstart.runs.top_level_settings import NEEDED
from headstart.system.files.conf_folder import conf_dir
from headstart.types import UserError

# launchers of Hydra's plugins, and the extra that has the plugin
PLUGINS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}


def explanation(composer: Composer, overrides: list[str], error: Exception) -> UserError:
    """The error of an override that names what is not there; what Hydra says where none does."""
    parsed = [composer.parsed(override) for override in overrides]
    hydras = [override.input_line or "" for override in parsed if override.is_hydra_override()]
    own = [override for override in parsed if not override.is_hydra_override()]
    if renaming := renamed_in_files(composer.own_folders):
        return UserError(renaming)
    if deletion := next(filter(None, map(_needed_deletion, own)), None):
        return UserError(deletion)
    try:
        bare = composer.composed(hydras)
    except Exception as cause:
        return UserError(f"{_culprit(composer, hydras)}{hydras_reason(cause)}{_missing_plugin(composer, hydras)}")
    groups = [override for override in own if _names_group(composer, override)]
    for override in groups:
        problem = _option_problem(composer, override, bare)
        if problem:
            return UserError(problem)
    try:
        chosen = composer.composed([*hydras, *(override.input_line or "" for override in groups)])
    except Exception as cause:
        bare = _without_additions(composer, hydras, groups) or bare  # task=evaluate brings a group of its own
        problems = [_mount_problem(composer, override, bare) for override in groups]
        tried = [*hydras, *(override.input_line or "" for override in groups)]
        reason = f"{_culprit(composer, tried)}{hydras_reason(cause)}"
        return UserError(next((problem for problem in problems if problem), reason))
    for override in own:
        problem = None if override in groups else _key_problem(composer, override, chosen)
        if problem:
            return UserError(problem)
    return UserError(f"{_culprit(composer, overrides)}{hydras_reason(error)}")


def _missing_plugin(composer: Composer, overrides: list[str]) -> str:
    """`; ... comes with ...` of a launcher whose plugin is not installed; empty where none such is asked for."""
    chosen = [value for key, _, value in (text.partition("=") for text in overrides) if key == "hydra/launcher"]
    if not chosen or chosen[-1] not in PLUGINS or chosen[-1] in composer.options("hydra/launcher"):
        return ""
    return f"; hydra/launcher={chosen[-1]} comes with: pip install 'headstart[{PLUGINS[chosen[-1]]}]'"


def _culprit(composer: Composer, overrides: list[str]) -> str:
    """`cannot take key=value: `: the override without which the others give a config, else one that fails alone."""
    without = [(override, [*overrides[:at], *overrides[at + 1 :]], True) for at, override in enumerate(overrides)]
    alone = [(override, [override], False) for override in overrides]
    for override, others, is_right in [*without, *alone]:
        try:
            composer.composed(others)
        except Exception:
            composes = False
        else:
            composes = True
        if composes == is_right:
            return f"cannot take {override}: "
    return ""


def _without_additions(composer: Composer, hydras: list[str], groups: list[Override]) -> Composed | None:
    try:
        return composer.composed(
            [*hydras, *(override.input_line or "" for override in groups if not override.is_add())]
        )
    except Exception:
        return None


def override_keys(composer: Composer, composed: Composed) -> list[str]:
    """The groups as a user overrides them: data@source, data@target, backbone, ..."""
    groups = composer.groups()
    return sorted(key for key in composed.choices if key.partition("@")[0] in groups)


def _names_group(composer: Composer, override: Override) -> bool:
    is_node = isinstance(override.value(), dict)
    return not is_node and (
        override.package is not None or "/" in override.key_or_group or composer.is_group(override.key_or_group)
    )


def _option_problem(composer: Composer, override: Override, bare: Composed) -> str | None:
    group, keys = override.key_or_group, override_keys(composer, bare)
    if not composer.is_group(group):
        key = override.get_key_element().lstrip("+~")
        mounted = f"@{override.package}" if override.package else ""
        near = hint(group, composer.groups(), "{}" + mounted) or hint(key, keys)
        return f"there is no group {group}: the groups are {listed(keys)}{near}"
    value = override.value()
    valid = composer.options(group)
    if value is None and not override.is_delete():
        key = override.get_key_element().lstrip("+")
        if key in NEEDED:
            return f"{key} takes {listed(valid)}, got null; every run has one"
        return f"{key} takes {listed(valid)}, got null; to leave the group out: ~{key}"
    for option in value if isinstance(value, list) else [value]:
        name = str(option)
        if option is not None and name.removesuffix(".yaml") not in valid:
            key = override.get_key_element().lstrip("+~")
            return f"{key} has no option {name}; it has {listed(valid)}{hint(name, valid, key + '={}')}"
    return None


def _mount_problem(composer: Composer, override: Override, bare: Composed) -> str | None:
    key, value = (
        override.get_key_element().lstrip("+~"),
        override.get_value_string() if "=" in (override.input_line or "") else "",
    )
    mounted = override_keys(composer, bare)
    if key in mounted:
        if override.is_add() or override.is_force_add():
            return f"{key} has an option already, got {override.input_line}; drop the +: {key}={value}"
        return None
    same = [name for name in mounted if name.partition("@")[0] == override.key_or_group]
    if override.is_add():
        return None
    if same:
        near = hint(key, same, "{}=" + value) or f"; try: {same[-1]}={value}"
        return f"the group {override.key_or_group} is used as {listed(same)}, got {key}{near}"
    if override.is_delete():
        near = hint(key, mounted, "~{}")
        return f"~{key} takes nothing away: the groups with an option are {listed(mounted)}{near}"
    places = places_of(composer, bare, override.key_or_group)
    if places and not override.package:
        return f"{_used(override.key_or_group, places)}, got {override.input_line}; try: {places[-1]}={value}"
    return f"{key} has no option that could be replaced; try: +{key}={value}"


def check_additions(composer: Composer, composed: Composed, parsed: list[Override]) -> None:
    """Raise UserError where +group=option puts a group of headstart's own where nothing reads it, as +tta=flip does."""
    for override in parsed:
        group = override.key_or_group
        if not (override.is_add() or override.is_force_add()) or override.package or not (conf_dir() / group).is_dir():
            continue
        if places := places_of(composer, composed, group):
            value = override.get_value_string()
            raise UserError(f"{_used(group, places)}, got {override.input_line}; try: {places[-1]}={value}")


def check_deletions(composed: Composed, parsed: list[Override]) -> None:
    """Raise UserError where ~key takes away what a run, or the class that has it, cannot be without."""
    for override in parsed:
        if not override.is_delete():
            continue
        key = override.get_key_element().lstrip("~")
        if deletion := _needed_deletion(override):
            raise UserError(deletion)
        where, _, name = override.key_or_group.rpartition(".")
        node = OmegaConf.select(composed.cfg, where) if where else None
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        known = signature(target) if isinstance(target, str) else None
        if where and (name == "_target_" or (target is not None and name == "_partial_")):
            raise UserError(
                f"{key} cannot be left out, as it says what {where} is, got {override.input_line}; to leave all of "
                f"it out: {where}=null"
            )
        if known is not None and name in known.parameters and known.parameters[name].required:
            raise UserError(f"{key} cannot be left out, as {target} has no value of its own, got {override.input_line}")


def _needed_deletion(override: Override) -> str | None:
    """What to do about ~key where every run needs the key; None for any other override."""
    key = override.get_key_element().lstrip("~")
    settings = signature(SETTINGS)
    is_needed = key in NEEDED or (settings is not None and key in settings.parameters)
    if not override.is_delete() or not is_needed:
        return None
    return f"{key} cannot be left out, as every run has one, got {override.input_line}; try: {key}=..."


def places_of(composer: Composer, composed: Composed, group: str) -> list[str]:
    """Where a group is used below the top, as a user overrides it: augment@target.augment; else where tasks use it.

    The last is what a hint names: of data sets the target, of tasks the first.
    """
    mounts = [key for key in override_keys(composer, composed) if key.startswith(f"{group}@")]
    if mounts or not composer.is_group("task"):
        return mounts
    mounts_by_task = []
    for task in composer.options("task"):
        try:
            keys = override_keys(composer, composer.composed([f"task={task}"]))
        except Exception:  # a task of the user's own that needs more
            continue
        mounts_by_task += [f"task={task} {key}" for key in keys if key.startswith(f"{group}@")]
    return mounts_by_task[::-1]


def _used(group: str, places: list[str]) -> str:
    return f"the group {group} is used as {listed(places)}"


def _key_problem(composer: Composer, override: Override, chosen: Composed) -> str | None:
    path = override.key_or_group.split(".")
    node: DictConfig | ListConfig = chosen.cfg
    for depth, key in enumerate(path):
        where = ".".join(path[:depth])
        if not _has(node, key):
            return _absent(composer, override, where, key, node, chosen)
        if depth < len(path) - 1:
            below = None if _is_leaf(node, key) else _child(node, key)
            if not isinstance(below, DictConfig | ListConfig):
                name = ".".join(path[: depth + 1])
                is_null = not _is_leaf(node, key) and below is None and not override.is_delete()
                way = f"+{override.input_line}" if is_null else f"{name}=..."
                return f"{name} is a value without keys of its own, got {override.input_line}; try: {way}"
            node = below
    if override.is_add() and not isinstance(override.value(), dict | list):
        line = override.input_line or ""
        return f"{override.key_or_group} is there already, got {line}; drop the +: {line[1:]}"
    return None


def _absent(composer: Composer, override: Override, where: str, key: str, node: Any, chosen: Composed) -> str | None:
    if override.is_add() or override.is_force_add():
        return None
    path = f"{where}.{key}" if where else key
    if not where:
        settings = signature(SETTINGS)
        names = [*chosen.mounts, *(settings.parameters if settings else {})]
        return unknown_top(key, names, override_keys(composer, chosen))
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    known = signature(target) if isinstance(target, str) else None
    is_whole = path == override.key_or_group
    if known is not None and is_whole and (key in known.parameters or known.takes_others) and not override.is_delete():
        return f"{path} is not set yet, and {target} takes it; add it with a +: +{override.input_line}"
    if isinstance(node, DictConfig) and known is None and is_whole and not override.is_delete():
        near = unknown_key(path, "", [str(name) for name in node])
        return f"{near}; a new key is added with a +: +{override.input_line}" if "did you mean" not in near else near
    content = {str(name): None for name in node} if isinstance(node, DictConfig) else {}
    return unknown_key(path, target if isinstance(target, str) else "", names_of(content, known))


def _has(node: Any, key: str) -> bool:
    if isinstance(node, ListConfig):
        return key.isdigit() and int(key) < len(node)
    return isinstance(node, DictConfig) and key in node.keys()  # noqa: SIM118 - `in node` is false where it is ???


def _child(node: DictConfig | ListConfig, key: str) -> Any:
    return node[int(key)] if isinstance(node, ListConfig) else node[key]


def _is_leaf(node: Any, key: str) -> bool:
    return isinstance(node, DictConfig) and (OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key))

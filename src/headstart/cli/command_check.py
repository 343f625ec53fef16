"""Check of a command line, key by key and value by value, before anything runs."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from headstart.cli.checking.closest_name import hint, listed
from headstart.cli.checking.config_keys import MisfitError, check_nodes
from headstart.cli.checking.named_test_keys import check_named_tests
from headstart.cli.checking.override_errors import check_additions, check_deletions, explanation, override_keys
from headstart.cli.checking.renamed_names import renamed_in_files
from headstart.cli.checking.value_types import fits
from headstart.cli.command_arguments import Arguments
from headstart.cli.config_composing import Composed, Composer, plain
from headstart.cli.error_messages import hydras_reason
from headstart.cli.path_overrides import shell_like
from headstart.cli.sweeps.sweep_axes import Axis, axis
from headstart.compat.hydra.hydra_launch import BASIC_SWEEPER
from headstart.runs.folder.run_naming import study_folder
from headstart.system.old_names import KEYS
from headstart.types import UserError


@dataclass(frozen=True)
class Checked:
    """A command line that is right."""

    overrides: list[str]  # as Hydra must get them
    multirun: bool
    study: str  # the name of the folder that its runs lie in
    cfg: DictConfig  # of the first job, with the hydra node
    composer: Composer  # that has composed it
    notes: tuple[str, ...] = ()  # what the user may not have meant, a line each


def checked(arguments: Arguments) -> Checked:
    """The command line, each key and value of its config compared with the signature that takes it.

    Of a sweep, the first value of every axis together, and then each further value alone. Raises UserError.
    """
    try:
        return _checked(arguments)
    except OmegaConfBaseException as error:  # what is read here of Hydra's own keys leads nowhere
        raise UserError(hydras_reason(error)) from error


def _checked(arguments: Arguments) -> Checked:
    _check_empty(arguments.overrides)
    composer = Composer(arguments.flags)
    multirun = "--multirun" in arguments.flags
    overrides = shell_like(_with_auto_batch(arguments.overrides), multirun)
    parsed = [_parsed(composer, override) for override in overrides]
    base = _composed(composer, _first_values(composer, parsed))
    if base.cfg.hydra.mode == RunMode.MULTIRUN and not multirun:  # a study says so itself
        multirun = True
        overrides = shell_like(_with_auto_batch(arguments.overrides), multirun)
        parsed = [_parsed(composer, override) for override in overrides]
    check_additions(composer, base, parsed)
    check_deletions(base, parsed)
    if not multirun:
        _check_single(parsed)
    axes = _axes(composer, base, parsed) if multirun else []
    if axes:
        _check_sweeper(base, axes)
    fixed = [
        override
        for override, override_parsed in zip(overrides, parsed, strict=True)
        if not override_parsed.is_sweep_override()
    ]
    if axes:
        base = _composed(composer, [*fixed, *(swept_axis.overrides[0] for swept_axis in axes)])
    _check_config(composer, base, fixed, arguments.runs)
    for swept_axis in axes:
        others = [other.overrides[0] for other in axes if other is not swept_axis]
        for override in swept_axis.overrides[1:]:
            _check_value(composer, base, swept_axis, override, [*fixed, *others], arguments.runs)
    swept = [swept_axis.key for swept_axis in axes]
    return Checked(overrides, multirun, _study_folder(base, swept, fixed), base.cfg, composer, _repeated(parsed))


def _with_auto_batch(overrides: list[str]) -> list[str]:
    """The overrides with target.batch_size=auto as what it means: the config's own batch, halved until it fits."""
    return ["halve_batch=true" if override == "target.batch_size=auto" else override for override in overrides]


def _study_folder(base: Composed, swept: list[str], fixed: list[str]) -> str:
    if any(key.lstrip("+") == "study_name" for key in swept):
        raise UserError(
            "study_name names the folder of all jobs of a sweep, so that it has one value; leave out the others"
        )
    called = base.cfg.get("study_name")
    if called is not None and not str(called).strip():
        raise UserError("study_name must be a name, got an empty text; study_name=null takes the sweep's own")
    return study_folder(base.choices, swept, fixed, called=called)


def _check_empty(overrides: list[str]) -> None:
    """Raise UserError where nothing stands behind a key: an empty path, say, would mean the working folder."""
    for override in overrides:
        key, equals, value = override.partition("=")
        if equals and not value.strip() and not key.startswith("~"):
            plain = key.lstrip("+")
            raise UserError(
                f"{key}= gives no value; is a shell variable not set? For none write {plain}=null, for an empty text "
                f"{plain}=\\'\\'"
            )


def check_started(cfg: DictConfig) -> None:
    """Raise MisfitError where a value that only a started job knows, such as ${run_dir}, does not fit."""
    config = plain(Composed(cfg, (), frozenset()))
    nodes = frozenset(key for key, value in config.values.items() if isinstance(value, dict) or value is None)
    try:
        check_nodes(config, nodes, [])
    except MisfitError:
        raise
    except UserError:  # a run of an earlier version, which has other keys, is resumed
        return


def _repeated(parsed: list[Override]) -> tuple[str, ...]:
    """A line for each key that has several values, of which Hydra takes the last: for scripts that add to a command."""
    lines_of_key: dict[str, list[str]] = {}
    for override in parsed:
        if not override.is_delete():
            lines_of_key.setdefault(override.get_key_element().lstrip("+"), []).append(override.input_line or "")
    return tuple(
        f"{key} is given {len(lines)} times ({', '.join(lines)}), and the last one counts; to run each: -m "
        f"{key}={','.join(line.partition('=')[2] for line in lines)}"
        for key, lines in lines_of_key.items()
        if len(set(lines)) > 1
    )


def _parsed(composer: Composer, override: str) -> Override:
    if not override:
        raise UserError("overrides are written key=value, got ''; is it a shell variable that is not set?")
    if "=" not in override and not override.startswith("~"):
        tasks = composer.options("task") if composer.is_group("task") else []
        if override in tasks:
            raise UserError(f"overrides are written key=value, got {override}; did you mean task={override}?")
        near = hint(override, tasks, "task={}") or "; try: headstart --help"
        raise UserError(f"overrides are written key=value, got {override}{near}")
    try:
        parsed = composer.parsed(override)
    except Exception as error:
        raise UserError(f"cannot read {override}: {hydras_reason(error)}; try: headstart --help") from error
    if not parsed.key_or_group:  # Hydra's grammar has keys of no length
        raise UserError(f"overrides are written key=value, got {override}, which has no key; try: headstart --help")
    return parsed


def _first_values(composer: Composer, parsed: list[Override]) -> list[str]:
    return [
        axis(composer, override).overrides[0] if override.is_sweep_override() else override.input_line or ""
        for override in parsed
    ]


def _check_single(parsed: list[Override]) -> None:
    for override in parsed:
        if override.is_sweep_override():
            raise UserError(
                f"{override.input_line} gives several values to one run; add -m to run each, "
                f"or write a list: {override.get_key_element()}=[...]"
            )


def _axes(composer: Composer, base: Composed, parsed: list[Override]) -> list[Axis]:
    """What varies: the study's own parameters, unless the command line sets them, and the command line's."""
    params = OmegaConf.select(base.cfg, "hydra.sweeper.params") or {}
    of_study = {str(key): f"{key}={value}" for key, value in params.items()}
    keys_given = {override.get_key_element() for override in parsed}
    studied = [_parsed(composer, override) for key, override in of_study.items() if key not in keys_given]
    axes = [axis(composer, override) for override in [*studied, *parsed] if override.is_sweep_override()]
    fixed = [
        Axis(override.get_key_element(), override.key_or_group, (override.get_value_string(),)) for override in studied
    ]
    return axes + [study_axis for study_axis in fixed if study_axis.key not in {other.key for other in axes}]


def _check_sweeper(base: Composed, axes: list[Axis]) -> None:
    """Raise UserError where an interval, of which no one has listed the values, is given to Hydra's basic sweeper."""
    interval = next((one for one in axes if one.is_interval), None)
    if interval is not None and OmegaConf.select(base.cfg, "hydra.sweeper._target_") == BASIC_SWEEPER:
        low, high = interval.values
        raise UserError(
            f"{interval.key} is an interval, from which a sweeper that searches chooses; try hydra/sweeper=optuna, or "
            f"list values: {interval.key}={low},{high}"
        )


def _composed(composer: Composer, overrides: list[str]) -> Composed:
    try:
        return composer.composed(overrides)
    except Exception as error:
        raise explanation(composer, overrides, error) from error


def _check_value(
    composer: Composer, base: Composed, swept_axis: Axis, override: str, others: list[str], runs: bool
) -> None:
    if composer.is_group(swept_axis.group_or_key) or "@" in swept_axis.key or swept_axis.key.startswith("~"):
        _check_config(composer, _composed(composer, [*others, override]), others, runs)
        return
    value = composer.parsed(override).value()  # a key's value changes nothing else: no need to compose again
    cfg = deepcopy(base.cfg)
    OmegaConf.update(cfg, swept_axis.group_or_key, value, force_add=True)
    _check_config(composer, Composed(cfg, base.files, base.mounts), others, runs)


def _check_config(composer: Composer, composed: Composed, fixed: list[str], runs: bool) -> None:
    config = plain(composed)
    if not KEYS.keys().isdisjoint(config.values) and (renaming := renamed_in_files(composer.own_folders)):
        raise UserError(renaming)
    try:
        check_nodes(config, composed.mounts, override_keys(composer, composed))
        check_named_tests(config.values)
    except MisfitError as misfit:
        raise UserError(f"{misfit}{_default(composer, misfit, fixed)}") from misfit
    if runs and config.missing:
        raise UserError(_needed(composer, composed, config.missing))


def _default(composer: Composer, misfit: MisfitError, fixed: list[str]) -> str:
    """`; the default is ...`, where the options chosen have one for the value that did not fit."""
    groups = [text for text in fixed if composer.is_group(composer.parsed(text).key_or_group)]
    try:
        value = OmegaConf.select(composer.composed(groups).cfg, misfit.path)
    except Exception:  # the command line has a second mistake; one at a time
        return ""
    usual = isinstance(value, str | int | float) and fits(value, misfit.kind) and "did you mean" not in str(misfit)
    shown = str(value).lower() if isinstance(value, bool) else value
    return f"; the default is {misfit.path}={shown}" if usual else ""


def _needed(composer: Composer, composed: Composed, missing: tuple[str, ...]) -> str:
    path = missing[0]
    comment = composer.comment(composed, path.rpartition(".")[2])
    meaning = f" is needed: {comment}" if comment else " is needed"
    task = composed.cfg.get("task")
    command = "headstart" if task in (None, "fit") else f"headstart task={task}"
    rest = f"; also needed: {listed(missing[1:])}" if missing[1:] else ""
    return f"{path}{meaning}; try: {command} {path}=...{rest}"

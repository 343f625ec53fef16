"""The task `fit`: one run in its own folder, unless it is finished there."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.callbacks.training.divergence import divergence_message
from headstart.distributed.rank_agreement import agree, of_first, wait_for_all
from headstart.distributed.rank_launcher import run_apart, run_ranks
from headstart.recipes.recipe_values import with_recipes, write_run_config
from headstart.report.stored_runs.study_runs import config_in
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import check_folder, finished_run, known_hashes, run_hash
from headstart.runs.folder.hash_exclusions import uncounted_differences
from headstart.runs.folder.run_folder import finished, is_pruned, result_damage
from headstart.runs.folder.run_naming import CONTROL, Hashes, hashes, job_overrides, own_overrides
from headstart.runs.folder.training_lock import LOCK, held_alone
from headstart.runs.model_parts.assembly import check_adaptation, check_adapters
from headstart.runs.outcome.sweep_objective import monitored_metric_of, value_of
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.changed_data import data_changes
from headstart.runs.saved.config_writing import unwritten
from headstart.runs.test_sets.run_test_sets import TESTS, differing_tests
from headstart.runs.training.checkpoint_selection import check_selection
from headstart.runs.training.early_checks import check_first
from headstart.runs.training.fitting_batch import HALVE, where_it_fits
from headstart.runs.training.missing_validation import check_without_validation
from headstart.runs.training.run_trainer import needed_processes
from headstart.runs.training.source_forgetting import measures_forgetting
from headstart.runs.training.train_run import train
from headstart.runs.weights.control_weights import check_control
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.system import rank_environment
from headstart.system.files.atomic_write import write_whole
from headstart.system.result_format import pruned_text
from headstart.types import DivergedError, PrunedError, UserError

log = logging.getLogger(__name__)


def fit(*, cfg: DictConfig) -> float:
    """Train one model in the run's folder, unless a finished run of the same hash is there -> its val metric.

    On several devices by as many processes (distributed/rank_launcher.py), unless torchrun or SLURM has started them:
    then
    this is one of them. The value is what an adaptive sweeper maximises: of the curve of val accuracy, of several
    labels of mean average precision, with a selection of its metric (negative where less is better), what
    cfg.objective says: `best_trained`, the best after the first step, `last`, the one at the end, `best`, that of the
    best checkpoint, which may be step 0. Where the newest checkpoint counts it is the last. Never a test metric; all
    ranks give the same. A run without validation images has no such metric and gives nan. Raises DivergedError of a
    run that diverged, also of one that is there already.
    """
    quieten()
    folder = Path(cfg.run_dir)
    is_idle = bool(cfg.get(CONTROL)) and not cfg.reuse
    if is_idle:
        log.info("mode=%s takes no weights of a source: with control=true it is the same run as without", cfg.mode)
        # whoever adds controls to a study means to run those again, not what they are compared with
        cfg = _with(cfg, {CONTROL: False, "rerun": False})
    config_hashes = hashes(cfg)
    if (
        rank_environment.rank() > 0 or rank_environment.launcher() == "headstart"
    ):  # who has started this rank holds the folder's lock
        return _fitted(cfg, folder, config_hashes)
    return _alone(cfg, folder, config_hashes, is_idle=is_idle)


def _alone(cfg: DictConfig, folder: Path, config_hashes: Hashes, *, is_idle: bool) -> float:
    """The val metric of the run in the folder, which no other command trains in meanwhile.

    Another command that asks for the same run waits and takes its result: a launcher may start two jobs of a sweep at
    once that are one run, with and without control=true.
    """
    check_folder(cfg, folder, config_hashes)
    folder.mkdir(parents=True, exist_ok=True)
    # torchrun and SLURM have started other ranks, which would lose patience
    waits = rank_environment.launcher() is None
    with held_alone(folder / LOCK, what=f"the run {folder.name}", folder=folder, waits=waits):
        check_folder(cfg, folder, config_hashes, holds_lock=True)
        if is_idle and finished(folder) is None:
            _write_as_without(cfg, folder)
        return _fitted(cfg, folder, config_hashes)


def _fitted(cfg: DictConfig, folder: Path, config_hashes: Hashes) -> float:
    """The val metric of the run in the folder, trained now unless it is finished."""
    processes = needed_processes(cfg.trainer)
    starts_ranks = processes > 1 and rank_environment.launcher() is None
    if processes > 1 and not starts_ranks:
        agree(cfg)
    result = of_first(finished_run(cfg, folder, config_hashes) if rank_environment.rank() == 0 else None)
    if result is not None:
        _tell_finished(cfg, folder, result)
        return _outcome(cfg, folder, result)
    trains = rank_environment.launcher() != "headstart" and rank_environment.rank() == 0
    if trains and (damage := result_damage(folder)):
        log.warning("%s has a damaged result.json (%s), so it counts as not finished", folder.name, damage)
    earlier_hashes = of_first(known_hashes(folder) if rank_environment.rank() == 0 else None)
    requested, digest = config_hashes.now, run_hash(config_hashes, earlier_hashes)
    if trains:
        write_mark(folder, digest, asked=requested)
    check_without_validation(cfg)
    check_first(cfg, processes=processes)
    if (plain := with_recipes(with_weights_preprocessing(cfg), processes=processes)) is not cfg:
        cfg, digest = plain, run_hash(hashes(plain), earlier_hashes)
        write_run_config(cfg, folder)
        if trains:
            write_mark(folder, digest, asked=requested)
    check_adapters(cfg)
    check_selection(cfg)
    check_adaptation(cfg)
    check_control(cfg)
    measures_forgetting(cfg)
    if processes > 1 and rank_environment.launcher() != "headstart":
        _prepare_source(cfg, folder)
    if starts_ranks:
        where_it_fits(cfg, folder, lambda: run_ranks(folder, processes, changes=unwritten(cfg)))
        result = finished(folder)
        if result is None:
            raise UserError(f"all ranks ended well, but there is no result in {folder}; is the folder on this machine?")
        return _outcome(cfg, folder, result)
    about = {
        "study": folder.parent.name,
        "name": folder.name,
        "hash": digest,
        "overrides": own_overrides(cfg, job_overrides()),
    }
    # ranks that others have started cannot begin again together: their parent, or nobody, halves the batch
    halves = processes == 1 and rank_environment.launcher() is None
    result = where_it_fits(
        cfg if halves else _with(cfg, {HALVE: False}), folder, lambda: train(cfg, folder, about=about)
    )
    if rank_environment.launcher() == "headstart":  # the process that has started this one reads the result
        return math.nan
    return _outcome(cfg, folder, of_first(result))


def _outcome(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> float:
    """The metric of a run that has its result.

    Raises:
        DivergedError: Training has diverged.
        PrunedError: A search has stopped it.
    """
    if result.get("state") == "diverged":
        first = result.get("divergence") or {}  # an older result does not say more
        raise DivergedError(f"{folder.name}: {divergence_message(first, 'optimizer.lr')}; rerun=true runs it again")
    if is_pruned(result):
        raise PrunedError(
            f"{folder.name}: {pruned_text(result)}; to train it anew, to its end: headstart resume={folder}"
        )
    # of rank 0, which alone is sure to have the file of the curve on its disk
    return float(
        of_first(value_of(result, folder, cfg.get("objective", "best")) if rank_environment.rank() == 0 else math.nan)
    )


def _other_files(cfg: DictConfig, folder: Path) -> str:
    """In which loggers and the like the finished run in the folder differs from what is asked for now."""
    ran, requested = config_in(folder), OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(requested, dict)  # a DictConfig gives a dict; mypy cannot know
    return "; ".join(uncounted_differences({str(key): node for key, node in requested.items()}, ran)) if ran else ""


def _tell_finished(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> None:
    """Log that a run is finished, and what it has not that is asked for now."""
    if result.get("state") != "diverged" and not is_pruned(result):
        log.info("%s is finished%s (rerun=true runs it again)", folder.name, _shown(result))
    if rank_environment.rank() == 0 and (changed := data_changes(cfg, config_in(folder), result)):
        log.warning(
            "%s has learned from other images than there are now: %s (rerun=true runs it again)", folder.name, changed
        )
    if other := _other_files(cfg, folder):
        log.info("%s ran with %s, which does not change results (rerun=true for their files)", folder.name, other)
    if untested := differing_tests(cfg.get(TESTS), result):
        log.info("%s was not tested on %s; %s", folder.name, ", ".join(untested), _how_to_test(folder, untested))


def _how_to_test(folder: Path, names: Sequence[str]) -> str:
    """The command that tests a finished run on test sets, with their settings as they were given."""
    overrides = [text.lstrip("+") for text in job_overrides()] if HydraConfig.initialized() else []
    prefixes = tuple(f"{prefix}{name}{end}" for prefix in ("tests.", "data@tests.") for name in names for end in ".=")
    settings = [text for text in overrides if text.startswith((*prefixes, "tests="))] or [
        f"tests.{name}..." for name in names
    ]
    return f"that needs no training: headstart task=evaluate evaluate.run_dir={folder} {' '.join(settings)}"


def _with(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.update(values)
    return plain


def _write_as_without(cfg: DictConfig, folder: Path) -> None:
    """Let the folder's files say the config and overrides of the run without `control`, as its name does."""
    if (folder / ".hydra").is_dir():
        write_run_config(cfg, folder)
        overrides = own_overrides(cfg, job_overrides())
        write_whole(folder / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))


def _prepare_source(cfg: DictConfig, folder: Path) -> None:
    """See to it that the source model is there: in a process of its own, so that what it leaves in memory ends with it.

    Its metrics would otherwise wait for the other ranks, and a GPU stay taken.
    """
    waits = of_first(waits_for_source(cfg))
    if waits and rank_environment.rank() == 0:
        run_apart(folder, "source", changes=unwritten(cfg))
    if waits:
        wait_for_all(long=True)


def _shown(result: dict[str, Any]) -> str:
    value = result["metrics"].get(monitored_metric_of(result))
    if not result.get("evaluations", True):
        return ", without validation"
    return f", {monitored_metric_of(result)} {math.nan if value is None else value:.3f}"

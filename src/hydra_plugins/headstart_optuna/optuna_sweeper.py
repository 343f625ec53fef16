"""A sweeper of Hydra by which Optuna chooses the values of each job from the results of those before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from headstart.search.samplers import pruner_of
from headstart.search.search_record import table, write_search
from headstart.search.search_settings import SearchSettings, check_settings
from headstart.search.search_study import PRUNER, SearchStudy
from headstart.search.trial_outcomes import EndedJob, records, tell
from headstart.search.trial_queue import ChosenTrial, check_space, count_trials, enqueue_failed, next_trials
from headstart.search.trial_storage import JOURNAL, mend_journal, opened_storage, optuna
from headstart.system import rank_environment
from headstart.types import UserError
from hydra_plugins.headstart_optuna.override_distributions import SearchSpace, override_of, search_space

LOCK = ".search.lock"
NOT_FAILED = ("COMPLETE", "PRUNED")


class OptunaSweeper(Sweeper):
    """Runs trials until there are so many; a search that was stopped has the trials that it would have had.

    Args:
        n_trials: How many trials the search has in all, those of earlier commands included; failed ones do not count.
        n_jobs: Trials that the launcher gets at once.
        sampler: tpe, cmaes, random or qmc.
        sampler_options: More arguments of Optuna's sampler.
        pruner: None, median, halving or hyperband: which runs are stopped by their val metric.
        pruner_options: More arguments of Optuna's pruner.
        seed: Of the sampler.
        objectives: `value`, what a task gives a sweeper, or entries of result.json; a leading - where less is better.
        storage: None for a journal in the sweep's folder, a path for one elsewhere, or the URL of a database.
        params: Overrides of each job by key, as on the command line.
    """

    def __init__(
        self,
        *,
        n_trials: int,
        n_jobs: int,
        sampler: str,
        sampler_options: DictConfig | None,
        pruner: str | None,
        pruner_options: DictConfig | None,
        seed: int,
        objectives: Sequence[str],
        storage: str | None,
        params: Mapping[str, str] | None,
    ) -> None:
        self.settings = SearchSettings(
            n_trials, n_jobs, sampler, _plain(sampler_options), pruner, _plain(pruner_options), seed,
            tuple(map(str, objectives)), storage,
        )  # fmt: skip
        self.params = dict(params or {})
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self._jobs = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run the search -> what its jobs returned.

        Args:
            arguments: The overrides of the command line.

        Raises:
            UserError: A setting or an override does not fit.
            Exception: What the first job that failed has raised, after all others are done.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        rank_environment.check_is_no_rank("hydra/sweeper=optuna")
        check_settings(self.settings)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = [f"{key}={value}" for key, value in self.params.items()]
        space = search_space(parser.parse_overrides([*given, *arguments]))
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        try:
            with FileLock(folder / LOCK, timeout=0):
                return self._searched(space, folder)
        except Timeout as error:
            raise UserError(
                f"another process searches in {folder}; wait for its end, or give this search another study_name"
            ) from error

    def _searched(self, space: SearchSpace, folder: Path) -> list[Sequence[JobReturn]]:
        search = _study(self.settings, folder)
        study = search.study
        check_space(study, space.distributions, folder)
        enqueue_failed(study)
        returned: list[Sequence[JobReturn]] = []
        failed_before = count_trials(study, "FAIL")
        while True:
            done = count_trials(study, *NOT_FAILED) + count_trials(study, "FAIL") - failed_before
            trials = next_trials(study, space.distributions, self.settings, done)
            if not trials:
                break
            returned += self._run(trials, space, search)
            self._write(study, folder)
        self._write(study, folder)
        trials, best = records(study)
        print(f"\n{table(trials, best, self.settings.objectives)}")
        for job in (job for batch in returned for job in batch):
            _ = job.return_value  # raises what the job has raised
        return returned

    def _run(self, trials: list[ChosenTrial], space: SearchSpace, search: SearchStudy) -> list[Sequence[JobReturn]]:
        """Run the jobs of some trials, one replicate of all of them at a time, and tell the study what came of each."""
        assert self.launcher is not None
        combinations = list(product(*([f"{key}={one}" for one in values] for key, values in space.replicates.items())))
        jobs: dict[int, list[EndedJob]] = {trial.number: [] for trial in trials}
        returned = []
        for round_, replicate in enumerate(combinations):
            going = [trial for trial in trials if not any(job.was_pruned for job in jobs[trial.number])]
            if not going:
                break
            batch = [
                [*space.fixed, *(override_of(*chosen) for chosen in trial.params.items()), *replicate]
                # the first replicate tells whether a trial is hopeless
                + ([_reference(trial, search)] if self.settings.pruner and round_ == 0 else [])
                for trial in going
            ]
            self.validate_batch_is_legal(batch)
            done = self.launcher.launch(batch, initial_job_idx=self._jobs)
            self._jobs += len(batch)
            returned.append(done)
            for trial, job in zip(going, done, strict=True):
                jobs[trial.number].append(_ended(job))
        for trial in trials:
            tell(search, trial.number, jobs[trial.number], self.settings.objectives)
        return returned

    def _write(self, study: Any, folder: Path) -> None:
        trials, best = records(study)
        about = {
            "sampler": self.settings.sampler,
            "pruner": self.settings.pruner,
            "seed": self.settings.seed,
            "objectives": list(self.settings.objectives),
        }
        write_search(folder, trials, best, about)


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _study(settings: SearchSettings, folder: Path) -> SearchStudy:
    """The search's study in its storage, made where it is not there."""
    address = str(folder / JOURNAL) if settings.storage is None else settings.storage
    if "://" not in address:
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        mend_journal(Path(address))
    directions = ["minimize" if name.startswith("-") else "maximize" for name in settings.objectives]
    storage = opened_storage(address)
    study = optuna().create_study(
        study_name=folder.as_posix(), storage=storage, directions=directions, load_if_exists=True,
        pruner=pruner_of(settings.pruner, settings.pruner_options),
    )  # fmt: skip
    known = study.user_attrs.get("objectives", list(settings.objectives))
    if known != list(settings.objectives):
        raise UserError(
            f"the search in {folder} has the objectives {', '.join(known)}, got {', '.join(settings.objectives)}; give "
            "a new search another study_name"
        )
    study.set_user_attr("objectives", list(settings.objectives))
    study.set_user_attr(PRUNER, [settings.pruner, settings.pruner_options])  # jobs read it there
    return SearchStudy(study, storage, address)


def _reference(trial: ChosenTrial, search: SearchStudy) -> str:
    """The override that tells a job which trial it is of."""
    storage, name = (
        text.replace("\\", "\\\\").replace("'", "\\'") for text in (search.address, search.study.study_name)
    )
    return f"++trial={{storage:'{storage}',study:'{name}',number:{trial.number}}}"


def _ended(job: JobReturn) -> EndedJob:
    has_failed = job.status != JobStatus.COMPLETED
    folder = str(OmegaConf.select(job.hydra_cfg, "hydra.runtime.output_dir"))  # working_dir is the command's
    try:
        found = json.loads(Path(folder, "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    return EndedJob(
        folder, has_failed, None if has_failed else job.return_value, found if isinstance(found, dict) else {}
    )

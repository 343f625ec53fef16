"""Arms of a choice: a source model reused in a mode, with settings to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.compat.hydra.hydra_job_composing import JobComposer
from headstart.recipes.search_space import settings_of, space_of
from headstart.recipes.trial_runs import without_pictures
from headstart.runs.candidates.candidate import SourceCandidate, composed_candidates, config_of
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.weights.source_model import developed, waits_for_source
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.types import UserError

SCRATCH = "scratch"
COMMAND = "command"  # the candidate that the command itself names
NO_SOURCE = "none"  # the candidate of mode=scratch


@dataclass(frozen=True)
class ComparedArm:
    """A way to a model: one candidate in one mode.

    Attributes:
        source: The candidate.
        mode: As mode= has it.
        cfg: The config of its runs, without what a trial varies.
        settings: What is tried, by dotted keys; the first is what the config has.
    """

    source: SourceCandidate
    mode: str
    cfg: DictConfig
    settings: Sequence[Mapping[str, float]]

    @property
    def candidate(self) -> str:
        """The candidate as the user wrote it; "none" of mode=scratch."""
        return self.source.text


class Pair(NamedTuple):
    """One setting of one arm, by their numbers."""

    arm: int
    setting: int


def composed_arms(
    cfg: DictConfig, texts: Sequence[str], modes: Sequence[str], *, settings: int, times: Sequence[float]
) -> list[ComparedArm]:
    """The arms of candidates and modes, each once.

    Args:
        cfg: The job's config.
        texts: The candidates.
        modes: As mode= has them; scratch has the command's own backbone, and no candidate.
        settings: Settings of each arm.
        times: Factors of optimizer.lr between which settings lie.

    Raises:
        UserError: Hydra cannot compose one, or a mode is there twice.
    """
    if len(set(modes)) < len(modes):
        raise UserError(f"choose.modes must name each mode once, got {list(modes)}")
    arms: dict[str, ComparedArm] = {}
    for mode in modes:
        if mode == SCRATCH:
            own = config_of(cfg, JobComposer(), ["mode=scratch"])
            with open_dict(own):
                own.pop(str(cfg.task), None)
            composed = [SourceCandidate(NO_SOURCE, own, None)]
        else:
            composed = _candidates(cfg, texts, mode)
        for candidate in composed:
            arm = _arm(candidate, settings, times)
            arms.setdefault(config_hash(arm.cfg), arm)
    return list(arms.values())


def _candidates(cfg: DictConfig, texts: Sequence[str], mode: str) -> list[SourceCandidate]:
    """The candidates in a mode; the command's own is written as the weights that it has anyway."""
    own = f"weights={HydraConfig.get().runtime.choices['weights']}"
    written = [own if text == COMMAND else text for text in texts]
    composed = composed_candidates(cfg, written, setting="choose.candidates", also=[f"mode={mode}"])
    return [replace(candidate, text=text) for candidate, text in zip(composed, texts, strict=True)]


def trial_config(arm: ComparedArm, values: Mapping[str, float], seed: int) -> DictConfig:
    """The config of a trial: without pictures, and without what looks at test.

    Args:
        arm: Whose setting is tried.
        values: The setting.
        seed: Of the trial.
    """
    plain = without_pictures(with_values(arm.cfg, values))
    with open_dict(plain):
        plain.seed = seed
        plain.oracle = plain.forgetting = False
    return plain


def develop_sources(arms: Sequence[ComparedArm], *, seed: int) -> None:
    """Develop the source models that the trials of arms begin with, so that no trial's time is spent on them.

    Args:
        arms: Whose source models are missing or there.
        seed: Of the trials.
    """
    for arm in arms:
        cfg = with_weights_preprocessing(trial_config(arm, arm.settings[0], seed))
        if waits_for_source(cfg):
            developed(cfg)


def with_values(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """A config with these values.

    Args:
        cfg: A config.
        values: By dotted keys.
    """
    plain = deepcopy(cfg)
    with open_dict(plain):
        for key, value in values.items():
            OmegaConf.update(plain, key, value)
    return plain


def _arm(candidate: SourceCandidate, count: int, times: Sequence[float]) -> ComparedArm:
    cfg = candidate.cfg
    with open_dict(cfg):
        cfg.task, cfg.fit = "fit", {"_target_": "headstart.tasks.fit.fit"}
    mode = str(cfg.mode)
    space = space_of(cfg, lr="auto", weight_decay=None, stage_decay=[0.2, 1.0], times=times)
    return ComparedArm(candidate, mode, cfg, settings_of(cfg, space, count) if space else [{}])

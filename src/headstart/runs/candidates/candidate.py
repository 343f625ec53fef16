"""Candidates: source models that a command compares, each as the config of a job of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.compat.hydra.hydra_job_composing import JobComposer
from headstart.runs.candidates.candidate_overrides import FORMS, candidate_overrides, replaced
from headstart.runs.folder.run_naming import config_hash, is_control, job_overrides
from headstart.runs.saved.finished_run import saved_run
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.types import UserError

OWN_KEYS = ("seed", "target")  # of the command: what they say decides the images, which all candidates see


@dataclass(frozen=True)
class SourceCandidate:
    """A source model that a command looks at.

    Attributes:
        text: As the user wrote it.
        cfg: The command's config with this source: its backbone, its weights, its source data.
        run: The folder of the finished run that it comes from; None of others.
    """

    text: str
    cfg: DictConfig
    run: Path | None

    @property
    def hash(self) -> str:
        """8 hex digits of the candidate's config, in which a file of weights counts by its content."""
        return config_hash(self.cfg)


def composed_candidates(
    cfg: DictConfig, texts: Sequence[str], *, setting: str, also: Sequence[str] = ()
) -> list[SourceCandidate]:
    """The candidates of a job, each composed by Hydra from the command's overrides and its own.

    Args:
        cfg: The job's config.
        texts: The candidates as the user wrote them, in a form of headstart.runs.candidates.candidate_overrides.
        setting: What the list is called on the command line.
        also: Overrides between the command's and each candidate's, as of another target.

    Raises:
        UserError: A text is of no known form or is there twice, Hydra cannot compose it, or it changes the target.
    """
    check_listed(texts, setting, FORMS)
    composer = JobComposer()
    own = config_of(cfg, composer, also) if also else cfg
    return [_composed(own, text, composer, also) for text in texts]


def check_listed(texts: Sequence[str], setting: str, forms: str) -> None:
    """Raise UserError where a list of candidates is empty, or names one twice.

    Args:
        texts: As the user wrote them.
        setting: What the list is called on the command line.
        forms: What a candidate looks like, for the message.
    """
    if not texts:
        raise UserError(f"{setting} must name one candidate at least, got []; {forms}")
    if twice := next((text for at, text in enumerate(texts) if text in texts[:at]), None):
        raise UserError(f"{setting} names {twice!r} twice; leave one of them out")


def config_of(cfg: DictConfig, composer: JobComposer, overrides: Sequence[str]) -> DictConfig:
    """The job's config with further overrides.

    Args:
        cfg: The job's config.
        composer: Of the job.
        overrides: On top of the command's.

    Raises:
        UserError: Hydra cannot compose it.
    """
    try:
        composed = composer.composed([*job_overrides(), *overrides])
    except Exception as error:  # Hydra's own errors have no common class
        raise UserError(f"cannot take {' '.join(overrides)}: {_reason(error)}") from error
    with open_dict(composed):
        composed.run_dir = cfg.run_dir
    return composed


def _composed(cfg: DictConfig, text: str, composer: JobComposer, also: Sequence[str]) -> SourceCandidate:
    found = candidate_overrides(text, composer)
    plain = composed_with(found.overrides, text, composer, also)
    with open_dict(plain):
        plain.run_dir = cfg.run_dir
        plain.pop(str(cfg.task), None)  # a candidate is the same whatever others it stands beside
        if found.run is not None:
            plain.backbone = _backbone_of(found.run, text)
    _check_kept(cfg, plain, text)
    return SourceCandidate(text, plain, found.run)


def composed_with(own: Sequence[str], text: str, composer: JobComposer, also: Sequence[str] = ()) -> DictConfig:
    """The config of a candidate: its overrides on top of the command's, which lose what they say of replaced parts.

    Args:
        own: The candidate's overrides.
        text: The candidate as the user wrote it.
        composer: Of the job.
        also: Overrides between the command's and the candidate's.

    Raises:
        UserError: Hydra cannot compose it.
    """
    try:
        for override in own:
            composer.parsed(override)
        given = [*job_overrides(), *also]
        return composer.composed(replaced(given, own, HydraConfig.get().runtime.choices))
    except Exception as error:  # Hydra's own errors have no common class
        raise UserError(f"candidate {text!r} cannot be composed: {_reason(error)}") from error


def _backbone_of(folder: Path, text: str) -> DictConfig:
    """The backbone of a finished run, with the preprocessing that its images had."""
    try:
        run = saved_run(folder, "best")
        if run.result.get("state") == "diverged":
            raise UserError(
                "its training diverged, and its weights are those of before; train it again with a lower optimizer.lr, "
                "or leave it out"
            )
        if run.cfg.get("peft"):
            raise UserError(
                f"its run has peft={run.cfg.peft}, layers that a backbone has no place for; name its source instead"
            )
        node = OmegaConf.to_container(with_weights_preprocessing(run.cfg, fetch=False).backbone, resolve=True)
    except UserError as error:
        raise UserError(f"candidate {text!r}: {error}") from error
    assert isinstance(node, dict)
    return OmegaConf.create(node)


def _check_kept(cfg: DictConfig, candidate: DictConfig, text: str) -> None:
    """Raise UserError where a candidate changes what all candidates share, or has no source's weights."""
    for key in OWN_KEYS:
        pair = [
            OmegaConf.to_container(OmegaConf.create({key: node.get(key)}), resolve=False) for node in (cfg, candidate)
        ]
        if pair[0] != pair[1]:
            raise UserError(
                f"candidate {text!r} changes {key}, and all candidates see the same images; give {key} to the command"
            )
    if not candidate.get("reuse"):
        raise UserError(
            f"candidate {text!r} has mode={candidate.mode}, which reuses no source; try mode=fine_tuning, and "
            "control=true for random weights"
        )
    if is_control(candidate) and candidate.get("peft"):
        raise UserError(f"candidate {text!r} is a control with peft={candidate.peft}; leave one of them out")


def _reason(error: BaseException) -> str:
    """What Hydra says, on one line, its causes included."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = re.sub(r"\s+", " ", str(seen).split("\nConfig search path:")[0]).strip()
        if text and not any(text in earlier for earlier in texts):
            texts.append(text)
        seen = seen.__cause__
    return ": ".join(texts) or type(error).__name__

"""Source data sets that a command compares, each as the node data@source of a config of its own."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from headstart.compat.hydra.hydra_job_composing import JobComposer
from headstart.runs.candidates.candidate import check_listed, composed_with
from headstart.runs.candidates.candidate_overrides import SOURCE_FORMS, source_overrides
from headstart.types import UserError


def composed_sources(texts: Sequence[str], *, setting: str) -> dict[str, DictConfig]:
    """The node of each source data set, composed by Hydra from the command's overrides and its own.

    Args:
        texts: As the user wrote them, in a form of headstart.runs.candidates.candidate_overrides.SOURCE_FORMS.
        setting: What the list is called on the command line.

    Raises:
        UserError: A text is of no known form or is there twice, Hydra cannot compose it, or a value is missing.
    """
    check_listed(texts, setting, SOURCE_FORMS)
    composer = JobComposer()
    return {text: _composed(text, composer) for text in texts}


def _composed(text: str, composer: JobComposer) -> DictConfig:
    node: DictConfig | None = composed_with(source_overrides(text, composer), text, composer).get("source")
    if not node:
        raise UserError(f"candidate {text!r} has no source data; {SOURCE_FORMS}")
    if missing := sorted(OmegaConf.missing_keys(node)):
        raise UserError(f"candidate {text!r}: source.{missing[0]} is needed; add source.{missing[0]}=... to it")
    return node

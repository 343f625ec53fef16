"""The commands that make a chosen model again, and use it."""

from __future__ import annotations

import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from headstart.compat.hydra.hydra_job_composing import JobComposer
from headstart.runs.candidates.candidate_overrides import candidate_overrides, replaced
from headstart.runs.candidates.choosing.arm import COMMAND, NO_SOURCE, ComparedArm
from headstart.runs.candidates.choosing.chosen_model import ModelChoice
from headstart.runs.folder.run_naming import job_overrides

OF_THE_TASK = ("task", "choose", "study_name", "rerun", "resume")


def model_commands(arm: ComparedArm, choice: ModelChoice, place: Path) -> list[str]:
    """The commands: the run's own where overrides can say all of it, the run again from its folder, predictions.

    Overrides do not say the backbone of another run, nor a schedule of phases that was shortened.

    Args:
        arm: The chosen one.
        choice: What was trained.
        place: The model's folder.
    """
    folder = shlex.quote(place.as_posix())
    commands = [f"headstart task=reproduce reproduce.run={folder}", f"headstart task=predict predict.run_dir={folder}"]
    longest = int(arm.cfg.trainer.get("max_epochs") or -1)
    is_short = choice.epochs is not None and choice.epochs < longest
    if arm.source.run is not None or (is_short and arm.cfg.trainable == "schedule"):
        return commands
    return [f"headstart {shlex.join(model_overrides(arm, choice))}", *commands]


def model_overrides(arm: ComparedArm, choice: ModelChoice) -> list[str]:
    """The overrides of the chosen model's run.

    Args:
        arm: The chosen one.
        choice: What was trained.
    """
    given = [text for text in job_overrides() if text.lstrip("+~").split("=")[0].split(".")[0] not in OF_THE_TASK]
    own: list[str] = []
    if arm.candidate not in (COMMAND, NO_SOURCE):
        own = candidate_overrides(arm.candidate, JobComposer()).overrides
    values = {**choice.values, **({} if choice.epochs is None else {"trainer.max_epochs": choice.epochs})}
    texts = replaced([*given, f"mode={arm.mode}"], own, HydraConfig.get().runtime.choices)
    kept = [text for text in texts if text.lstrip("+").partition("=")[0] not in values]
    return [*kept, *(f"{key}={value}" for key, value in values.items())]

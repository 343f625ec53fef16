"""The task `plan`: what the same command would do without task=plan and what it costs, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt
from omegaconf import DictConfig

from headstart.recipes.recipe_values import with_recipes
from headstart.runs.cost.cost_table import cost_lines
from headstart.runs.cost.job_cost import JobCost
from headstart.runs.cost.job_plan import Asked, planned_job
from headstart.runs.cost.study_cost import StudyCost
from headstart.runs.quiet_logs import quieten
from headstart.runs.training.missing_validation import NOTE, check_without_validation, has_no_val
from headstart.runs.training.run_plan import asked_processes
from headstart.runs.weights.control_weights import check_control
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.unfreeze.unfreezing_plan import Plan


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """What the task gives.

    Args:
        unfreezing: What is trainable when.
        cost: Of the job; a sweep adds those of its jobs up.
    """

    unfreezing: Plan
    cost: JobCost


def plan(
    *,
    cfg: DictConfig,
    tflops: Annotated[float, Gt(0)] | Literal["measured"] | None,
    read_ms: Annotated[float, Ge(0)] | None,
    train_images: Annotated[int, Ge(1)] | None,
    val_images: Annotated[int, Ge(0)] | None,
    test_images: Annotated[int, Ge(0)] | None,
) -> PlannedRun:
    """Print the plan and the cost of the run that the same command without task=plan would be, and give them.

    Nothing is trained, no source model either, and nothing is written.

    Args:
        cfg: Of the run.
        tflops: Speed of a device in 10^12 floating point operations a second; `measured`: in a few steps on this
            machine; None: no time is told.
        read_ms: Milliseconds in which one process reads and decodes an image; None is measured with the steps.
        train_images: As if there were so many training images; None is as many as there are.
        val_images: The same of val.
        test_images: The same of test.

    Raises:
        UserError: The schedule names what the model lacks.
    """
    quieten()
    check_without_validation(cfg)
    cfg = with_recipes(with_weights_preprocessing(cfg, fetch=False), processes=asked_processes(cfg.trainer))
    check_control(cfg)
    asked = {"train": train_images, "val": val_images, "test": test_images}
    images = {split: count for split, count in asked.items() if count is not None}
    job = planned_job(cfg, Asked(tflops=tflops, read_ms=read_ms, images=images))
    if job.parts.adapted:
        print(job.parts.adapted, end="\n\n")
    if has_no_val(job.parts.data):
        print(NOTE, end="\n\n")
    print(job.plan, end="\n\n")
    print("\n".join(cost_lines(StudyCost([job.cost]))))
    return PlannedRun(unfreezing=job.plan, cost=job.cost)

"""The cost of the jobs of a sweep of task=plan, added up."""

from __future__ import annotations

from headstart.cli.sweeps.jobs_elsewhere import values_of_jobs


def sweep_cost_lines(returned: object) -> list[str]:
    """What the jobs of `-m task=plan` cost together: shared source models, features and equal jobs count once.

    Args:
        returned: What the sweeper has returned; None where a job failed.
    """
    from headstart.runs.cost.cost_table import cost_lines  # here: torch, which most commands do not need yet
    from headstart.runs.cost.study_cost import StudyCost
    from headstart.tasks.plan import PlannedRun

    jobs = [value.cost for value in values_of_jobs(returned) if isinstance(value, PlannedRun)]
    return ["", f"all {len(jobs)} jobs", *cost_lines(StudyCost(jobs))] if len(jobs) > 1 else []

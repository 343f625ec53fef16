"""What task=plan says of a config, without time."""

from headstart.runs.cost.job_cost import JobCost
from headstart.tasks.plan import PlannedRun
from headstart.tasks.plan import plan as task
from headstart.unfreeze.unfreezing_plan import Plan


def planned(cfg, **settings) -> PlannedRun:
    """Plan and cost; no time unless `tflops` says a speed."""
    return task(cfg=cfg, **{"tflops": None, "read_ms": None} | NONE | settings)


NONE = {"train_images": None, "val_images": None, "test_images": None}


def plan(*, cfg) -> Plan:
    """What is trainable when."""
    return planned(cfg).unfreezing


def cost(*, cfg, **settings) -> JobCost:
    """What the run costs."""
    return planned(cfg, **settings).cost

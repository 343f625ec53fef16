"""A job before it runs: its plan, and what it costs with its source model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from omegaconf import DictConfig, open_dict

from headstart.runs.cost.device_memory import checkpoint_bytes, device_memory
from headstart.runs.cost.device_speed import loop_seconds, measured_speed
from headstart.runs.cost.job_cost import JobCost, Speed
from headstart.runs.cost.run_cost import CountedRun
from headstart.runs.cost.stage_costs import StageCosts
from headstart.runs.folder.run_naming import CONTROL, config_hash
from headstart.runs.model_parts.assembly import Assembly, assembled
from headstart.runs.training.run_plan import asked_processes, planned_optimizer, run_plan, trainer_of_length
from headstart.runs.training.run_trainer import has_gpu, is_sharded, on_gpu
from headstart.runs.weights.source_model import has_recipe, source_job
from headstart.unfreeze.unfreezing_plan import Plan

FLOAT = 4  # bytes
_SOURCES: dict[str, JobCost] = {}  # of this process, by hash and what is asked

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of the cost.

    Args:
        tflops: Of a device, in training steps, in 10^12 floating point operations a second; `measured` on this
            machine; None where no time is asked for.
        read_ms: In which one process reads and decodes an image, in milliseconds; None is measured.
        images: As if splits had so many images.
    """

    tflops: float | Literal["measured"] | None
    read_ms: float | None
    images: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """A job whose parts are made, and that nothing has trained.

    Args:
        parts: Of the run.
        plan: Of the run.
        cost: Of the run, with its source model's.
    """

    parts: Assembly
    plan: Plan
    cost: JobCost


def planned_job(cfg: DictConfig, asked: Asked) -> JobPlan:
    """The plan and the cost of a run; nothing is trained or written.

    Args:
        cfg: Of the run, with what recipes set.
        asked: Of the cost.
    """
    begun = time.perf_counter()
    parts = assembled(cfg)
    parts.data.setup("fit")
    made_s = time.perf_counter() - begun
    trainer, processes = trainer_of_length(cfg.trainer), asked_processes(cfg.trainer)
    plan = run_plan(parts, trainer, processes=processes, images=asked.images.get("train"))
    sizes = {**parts.data.sizes, **asked.images}
    run = CountedRun(
        cfg=cfg, parts=parts, plan=plan, trainer=trainer, sizes=sizes, is_made_up=bool(asked.images),
        processes=processes,
    )  # fmt: skip
    costs = StageCosts(parts.backbone)
    cached = run.cached(costs)
    work = run.work(costs, cached)
    optimizer = planned_optimizer(parts.module, trainer, plan.run)
    pixels = parts.backbone.pixels
    cost = JobCost(
        key=_job_key(cfg),
        backbone=_name(parts, cfg),
        work=work,
        fills=tuple(cached.fills),
        cache_limit=cached.cache.max_bytes if cached.cache is not None else 0,
        checkpoint_bytes=checkpoint_bytes(parts.module, plan, optimizer),
        memory=device_memory(
            parts.module, plan, optimizer=optimizer, shares=processes if is_sharded(cfg.trainer) else 1,
            batch_bytes=plan.batch_size * pixels.channels * pixels.size**2 * FLOAT,
        ),
        devices=processes,
        on_gpu=on_gpu(cfg.trainer),
        readers=_readers(parts),
        limit_s=plan.run.seconds,
        speed=_speed(cfg, parts, plan, asked, made_s),
        source=_source(cfg, asked),
    )  # fmt: skip
    return JobPlan(parts=parts, plan=plan, cost=cost)


def _source(cfg: DictConfig, asked: Asked) -> JobCost | None:
    """The cost of the job's source model, which is planned once in this process."""
    if not has_recipe(cfg):
        return None
    recipe, digest = source_job(cfg)
    key = f"{digest}:{asked.tflops}:{asked.read_ms}"
    if key not in _SOURCES:
        with torch.random.fork_rng(devices=[]):
            cost = planned_job(recipe, Asked(tflops=asked.tflops, read_ms=asked.read_ms)).cost
        _SOURCES[key] = replace(cost, key=digest)
    return _SOURCES[key]


def _job_key(cfg: DictConfig) -> str:
    """The run's hash; a mode that takes no weights is one run with control=true and without."""
    if cfg.get(CONTROL) and not cfg.reuse:
        cfg = cfg.copy()
        with open_dict(cfg):
            cfg[CONTROL] = False
    return config_hash(cfg)


def _name(parts: Assembly, cfg: DictConfig) -> str:
    model = parts.backbone.model
    return model[1] if model is not None else str(cfg.backbone["_target_"]).rpartition(".")[2]


def _readers(parts: Assembly) -> int:
    workers = getattr(parts.data.plain_dataloader("train"), "num_workers", 0)
    return max(1, int(workers))


def _speed(cfg: DictConfig, parts: Assembly, plan: Plan, asked: Asked, made_s: float) -> Speed | None:
    if asked.tflops is None:
        return None
    if asked.tflops == "measured" and on_gpu(cfg.trainer) and not has_gpu():
        log.warning("no GPU is here whose speed could be measured, so no time is told; plan.tflops=50 states one")
        return None
    if asked.tflops == "measured":
        forward = round(plan.rows[0].forward * plan.flops) if plan.rows else plan.flops // 3
        speed = measured_speed(cfg, parts, flops=plan.flops, forward_flops=forward, job_s=made_s)
        return speed if asked.read_ms is None else replace(speed, read_s=asked.read_ms / 1000)
    flops_s = asked.tflops * 1e12
    return Speed(
        train_flops_s=flops_s, look_flops_s=flops_s, batch_s=loop_seconds(cfg.trainer, "cpu"),
        read_s=(asked.read_ms or 0.0) / 1000, job_s=made_s,
        source=f"{asked.tflops:g} TFLOP/s a device, as stated; the loop of a step measured on this machine's CPU",
    )  # fmt: skip

"""The task `find_lr`: a learning-rate range test of the run that a command would train."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval
from omegaconf import DictConfig

from headstart.recipes.rate_range_sweep import ALL_PARTS, RangeTestSettings, RateSweep, rate_sweeps
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes
from headstart.runs.model_parts.assembly import check_adaptation, check_adapters
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import write_pictures
from headstart.runs.probing.frozen_features import result_origin
from headstart.runs.quiet_logs import quieten
from headstart.runs.training.run_trainer import needed_processes
from headstart.runs.weights.control_weights import check_control
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)
AROUND = (0.03, 10.0)  # of a rate: what tuning.lr=auto tries around the configured one (conf/tuning/equal.yaml)


def find_lr(
    *,
    cfg: DictConfig,
    min_lr: Annotated[float, Gt(0)],
    max_lr: Annotated[float, Gt(0)],
    steps: Annotated[int, Ge(20)],
    smoothing: Annotated[float, Interval(ge=0, lt=1)],
    stop_above: Annotated[float, Gt(1)],
    phase: Annotated[int, Ge(1)],
    by_part: bool,
    suggest: Literal["valley", "steepest"],
) -> float:
    """Train a copy of the run's model for some steps at rising learning rates -> the suggested `optimizer.lr`.

    The curve is drawn to curve.png and the loggers, and written to result.json. Nothing of a run changes by it: it
    has a folder, a model and random numbers of its own. Computed on one device, with as many images a step as the run
    has; of several ranks the first computes. NaN where no rate is suggested.

    Args:
        cfg: The composed config.
        min_lr: The first rate of the head.
        max_lr: The last one.
        steps: Optimizer steps, at rates that rise by a constant factor.
        smoothing: Of the losses: the share of the earlier mean in the next one.
        stop_above: The test ends where the smoothed loss is above so many times its least value.
        phase: The phase of the schedule whose trainable parts learn, from 1.
        by_part: Whether each part that learns has a test of its own, with the rates of the others at 0.
        suggest: Which suggestion is returned: the middle of the longest fall, or where the loss falls fastest.

    Raises:
        UserError: The rates do not rise, the schedule has no such phase, or a recipe or a tuning sets the rate.
    """
    if rank_environment.rank() > 0:
        return float("nan")
    _check(cfg, min_lr, max_lr)
    quieten()

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        settings = RangeTestSettings(
            lowest=min_lr, highest=max_lr, steps=steps, smoothing=smoothing, stop_above=stop_above, phase=phase,
            processes=needed_processes(cfg.trainer),
        )  # fmt: skip
        return _found(cfg, folder, settings, by_part=by_part, suggest=suggest, run_hash=config_hashes.now)

    result = finished_or(cfg, make, again="sweeps")
    tell(table(result))
    found = result["metrics"]["lr"]
    return float("nan") if found is None else float(found)


def _check(cfg: DictConfig, min_lr: float, max_lr: float) -> None:
    if not min_lr < max_lr:
        raise UserError(f"find_lr.min_lr must be below find_lr.max_lr, got {min_lr:g} and {max_lr:g}")
    if chosen := next((key for key in ("recipe", "tuning") if cfg.get(key)), None):
        raise UserError(f"{chosen}= sets the learning rate itself, and task=find_lr looks for one; leave {chosen} out")
    check_adapters(cfg)
    check_adaptation(cfg)
    check_control(cfg)


def _found(
    cfg: DictConfig, folder: Path, settings: RangeTestSettings, *, by_part: bool, suggest: str, run_hash: str
) -> dict[str, Any]:
    """The content of result.json; the pictures are written."""
    start = time.monotonic()
    cfg = with_weights_preprocessing(cfg)
    sweeps = rate_sweeps(cfg, folder, settings, by_part=by_part, run_hash=run_hash)
    configured = float(cfg.optimizer.lr)
    facts = {"run": None, "control": bool(cfg.get("control"))}
    chosen = getattr(sweeps[ALL_PARTS].suggestion, suggest)
    result = {
        **result_origin(cfg, folder, facts),
        "metrics": {"lr": chosen},
        "suggest": suggest,
        "configured_lr": configured,
        "sweeps": {name: _record(sweep) for name, sweep in sweeps.items()},
        "settings": asdict(settings),
        "wall_s": time.monotonic() - start,
        "versions": versions(),
    }
    _draw(cfg, folder, sweeps, configured)
    write_json(folder / RESULT, result)
    return result


def _record(sweep: RateSweep) -> dict[str, Any]:
    return {**asdict(sweep), "suggestion": sweep.suggestion._asdict()}


def _draw(cfg: DictConfig, folder: Path, sweeps: dict[str, RateSweep], configured: float) -> None:
    from headstart.recipes.rate_range_plot import rate_range_figure  # here: it needs matplotlib

    write_pictures(cfg, folder, {"curve": rate_range_figure(sweeps, configured)})


def table(result: dict[str, Any]) -> str:
    """A range test as lines: what each sweep suggests, and the settings that take it."""
    lines = []
    for name, sweep in result["sweeps"].items():
        about = f"{len(sweep['losses'])} steps, ended {_ending(sweep)}"
        suggestion = sweep["suggestion"]
        if suggestion["valley"] is None:
            lines.append(f"  {name}: no rate is suggested, {suggestion['reason']} ({about})")
        else:
            rates = f"valley {suggestion['valley']:.2g}, steepest {suggestion['steepest']:.2g}"
            lines.append(f"  {name} ({' '.join(sweep['parts'])}): {rates} ({about})")
    chosen = result["metrics"]["lr"]
    if chosen is not None:
        low, high = (chosen * times for times in AROUND)
        lines.append(f"as a run takes it: optimizer.lr={chosen:.2g} (the config has {result['configured_lr']:.2g})")
        lines.append(f"as a tuning begins with it: tuning=equal tuning.lr=[{low:.2g},{high:.2g}]")
    return "\n".join(["learning rates of the head that a range test suggests:", *lines])


def _ending(sweep: dict[str, Any]) -> str:
    last = f"{sweep['rates'][-1]:.2g}"
    return f"at the highest rate, {last}" if sweep["ended"] == "at the highest rate" else f"at {last}: {sweep['ended']}"

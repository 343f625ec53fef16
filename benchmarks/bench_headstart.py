"""The command line of headstart for a job, and what it leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_job import BATCH, DECAY, FEATURES, FULL, RATE, Job

COMMAND = str(Path(sys.executable).parent / "headstart")
MODES = {FEATURES: "feature_extraction", FULL: "fine_tuning"}


def overrides(job: Job) -> list[str]:
    """What the peers do: the same weights, images, optimizer, rates and epochs, and a head with random numbers."""
    given = [
        "data@target=image_folder",
        f"target.root={job.root}",
        f"target.batch_size={BATCH}",
        f"target.resize={round(job.size * 256 / 224)}",
        f"backbone={job.model}",
        f"backbone.size={job.size}",
        "weights=file",
        f"weights.path={job.weights}",
        f"mode={MODES.get(job.task, 'gradual')}",
        "module.stage_decay=1.0",
        "head.init=random",
        "optimizer=adamw",
        f"optimizer.lr={RATE}",
        f"optimizer.weight_decay={DECAY}",
        "scheduler=constant",
        "trainer=cpu",
        f"trainer.max_epochs={job.epochs}",
        f"seed={job.seed}",
    ]
    if job.task not in MODES:
        given += ["unfreeze=sandwich", f"unfreeze.phases={_phases(job)}"]
    return given


def learning(path: Path) -> list[str]:
    """What makes a run write which parts learned in each epoch."""
    return ["+callbacks.bench._target_=bench_first_step.Learning", f"+callbacks.bench.path={path}"]


def _phases(job: Job) -> str:
    firsts = [e for e in range(job.epochs) if e == 0 or job.opens(e) != job.opens(e - 1)]
    lengths = [end - first for first, end in zip(firsts, [*firsts[1:], job.epochs], strict=True)]
    said = [
        f"{{name:phase{n},trainable:[{','.join(job.opens(first))}],epochs:{length}}}"
        for n, (first, length) in enumerate(zip(firsts, lengths, strict=True))
    ]
    said[-1] = f"{{name:all,trainable:[{','.join(job.opens(firsts[-1]))}]}}"  # the last one lasts to the end of the run
    return f"[{','.join(said)}]"


def results(folder: Path) -> list[dict[str, Any]]:
    """What every finished run below a folder says of itself."""
    files = sorted((folder / "outputs").rglob("result.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def figures(result: dict[str, Any], *, whole_s: float, imports_s: float) -> dict[str, Any]:
    """Seconds from the end of the imports to the end of fit, the final val accuracy, of a run that took whole_s.

    Where the result does not say how long it took to set up: all but the imports, the test too.
    """
    setup_s = result.get("setup_s")
    seconds = whole_s - imports_s if setup_s is None else setup_s + result["wall_s"]
    said = "setup_s + wall_s" if setup_s is not None else "whole process less imports"
    return {"seconds": seconds, "counted": said, "whole_s": whole_s, "fit_s": result["wall_s"]}


def last_accuracy(folder: Path) -> float | None:
    """Of the last validation: metrics.csv has it, result.json only the best one's."""
    import csv

    for file in (folder / "outputs").rglob("metrics.csv"):
        with file.open(encoding="utf-8", newline="") as rows:
            found = [row["val/accuracy"] for row in csv.DictReader(rows) if row.get("val/accuracy")]
        return float(found[-1]) if found else None
    return None


def swept(lr: Sequence[float], decay: Sequence[float]) -> list[str]:
    """A sweep over head settings, each a job of its own."""
    return ["-m", f"optimizer.lr={','.join(map(str, lr))}", f"optimizer.weight_decay={','.join(map(str, decay))}"]

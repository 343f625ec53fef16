"""The cost of a command as lines of a terminal: time, disk, memory, devices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from textwrap import wrap

from headstart.runs.cost.job_cost import JobCost
from headstart.runs.cost.study_cost import PartCost, StudyCost
from headstart.system.printing.aligned_columns import aligned

WIDTH = 120  # characters of a line
FACTOR = 2  # of uncertainty; assumed, as no quiet machine was there to measure it: docs/how_to/scale.md
SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
COUNTS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def cost_lines(study: StudyCost) -> list[str]:
    """What the jobs of a command cost, as if nothing of it were there yet.

    Args:
        study: The jobs.
    """
    if not study.jobs:
        return []
    devices = max(job.devices for job in study.jobs)
    kind = "GPU" if study.jobs[0].on_gpu else "CPU process"
    once = "" if study.asked == len(study.jobs) else f" ({study.asked} are asked for, equal ones count once)"
    head = f"cost: {_counted(len(study.jobs), 'job')}{once} on {_counted(devices, kind)}, as if nothing were there yet"
    notes = [_disk_text(study), _memory_text(study), *_time_texts(study)]
    return [
        head, "", *aligned(_rows(study)), "",
        *(line for text in notes for line in wrap(text, WIDTH, subsequent_indent="  ")),
    ]  # fmt: skip


def _rows(study: StudyCost) -> list[Sequence[str]]:
    is_timed = all(job.speed is not None for job in study.jobs)
    rows: list[Sequence[str]] = [("", "jobs", "steps", "images", "FLOPs", *(["time"] * is_timed))]

    def add(title: str, part: PartCost) -> None:
        counts = (f"{part.jobs:,}" if part.jobs else "", f"{part.steps:,}" if part.steps else "", f"{part.images:,}")
        rows.append((title, *counts, flops_text(part.flops), *([time_text(part.seconds)] * is_timed)))

    if study.sources:
        add("source models", study.of_sources())
    if study.of_filling().images:
        add("frozen stages, once an image", study.of_filling())
    for backbone in study.backbones:
        add(f"runs of {backbone}", study.of_jobs(backbone))
    if len(rows) > 2 and is_timed:
        rows.append(("all, one after the other", "", "", "", "", time_text(study.seconds)))
    return rows


def _disk_text(study: StudyCost) -> str:
    text = f"disk: checkpoints {size_text(study.checkpoint_bytes)}"
    if not study.cache_rows:
        return text
    limit = f"feature_cache.max_gib={study.cache_limit / 2**30:g}"
    if study.cache_bytes > study.cache_limit:
        limit += " is less, so that what was used least lately is removed and may be computed again"
    return f"{text}, feature cache {size_text(study.cache_bytes)} in {study.cache_rows:,} rows ({limit})"


def _memory_text(study: StudyCost) -> str:
    memory = max([*study.jobs, *study.sources], key=lambda one: one.memory.all).memory
    return (
        f"memory of a device: {size_text(memory.all)} besides the process and its libraries: weights "
        f"{size_text(memory.weights)}, gradients {size_text(memory.gradients)}, optimizer "
        f"{size_text(memory.optimizer)}, batch and activations {size_text(memory.activations)}"
    )


def _time_texts(study: StudyCost) -> list[str]:
    jobs = [*study.jobs, *study.sources]
    if any(job.speed is None for job in jobs):
        return ["time: not told (plan.tflops=null)"]
    low, high = time_text(study.seconds / FACTOR), time_text(study.seconds * FACTOR)
    return [f"time: {low} to {high}, one job after the other", *dict.fromkeys(map(_speed_text, jobs))]


def _speed_text(job: JobCost) -> str:
    assert job.speed is not None
    speed = job.speed
    look = "" if speed.look_flops_s == speed.train_flops_s else f", {flops_text(speed.look_flops_s)}/s without training"
    batch = f", {1000 * speed.batch_s:.2g} ms a batch besides" if speed.batch_s else ""
    read = f", {1000 * speed.read_s:.2g} ms to read an image" if speed.read_s else ""
    return f"speed of {job.backbone}: {flops_text(speed.train_flops_s)}/s{look}{batch}{read}; {speed.source}"


def size_text(count: float) -> str:
    """Bytes as a reader takes them in: 1.2 GiB."""
    for size, word in SIZES:
        if count >= size:
            return f"{count / size:,.1f} {word}"
    return f"{count:.0f} B"


def flops_text(count: float) -> str:
    """Floating point operations: 1.2 TFLOP."""
    for size, letter in COUNTS:
        if count >= size:
            return f"{count / size:,.1f} {letter}FLOP"
    return f"{count:.0f} FLOP"


def time_text(seconds: float) -> str:
    """Seconds as a reader takes them in: 1.2 s, 0:03:20, 2 days, 3:04:00."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _counted(count: int, what: str) -> str:
    plural = "es" if what.endswith("s") else "s"
    return f"{count:,} {what}{'' if count == 1 else plural}"

"""Throughput on one GPU, beside plain Lightning, fastai and timm's loop: `make bench-gpu`, 6 minutes at most.

Each way trains all of a ResNet-50 with random weights on the same made photos (JPEG files, 8 classes), in batches of
the same size, in bfloat16, by AdamW, with as many loader processes; a process of its own for each way. The first epoch
is not counted. A peer that is not installed is left out, and without a GPU nothing is measured. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
WAYS = ("headstart", "lightning", "fastai", "timm")
LIMIT_S = 100  # of a way
ON_CPU = "GPU_TESTS_ON"  # =cpu: on the CPU, to see that it can be run


def main() -> int:
    """Print the table; 1 where a way failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=min(16, os.cpu_count() or 1))
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.device = _device()
    if given.way:
        from gpu_ways import LOOPS

        loops: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = LOOPS
        print(json.dumps(loops[given.way](given)))
        return 0
    if not given.device:
        print(f"torch finds no GPU on this machine: nothing is measured ({ON_CPU}=cpu runs the same on the CPU)")
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        from bench_images import made

        part = max(8, given.images // 16)
        given.root = str(made(Path(folder) / "photos", train=given.images, val=part, test=part, side=given.size))
        rows = [_measured(way, given, Path(folder)) for way in given.ways.split(",")]
    print(_table(rows, given))
    return int(any(row.get("failed") for row in rows))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu" if os.environ.get(ON_CPU) == "cpu" else ""


def _measured(way: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What a way's own process says: seconds of each epoch's training, and of them waiting for data."""
    (folder / way).mkdir()
    settings = {
        name: getattr(given, name) for name in ("images", "size", "batch", "epochs", "workers", "model", "root")
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    began = time.perf_counter()
    paths = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "gpu.py"), "--way", way, *words], cwd=folder / way, capture_output=True,
            text=True, timeout=LIMIT_S, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"way": way, "failed": f"not ready after {LIMIT_S} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        missing = [line for line in done.stderr.splitlines() if "No module named" in line]
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"way": way, "left_out": missing[-1]} if missing else {"way": way, "failed": last}
    return {"way": way, "whole_s": time.perf_counter() - began, **json.loads(lines[-1])}


def _table(rows: list[dict[str, Any]], given: argparse.Namespace) -> str:
    from bench_machine import machine

    about = machine()
    lines = [
        f"{given.model}, {given.images:,} JPEG files of {given.size} pixels, batches of {given.batch}, bfloat16, "
        f"AdamW, {given.workers} loader processes, on {_named(given.device)}; median of epochs 2 to {given.epochs}.",
        "",
        "| | images a second | share of waiting for data | peak GPU MiB | whole process s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "epoch_s" not in row:
            lines.append(f"| {row['way']} | {row.get('failed') or row['left_out']} | | | |")
            continue
        later = list(zip(row["epoch_s"], row["wait_s"], strict=True))[1:] or [(row["epoch_s"][0], row["wait_s"][0])]
        rate = median(given.images / seconds for seconds, _ in later)
        waits = median(wait / seconds for seconds, wait in later)
        lines.append(f"| {row['way']} | {rate:,.0f} | {waits:.0%} | {row['peak_mib']:,.0f} | {row['whole_s']:.0f} |")
    return "\n".join([*lines, "", f"{about['machine']}; {about['versions']}."])


def _named(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "the CPU"


if __name__ == "__main__":
    sys.exit(main())

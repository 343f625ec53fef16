"""One run of a peer in a process of its own: bench_peer.py WAY OUT JOB

Writes {import_s, seconds, accuracy, learned, ...} to OUT. seconds: from the end of the imports to the end of fit.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

# way -> the function that runs it, and what it imports before the clock begins
WAYS = {
    "floor": ("bench_floor:floor", ()),
    "channels_last": ("bench_floor:channels_last", ()),
    "lightning": ("bench_lightning:lightning", ("pytorch_lightning",)),
    "backbone_finetuning": ("bench_lightning:backbone_finetuning", ("pytorch_lightning",)),
    "base_finetuning": ("bench_lightning:base_finetuning", ("pytorch_lightning",)),
    "finetuning_scheduler": ("bench_scheduler:finetuning_scheduler", ("lightning.pytorch", "finetuning_scheduler")),
    "fastai": ("bench_fastai:fastai", ("fastai.vision.all",)),
    "steps_loop": ("bench_steps:loop", ()),
    "steps_bare": ("bench_steps:bare", ("pytorch_lightning",)),
    "steps_lightning": ("bench_steps:logging", ("pytorch_lightning",)),
    "steps_fastai": ("bench_steps:fastai", ("fastai.vision.all",)),
}


def main() -> None:
    name, out, text = sys.argv[1:]
    warnings.filterwarnings("ignore")
    began = time.perf_counter()
    path, packages = WAYS[name]
    module, _, function = path.partition(":")
    for package in packages:
        import_module(package)
    run = getattr(import_module(module), function)
    from bench_job import Job

    job = Job.read(text)
    imported = time.perf_counter()
    found = run(job)
    ended = time.perf_counter()
    times = {"import_s": imported - began, "seconds": ended - imported}
    Path(out).write_text(json.dumps(times | found), encoding="utf-8")


if __name__ == "__main__":
    main()

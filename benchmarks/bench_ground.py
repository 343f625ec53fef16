"""What all runs of a benchmark share: images, weights, folders, number of workers."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import bench_images as images
from bench_headstart import COMMAND, figures, last_accuracy, learning, overrides, results
from bench_job import Job
from bench_processes import HERE, ran

LIMIT_S = 900
SIDE, SMALL = 256, 32  # pixels of an image of the folder, of a small one
VAL, TEST = 128, 8
SMALL_VAL = 128
DATA = Path(os.environ.get("HEADSTART_DATA", HERE.parents[1] / "shared" / "data"))
LIKE = {"backbone_finetuning": "lightning", "base_finetuning": "lightning", "channels_last": "floor"}
IMPORTS = "import time, sys, torch, torchvision, pytorch_lightning; open(sys.argv[1], 'w').write(str(time.time()))"


class Ground:
    """folder: for everything that is made, empty. images: to train on. workers: way -> the number that was faster."""

    def __init__(self, folder: Path, *, images: int, largest: int) -> None:
        self.folder, self.images, self.largest = folder, images, largest
        self.workers: dict[str, int] = {}
        self._count = 0

    @cached_property
    def root(self) -> str:
        return str(images.made(self.folder / "images", train=self.images, val=VAL, test=TEST, side=SIDE))

    @cached_property
    def small(self) -> Path:
        """The largest number of small images."""
        return images.made(self.folder / "small", train=self.largest, val=SMALL_VAL, test=TEST, side=SMALL)

    def small_part(self, count: int) -> Path:
        """So many of the small images."""
        root = self.folder / f"small{count}"
        return root if root.exists() else images.part_of(self.small, root, train=count)

    @cached_property
    def weights(self) -> str:
        path = self.folder / "resnet18.pth"
        made = ran([sys.executable, str(HERE / "bench_random_weights.py"), str(path)], cwd=self.folder, limit_s=LIMIT_S)
        assert made.error is None, made.error
        return str(path)

    @cached_property
    def photos(self) -> tuple[str, str] | None:
        """The photos of ants and bees, and a MobileNetV2's ImageNet weights, where they are there."""
        photos, weights = DATA / "hymenoptera", DATA / "weights" / "mobilenet_v2-imagenet.pth"
        if not (photos.is_dir() and weights.is_file()):
            return None
        return str(images.with_test(photos, self.folder / "photos")), str(weights.resolve())

    @cached_property
    def imports_s(self) -> float:
        """Seconds that torch, torchvision and Lightning take to import, in a process; the second time."""
        return [self.imports() for _ in range(2)][1]["seconds"]

    def imports(self) -> dict[str, Any]:
        """From a process's start to the end of importing torch, torchvision and Lightning."""
        folder = self.new("imports")
        done = ran([sys.executable, "-c", IMPORTS, str(folder / "done")], cwd=folder, limit_s=LIMIT_S)
        if done.error:
            return {"error": done.error}
        return {"seconds": float((folder / "done").read_text()) - done.began, "peak_mib": done.peak_mib}

    def job(self, task: str, *, epochs: int, seed: int, workers: int = 0) -> Job:
        folder = str(self.new(task))
        return Job(
            task=task, epochs=epochs, root=self.root, weights=self.weights, folder=folder, seed=seed, workers=workers
        )

    def peer(self, way: str, job: Job) -> dict[str, Any]:
        """What a peer's process took and gave; `error` where it failed."""
        folder = Path(job.folder)
        command = [sys.executable, str(HERE / "bench_peer.py"), way, str(folder / "found.json"), job.said()]
        done = ran(command, cwd=folder, limit_s=LIMIT_S)
        if done.error:
            return {"error": done.error}
        found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
        return {**found, "peak_mib": done.peak_mib, "whole_s": done.seconds, "workers": job.workers}

    def headstart(self, job: Job, *more: str) -> dict[str, Any]:
        """What one run of the command took and gave."""
        folder = Path(job.folder)
        learned = folder / "learned.json"
        done = ran([COMMAND, *overrides(job), *learning(learned), *more], cwd=folder, limit_s=LIMIT_S)
        found = results(folder)
        if done.error or len(found) != 1:
            return {"error": done.error or f"left {len(found)} results"}
        return {
            **figures(found[0], whole_s=done.seconds, imports_s=self.imports_s),
            "accuracy": last_accuracy(folder),
            "peak_mib": done.peak_mib,
            "learned": json.loads(learned.read_text(encoding="utf-8")),
            "evaluations": [{"step": one["step"], "wall_s": one["wall_s"]} for one in found[0]["evaluations"]],
        }

    def command(self, job: Job, *more: str, count: int) -> dict[str, Any]:
        """What a whole command took that leaves so many results, from its start to its end."""
        folder = Path(job.folder)
        done = ran([COMMAND, *overrides(job), *more], cwd=folder, limit_s=LIMIT_S)
        found = results(folder)
        if done.error or len(found) != count:
            return {"error": done.error or f"left {len(found)} results, not {count}"}
        return {"seconds": done.seconds, "peak_mib": done.peak_mib, "results": count}

    def workers_of(self, way: str) -> int:
        return self.workers.get(LIKE.get(way, way), 0)

    def new(self, name: str) -> Path:
        """A folder that no run has had."""
        self._count += 1
        folder = self.folder / f"{self._count:04d}-{name}"
        folder.mkdir()
        return folder

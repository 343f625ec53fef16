"""The feature cache at many rows: `python benchmarks/cache_rows.py --rows 1000000 --jobs 20`.

Rows of made features are written by the cache itself. Then each job is a process of its own, as in a study: it opens
the cache, which reads each file once to verify its checksum, and trains a head for an epoch. The same with a half and
a quarter of the rows says whether time is linear. What it wrote is deleted; 1,000,000 rows of 512 take 2.1 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_machine import machine
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.data.loading.batch_order import EpochOrder
from headstart.features.cache.activation_cache import FeatureCache, ImagesToCache
from headstart.features.cache.activation_key import Cut, Place

CLASSES = 100
GIB = 2**30
MOST = 2 * GIB  # of anonymous memory above what the process took before


def main() -> int:
    """Print the table; 1 where a job took more memory than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--jobs", type=int, default=4, help="processes, one after the other, at the full size")
    parser.add_argument("--folder", type=Path, help="where the cache is written; a temporary folder unless given")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(_head_job(given.job, given.rows, given.width, given.batch)))
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="cache_rows-") as folder:
        rows = [_measured(Path(folder), part, given) for part in (given.rows // 4, given.rows // 2, given.rows)]
    print(_table(rows, given))
    return int(max(row["anonymous"] for row in rows) > MOST)


def _measured(folder: Path, rows: int, given: argparse.Namespace) -> dict[str, float]:
    """Of a cache of so many rows: seconds of filling, opening and an epoch, and the most memory of its jobs."""
    filled = _filled(folder / "store", rows, given.width, given.batch)
    jobs = [_process(folder / "store", rows, given) for _ in range(given.jobs if rows == given.rows else 1)]
    shutil.rmtree(folder / "store")
    middle = sorted(jobs, key=lambda job: job["open_s"] + job["epoch_s"])[len(jobs) // 2]
    return {
        "rows": rows, "jobs": len(jobs), **filled, "open_s": middle["open_s"], "epoch_s": middle["epoch_s"],
        "anonymous": max(filled["fill_anonymous"], *(job["anonymous"] for job in jobs)),
    }  # fmt: skip


def _process(store: Path, rows: int, given: argparse.Namespace) -> dict[str, float]:
    settings = {"--rows": rows, "--width": given.width, "--batch": given.batch, "--job": store}
    words = [str(word) for pair in settings.items() for word in pair]
    done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    read: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return read


def _filled(store: Path, rows: int, width: int, batch: int) -> dict[str, float]:
    with Anonymous() as memory:
        began = time.perf_counter()
        _opened(store, rows, width, batch)
        seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in store.rglob("*.safetensors"))
    return {"fill_s": seconds, "bytes": size, "fill_anonymous": memory.most}


def _head_job(store: Path, rows: int, width: int, batch: int) -> dict[str, float]:
    """An epoch of a head on the cached rows, as a job of a study reads them."""
    head = nn.Linear(width, CLASSES)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    label = torch.from_numpy(np.random.default_rng(1).integers(0, CLASSES, rows))
    _step(head, optimizer, torch.zeros(batch, width), label[:batch])  # what the first step takes is no part of it
    with Anonymous() as memory:
        began = time.perf_counter()
        cached, computed = _opened(store, rows, width, batch)
        opened = time.perf_counter()
        assert computed == 0
        order = EpochOrder(length=rows, seed=0).positions()
        for first in range(0, rows, batch):
            at = order[first : first + batch]
            _step(head, optimizer, cached.at(at), label[torch.from_numpy(at)])
        ended = time.perf_counter()
    return {"open_s": opened - began, "epoch_s": ended - opened, "anonymous": memory.most}


def _step(head: nn.Module, optimizer: torch.optim.Optimizer, features: Tensor, label: Tensor) -> None:
    optimizer.zero_grad()
    cross_entropy(head(features), label).backward()
    optimizer.step()


def _opened(store: Path, rows: int, width: int, batch: int) -> tuple[Any, int]:
    """The rows of the cache, and how many of them were not there."""
    digests = np.random.default_rng(0).integers(1, 256, (rows, 16), dtype=np.uint8).view("S16")[:, 0]
    cut = Cut(Place(1, True), "0" * 16, (width,), facts={"stages": {"made": []}, "pooled": True}, fingerprint=(0.0,))

    def made(positions: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], dict[Cut, Tensor]]]:
        for first in range(0, len(positions), batch):
            at = positions[first : first + batch]
            yield at, {cut: torch.rand(len(at), width)}

    cache = FeatureCache(folder=store, max_gib=1000, dtype="float32", views=0)
    cached, computed = cache.rows([cut], {"made": ImagesToCache(digests, made)})
    return cached["made", cut], computed


class Anonymous:
    """The most anonymous memory above what the process had before, looked at 50 times a second; bytes."""

    def __enter__(self) -> Anonymous:
        self._base, self.most, self._ended = _anonymous(), 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, _anonymous() - self._base)


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))


def _table(rows: list[dict[str, float]], given: argparse.Namespace) -> str:
    about = machine()
    lines = [
        f"Rows of {given.width} numbers, batches of {given.batch:,}; of several jobs the median.",
        "",
        "| rows | GB on disk | fill s | jobs | open s | epoch s | us a row | anonymous MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        per_row = 1e6 * (row["open_s"] + row["epoch_s"]) / row["rows"]
        cells = (
            f"{row['rows']:,}", f"{row['bytes'] / 1e9:.2f}", f"{row['fill_s']:.1f}", f"{row['jobs']}",
            f"{row['open_s']:.2f}", f"{row['epoch_s']:.2f}", f"{per_row:.1f}", f"{row['anonymous'] / 2**20:,.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    command = f"python benchmarks/cache_rows.py --rows {given.rows} --jobs {given.jobs}"
    return "\n".join([*lines, "", f"{about['machine']}; {about['versions']}; `{command}`."])


if __name__ == "__main__":
    sys.exit(main())

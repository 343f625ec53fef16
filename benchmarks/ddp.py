"""Which ways of unfreezing keep the replicas of a model equal.

make bench-ddp: two CPU processes over gloo, the same script, model, data and schedule for each way; three seeds. Writes
benchmarks/RESULTS-ddp.md and copies it into docs/how_to/unfreezing.md. Exit code 1 where headstart does not keep its
word.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from ddp_findings import Finding, finding
from ddp_rank import run
from ddp_tables import in_page, tables
from ddp_task import RANKS
from ddp_ways import WAYS

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "how_to" / "unfreezing.md"
LIMIT_S, GRACE_S = 120, 10  # of a process; of the other rank once one has failed
PACKAGES = ("pytorch_lightning", "lightning.pytorch", "finetuning_scheduler", "headstart.callbacks.training.unfreeze")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    arguments.add_argument("--dry", action="store_true", help="print the tables, write no file")
    chosen = arguments.parse_args()
    for package in PACKAGES:  # to import takes longer than a run, and each run has processes of its own, forked
        import_module(package)
    found: dict[str, list[Finding]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.ways:
            began = time.monotonic()
            found[name] = [one_seed(name, seed, Path(folder) / name / f"seed{seed}") for seed in range(chosen.seeds)]
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    text = tables(found)
    if chosen.dry:
        print(text)
    else:
        (HERE / "RESULTS-ddp.md").write_text(f"# Unfreezing on two processes\n\n{text}", encoding="utf-8")
        PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    promised = [(name, seed, one) for name in ("control", "headstart") for seed, one in enumerate(found.get(name, []))]
    broken = [f"{name}, seed {seed}" for name, seed, one in promised if not holds(one)]
    print(f"not as promised: {'; '.join(broken)}" if broken else "headstart and the control: as promised")
    return 1 if broken else 0


def holds(one: Finding) -> bool:
    """Whether replicas are equal to the bit, closed parts still, the traffic that of the open weights, and a resumed
    run the uninterrupted one."""
    return (
        one.error is None
        and one.error_resumed is None
        and not any(one.drift)
        and one.sent == one.open
        and one.closed_weights_move == "no"
        and not (one.closed_statistics_move or one.closed_in_training)
        and one.resumed_differs == 0
    )


def one_seed(name: str, seed: int, folder: Path) -> Finding:
    """What a way does with a seed: a whole run, and one that goes on from a checkpoint of it."""
    folder.mkdir(parents=True)
    for kind in ("whole", "resumed"):
        port = _free_port()
        arguments = [(name, seed, folder, kind, rank, port) for rank in range(RANKS)]
        ranks = [multiprocessing.get_context("fork").Process(target=run, args=given) for given in arguments]
        for rank in ranks:
            rank.start()
        _wait(ranks)
    return finding(WAYS[name], folder)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(ranks: list[multiprocessing.context.ForkProcess]) -> None:
    """Until all have ended; when one fails or takes too long, the others are ended."""
    end = time.monotonic() + LIMIT_S
    while any(rank.is_alive() for rank in ranks) and time.monotonic() < end:
        if any(rank.exitcode not in (None, 0) for rank in ranks):
            end = min(end, time.monotonic() + GRACE_S)
        time.sleep(0.05)
    for rank in ranks:
        if rank.is_alive():
            rank.kill()
        rank.join()


if __name__ == "__main__":
    sys.exit(main())

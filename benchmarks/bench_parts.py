"""Runs of the benchmark, by the question that they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench_ground import LIMIT_S, SMALL, Ground
from bench_headstart import COMMAND, swept
from bench_job import FEATURES, FULL, GRADUAL
from bench_processes import ran

Figures = dict[str, Any]
Runs = Sequence[Mapping[str, Any]]
PEERS = ("lightning", "backbone_finetuning", "finetuning_scheduler", "fastai")
OF_GRADUAL = ("base_finetuning", "finetuning_scheduler", "fastai")
HAND = ("floor", "channels_last")
BF16 = "trainer.precision=bf16-mixed"
OURS: Mapping[str, Sequence[str]] = {"headstart": (), "headstart_bf16": (BF16,)}
SPARED = "start_class_means=false"  # a look at some training images before the first step that no peer takes
LR, WEIGHT_DECAY = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (0, 0.01, 0.1, 1)
SIZES = tuple(2**n for n in range(9, 15))
STEPS_EPOCHS, STEPS_BETWEEN = 61, 10  # the first epochs, in which everything becomes warm, do not count


@dataclass(frozen=True, kw_only=True)
class Part:
    """question: its title. cells: of the ground and all runs so far -> way -> (repeat -> figures). peers: the ways of
    which only those near the fastest are repeated: within `near` times it. minutes: about how long it takes with
    3 repeats, 512 images and 2 cores. times: how often each repeat is done."""

    name: str
    question: str
    cells: Callable[[Ground, Runs], dict[str, Callable[[int], Figures]]]
    minutes: float
    peers: tuple[str, ...] = ()
    near: float = 1.3
    times: int = 1


def _fits(
    ground: Ground,
    task: str,
    epochs: int,
    peers: Sequence[str],
    *,
    ours: Mapping[str, Sequence[str]] = OURS,
    hand: Sequence[str] = HAND,
) -> dict[str, Callable[[int], Figures]]:
    """headstart with each of these settings, the hand-written ways and the peers."""

    def headstart(*more: str) -> Callable[[int], Figures]:
        return lambda repeat: ground.headstart(ground.job(task, epochs=epochs, seed=repeat), *more)

    def peer(way: str) -> Callable[[int], Figures]:
        return lambda repeat: ground.peer(
            way, ground.job(task, epochs=epochs, seed=repeat, workers=ground.workers_of(way))
        )

    return {way: headstart(*more) for way, more in ours.items()} | {way: peer(way) for way in (*hand, *peers)}


def _workers(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    def cell(way: str, workers: int) -> Callable[[int], Figures]:
        return lambda repeat: ground.peer(way, ground.job(FEATURES, epochs=1, seed=repeat, workers=workers))

    ways = ("floor", "lightning", "finetuning_scheduler", "fastai")
    return {f"{way} {workers}": cell(way, workers) for way in ways for workers in (0, 2)}


def faster_workers(runs: Runs) -> dict[str, int]:
    """Way -> the number of workers with the smaller median, as the part `workers` has found it."""
    found: dict[str, dict[int, float]] = {}
    for run in runs:
        if run["part"] == "workers" and "seconds" in run:
            way, _, count = run["way"].rpartition(" ")
            of_both = [
                r["seconds"] for r in runs if (r["part"], r["way"]) == ("workers", run["way"]) and "seconds" in r
            ]
            found.setdefault(way, {})[int(count)] = median(of_both)
    return {way: min(seconds, key=lambda count: seconds[count]) for way, seconds in found.items()}


def _features5(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    return _fits(ground, FEATURES, 5, PEERS)


def _features20(ground: Ground, runs: Runs) -> dict[str, Callable[[int], Figures]]:
    return _fits(ground, FEATURES, 20, fastest_two(runs))


def fastest_two(runs: Runs) -> tuple[str, ...]:
    """The two fastest peers of 5 epochs; those that the issue found to be, where that was not measured."""
    seconds = {
        way: median(found)
        for way in PEERS
        if (found := [r["seconds"] for r in runs if (r["part"], r["way"]) == ("features5", way) and "seconds" in r])
    }
    return tuple(sorted(seconds, key=lambda way: seconds[way])[:2]) or ("lightning", "finetuning_scheduler")


def _gradual(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    return _fits(ground, GRADUAL, 6, OF_GRADUAL)


def _full(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    ours: Mapping[str, Sequence[str]] = {"headstart": (), "headstart_spared": (SPARED,)}
    return _fits(ground, FULL, 2, ("lightning",), ours=ours, hand=())


def _sweep(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    def cell(*more: str, count: int) -> Callable[[int], Figures]:
        return lambda repeat: ground.command(ground.job(FEATURES, epochs=5, seed=repeat), *more, count=count)

    return {
        "one run": cell(count=1),
        "sweep of 20": cell(*swept(LR, WEIGHT_DECAY), count=len(LR) * len(WEIGHT_DECAY)),
        "probe of 100": cell("task=probe", count=1),
    }


def _steps(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    store = ground.folder / "steps-store"

    def headstart(repeat: int) -> Figures:
        job = ground.job(FEATURES, epochs=STEPS_EPOCHS - 1, seed=repeat)
        job = replace(job, root=str(ground.small_part(SIZES[-1])), size=SMALL)
        found = ground.headstart(
            job,
            f"feature_cache.folder={store}",
            "target.batch_size=256",
            "callbacks.checkpoint=null",
            f"trainer.check_val_every_n_epoch={STEPS_BETWEEN}",
        )
        if "error" in found:
            return found
        first, last = next(one for one in found["evaluations"] if one["step"]), found["evaluations"][-1]
        rate = (last["step"] - first["step"]) / (last["wall_s"] - first["wall_s"])
        return {"steps_a_second": rate, "peak_mib": found["peak_mib"]}

    def peer(way: str) -> Callable[[int], Figures]:
        return lambda repeat: ground.peer(way, ground.job(FEATURES, epochs=STEPS_EPOCHS, seed=repeat))

    return {
        "headstart": headstart,
        **{way: peer(way) for way in ("steps_loop", "steps_bare", "steps_lightning", "steps_fastai")},
    }


def _startup(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    def headstart(repeat: int) -> Figures:
        folder = ground.new("startup")
        stamp = folder / "first.json"
        ends_then = ["+callbacks.bench._target_=bench_first_step.FirstStep", f"+callbacks.bench.path={stamp}"]
        done = ran([COMMAND, "mode=scratch", f"seed={repeat}", *ends_then], cwd=folder, limit_s=LIMIT_S)
        if done.error or not stamp.exists():
            return {"error": done.error or "ended before its first step"}
        first = json.loads(stamp.read_text(encoding="utf-8"))["done"]
        return {"seconds": first - done.began, "peak_mib": done.peak_mib}

    return {"headstart": headstart, "imports": lambda _: ground.imports()}


def _scaling(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    def cell(count: int) -> Callable[[int], Figures]:
        def run(repeat: int) -> Figures:
            job = ground.job(FEATURES, epochs=3, seed=repeat)
            return ground.headstart(replace(job, root=str(ground.small_part(count)), size=SMALL))

        return run

    return {f"{count}": cell(count) for count in SIZES if count <= ground.largest}


def _photos(ground: Ground, _: Runs) -> dict[str, Callable[[int], Figures]]:
    if ground.photos is None:
        return {}
    root, weights = ground.photos

    def job(way: str, repeat: int) -> Any:
        plain = ground.job(FEATURES, epochs=5, seed=repeat, workers=ground.workers_of(way))
        return replace(plain, root=root, weights=weights, model="mobilenet_v2")

    def headstart(*more: str) -> Callable[[int], Figures]:
        # there is no test/ but photos of val/, and nothing here looks at the test's figures
        return lambda repeat: ground.headstart(job("headstart", repeat), "target.leakage=allow", *more)

    cells = {way: headstart(*more) for way, more in OURS.items()}
    for way in (*HAND, *PEERS):
        cells[way] = lambda repeat, way=way: ground.peer(way, job(way, repeat))  # type: ignore[misc]
    return cells


PARTS = {
    part.name: part
    for part in (
        Part(name="workers", question="0 or 2 workers for the peers' loaders", cells=_workers, minutes=2),
        Part(name="features5", question="Feature extraction, 5 epochs", cells=_features5, minutes=10, peers=PEERS),
        Part(
            name="features20",
            question="Feature extraction, 20 epochs",
            cells=_features20,
            minutes=16,
            peers=PEERS,
            near=1.0,
        ),
        Part(name="gradual", question="Gradual, 6 epochs", cells=_gradual, minutes=16, peers=OF_GRADUAL),
        Part(name="sweep", question="A sweep over one frozen backbone", cells=_sweep, minutes=3),
        Part(name="full", question="Full fine-tuning, 2 epochs", cells=_full, minutes=5),
        Part(name="steps", question="Steps a second of a head on stored features", cells=_steps, minutes=2),
        Part(name="startup", question="Start-up", cells=_startup, minutes=2, times=3),
        Part(name="scaling", question="Number of images", cells=_scaling, minutes=4),
        Part(name="photos", question="MobileNetV2 on photos", cells=_photos, minutes=6, peers=PEERS),
    )
}

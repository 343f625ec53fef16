"""Time and memory of the same work with headstart, with its peers, and written by hand.

make bench: every way in a process of its own, the ways one after the other in each repeat. Writes
benchmarks/results.json (of parts that were not run, what it had), benchmarks/RESULTS.md and benchmarks/results.png.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_figure import draw
from bench_ground import Ground
from bench_machine import machine
from bench_parts import PARTS, SIZES, Part, faster_workers
from bench_tables import page

HERE = Path(__file__).parent


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--images", type=int, default=512, help="training images of the folder")
    arguments.add_argument("--largest", type=int, default=SIZES[-1], help="small images, at most")
    arguments.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help=", ".join(PARTS))
    arguments.add_argument("--ways", type=lambda text: text.split(","), help="of each part; all by default")
    arguments.add_argument("--all", action="store_true", help="repeat the slower peers too")
    arguments.add_argument("--out", type=Path, default=HERE, help="the folder for what is written")
    arguments.add_argument("--tables", action="store_true", help="run nothing, write the tables anew")
    chosen = arguments.parse_args()
    if unknown := [name for name in chosen.only if name not in PARTS]:
        arguments.error(f"--only takes {', '.join(PARTS)}; got {', '.join(unknown)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "results.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"parts": {}, "runs": []}
    if not chosen.tables:
        minutes = sum(PARTS[name].minutes for name in chosen.only) * chosen.repeats / 3 * chosen.images / 512
        print(f"about {minutes:.0f} minutes on 2 quiet cores: {', '.join(chosen.only)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            ground = Ground(Path(folder), images=chosen.images, largest=chosen.largest)
            for name in chosen.only:
                ground.workers = faster_workers(found["runs"])
                _run(PARTS[name], ground, found, path, chosen)
    (chosen.out / "RESULTS.md").write_text(page(found), encoding="utf-8")
    draw(found, chosen.out / "results.png")
    return 0


def _run(part: Part, ground: Ground, found: dict[str, Any], path: Path, chosen: argparse.Namespace) -> None:
    """All runs of a part; each is in the file as soon as it has ended."""
    earlier = [run for run in found["runs"] if run["part"] != part.name]
    cells = part.cells(ground, earlier)
    if chosen.ways:
        cells = {way: cell for way, cell in cells.items() if way in chosen.ways}
    if not cells:
        print(f"{part.name}: left out, its data are not there", flush=True)
        return
    began = time.monotonic()
    found["runs"] = earlier
    found["parts"][part.name] = {
        **machine(),
        "images": ground.images,
        "repeats": chosen.repeats * part.times,
        "command": f"python benchmarks/bench.py {_without_out(sys.argv[1:])}".strip(),
    }
    for repeat in range(chosen.repeats * part.times):
        for way, cell in cells.items():
            if repeat and not chosen.all and _is_slow(part, way, found["runs"]):
                continue
            before = {path.name for path in Path(ground.folder).iterdir()}
            try:
                figures = cell(repeat)
            except Exception as error:  # the rest of the parts must not be lost
                figures = {"error": f"{type(error).__name__}: {error}"}
            _tidy(ground, before)
            found["runs"].append({"part": part.name, "way": way, "repeat": repeat, **_rounded(figures)})
            _write(path, found)
            said = figures.get("error") or ", ".join(
                f"{key} {figures[key]:.4g}" for key in ("seconds", "steps_a_second", "accuracy") if figures.get(key)
            )
            print(f"{part.name} {repeat} {way}: {said}", flush=True)
    print(f"{part.name}: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)


def _without_out(given: list[str]) -> str:
    """The arguments but for the folder: it changes no figure, and is this machine's."""
    kept = [one for at, one in enumerate(given) if one.partition("=")[0] != "--out" and "--out" not in given[:at][-1:]]
    return " ".join(kept)


def _is_slow(part: Part, way: str, runs: list[dict[str, Any]]) -> bool:
    """Whether a peer's first run took more than `near` times the fastest peer's, or failed."""
    if way not in part.peers:
        return False
    first = {
        run["way"]: run.get("seconds")
        for run in runs
        if run["part"] == part.name and run["repeat"] == 0 and run["way"] in part.peers
    }
    fastest = min((seconds for seconds in first.values() if seconds), default=None)
    mine = first.get(way)
    return mine is None or (fastest is not None and mine > part.near * fastest)


def _tidy(ground: Ground, before: set[str]) -> None:
    """Remove the folders of runs: 45 MB for each checkpoint."""
    for name in {path.name for path in Path(ground.folder).iterdir()} - before:
        if name[:4].isdigit():
            shutil.rmtree(ground.folder / name, ignore_errors=True)


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}


def _write(path: Path, found: dict[str, Any]) -> None:
    """Whole or not at all."""
    parts = json.dumps(found["parts"], indent=1)
    runs = ",\n".join(json.dumps(run) for run in found["runs"])
    beside = path.with_suffix(".tmp")
    beside.write_text(f'{{"parts": {parts},\n"runs": [\n{runs}\n]}}\n', encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())

"""The slope of a comparison, and when its runs came to the baseline's levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headstart.report.analysis.run_measures import MeasuredRun
from headstart.report.curves.level_passage import Speedup, sooner
from headstart.report.curves.slope import Slope, TimedCurve, slope, without_groups
from headstart.report.statistics.jackknife import image_groups
from headstart.system.metric_direction import is_share

Pair = tuple[MeasuredRun, MeasuredRun]  # the baseline's run and the arm's, of one seed and fold


def slope_of(pairs: Sequence[Pair], metric: str) -> Slope:
    """How many times as fast the arms go through the levels that both pass, in steps at the full learning rate.

    Over seeds, and over images too where runs of different seeds are measured on the same ones.
    """
    measured_pairs = [(s, t) for s, t in pairs if len(s.curve.level) and len(t.curve.level)]
    runs = [m for pair in measured_pairs for m in pair]
    curves = [TimedCurve(m.curve.time, m.curve.level) for m in runs]
    rows = [m.rows for m in runs if m.rows is not None]
    if len(rows) == len(runs) and _share_images([s for s, _ in measured_pairs]):
        groups = image_groups([run_rows.image for run_rows in rows])
        count = 1 + max(int(group.max()) for group in groups)
        curves = [
            replace(curve, without=without_groups(run_rows.value, group, count))
            for curve, run_rows, group in zip(curves, rows, groups, strict=True)
        ]
    images = min((_images(m) for m in runs), default=0) or None
    return slope(curves[::2], curves[1::2], images=images, share=is_share(metric))


def sooner_of(pairs: Sequence[Pair]) -> tuple[Speedup, ...]:
    """How many times sooner the arm comes to what the baseline comes to, in optimizer steps."""
    base, arm = (
        ([(m.curve.step, m.curve.level) for m in side] for side in zip(*pairs, strict=True)) if pairs else ([], [])
    )
    return sooner(base, arm)


def _share_images(runs: Sequence[MeasuredRun]) -> bool:
    """Whether each run kept its answers, and two seeds have an image in common."""
    if len(runs) < 2 or any(m.rows is None for m in runs):
        return False
    earlier: set[int] = set()
    for m in runs:
        images = set(m.rows.image.tolist()) if m.rows is not None else set()
        if images & earlier:
            return True
        earlier |= images
    return False


def _images(measured: MeasuredRun) -> int:
    """Of val, that the curve is measured on; 0 where nobody knows."""
    if measured.rows is not None:
        return int(measured.rows.value.shape[1])
    size = (measured.run.result.get("sizes") or {}).get("val")
    return size if isinstance(size, int) else 0

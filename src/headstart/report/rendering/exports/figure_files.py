"""SVG and PNG files of the figures of a report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.report.analysis.study_records import Study
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.charts.arm_colours import arm_colours
from headstart.report.rendering.charts.parallel_chart import parallel_chart
from headstart.report.rendering.exports import drawn_figures
from headstart.report.rendering.exports.class_change_figure import class_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "report-figures"
KINDS = ("learning", "over", "cost", "parallel", "importance", "classes")  # what the names of the files begin with
MOST = 24  # settings whose learning curves are drawn
_DPI = 200
_SAME_BYTES = {"svg": {"Date": None}, "png": {"Software": None}}  # nothing of the time or the version


def write_figures(folder: Path, study: Study, ranking: StudyRanking) -> list[Path]:
    """The files, in <folder>/report-figures; those of an earlier report that are no more are removed.

    Args:
        folder: The study's folder.
        study: The comparison.
        ranking: All runs, ranked.
    """
    import matplotlib as mpl

    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    files = []
    with mpl.rc_context({"svg.hashsalt": "headstart", "svg.fonttype": "none", "font.family": "DejaVu Sans"}):
        for name, figure in _figures(study, ranking):
            for kind, metadata in _SAME_BYTES.items():
                file = place / f"{name}.{kind}"
                figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata)
                files.append(file)
    for file in place.iterdir():
        if file not in files and file.name.startswith(KINDS) and file.suffix in (".svg", ".png"):
            file.unlink()
    return files


def _figures(study: Study, ranking: StudyRanking) -> Iterator[tuple[str, Figure]]:
    colours = arm_colours(study)
    for number, section in enumerate(study.shown_sections[:MOST]):
        yield f"learning-{number}", drawn_figures.learning_figure(section, study, colours)
        if section.class_changes:
            yield f"classes-{number}", class_figure(section, colours)
    for axis in study.axes:
        for number, metric in enumerate(axis.metrics):
            yield f"over-{_plain(axis.key)}-{number}", drawn_figures.axis_figure(axis, metric, colours)
    for front in ranking.fronts:
        yield f"cost-{front.cost.key}", drawn_figures.cost_figure(front, ranking.board.figure)
    chart = parallel_chart(ranking)
    if chart is not None:
        yield "parallel", drawn_figures.parallel_figure(chart)
    if ranking.importance.shares:
        yield "importance", drawn_figures.importance_figure(ranking.importance.shares, ranking.board.figure.title)


def _plain(key: str) -> str:
    return re.sub(r"[^\w.-]+", "_", key)

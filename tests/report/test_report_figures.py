"""Figures of a report as files: what is drawn is what was measured, and the same runs give the same bytes."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from headstart.report.analysis.study_comparison import study_of
from headstart.report.leaderboard.study_ranking import ranking_of
from headstart.report.rendering.charts.arm_colours import arm_colours
from headstart.report.rendering.charts.parallel_chart import parallel_chart
from headstart.report.rendering.exports.drawn_figures import (
    axis_figure,
    cost_figure,
    learning_figure,
    parallel_figure,
)
from headstart.report.report_files import write_report
from headstart.report.stored_runs.study_runs import runs_below
from planted_studies import planted, write_run


def write_shots(study: Path) -> Path:
    """Two modes over three numbers of shots and two widths; the wider network takes longer."""
    for shots in (5, 10, 20):
        for width in (8, 16):
            for mode, more in (("scratch", 0.0), ("gradual", 0.1)):
                overrides = [f"mode={mode}", f"backbone.width={width}", f"target.shots={shots}", "seed=0"]
                curve = planted(0.4, 0.6 + shots / 100 + more, 0.5, 12)
                write_run(study, mode, 0, curve, overrides, wall_s=10.0 * width + shots)
    return study


def analysed(study: Path):
    runs = runs_below(study)
    comparison = study_of(runs, baseline="scratch", metric="val/accuracy")
    return comparison, ranking_of(comparison, runs)


def test_dots_are_the_means_of_the_settings(tmp_path):
    _, ranking = analysed(write_shots(tmp_path / "s"))
    (front,) = (front for front in ranking.fronts if front.cost.key == "wall_s")
    (axes,) = cost_figure(front, ranking.board.figure).axes
    drawn = {tuple(np.round(dot, 9)) for dot in axes.collections[0].get_offsets().data}
    assert drawn == {(round(g.means["wall_s"], 9), round(g.means["value"], 9)) for g in ranking.groups}
    line = axes.lines[0]
    assert list(line.get_xdata()) == [group.means["wall_s"] for group in front.front]


def test_lines_are_the_means_of_the_arms_and_of_the_places_on_an_axis(tmp_path):
    study, _ = analysed(write_shots(tmp_path / "s"))
    section = study.sections[0]
    (axes,) = learning_figure(section, study, arm_colours(study)).axes
    for line, arm in zip(axes.lines, section.all_arms, strict=True):
        np.testing.assert_allclose(line.get_ydata(), arm.runs[0].curve.level)
    (axis,) = (axis for axis in study.axes if axis.key == "target.shots")
    metric = axis.metrics[0]
    (axes,) = axis_figure(axis, metric, arm_colours(study)).axes
    for bar, line in zip(axes.containers, axis.lines, strict=True):
        np.testing.assert_allclose(bar[0].get_xdata(orig=False), [5, 10, 20])
        np.testing.assert_allclose(
            bar[0].get_ydata(orig=False), [point.levels[metric].mean.mean for point in line.points]
        )


def test_parallel_coordinates_have_a_line_for_each_setting_and_the_best_one_ends_highest(tmp_path):
    _, ranking = analysed(write_shots(tmp_path / "s"))
    chart = parallel_chart(ranking)
    assert chart is not None
    assert [axis.title for axis in chart.axes] == ["mode", "backbone.width", "target.shots", "val/accuracy"]
    (axes,) = parallel_figure(chart).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(chart.axes)]
    assert len(curves) == 12
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in curves]
    assert curves[-1].get_linewidth() > 2
    assert ends[-1] == min(ends), "from the top"


def test_each_figure_is_an_svg_with_text_and_a_png_and_old_ones_go(tmp_path):
    study = write_shots(tmp_path / "s")
    write_report(study)
    assert not (study / "report-figures").exists()
    write_report(study, figures=True)
    place = study / "report-figures"
    first = {file.name: file.read_bytes() for file in place.iterdir()}
    names = {name.rpartition(".")[0] for name in first}
    assert {"learning-0", "over-target.shots-0", "cost-wall_s", "parallel"} <= names
    assert set(first) == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    for name, content in first.items():
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG")
        else:
            words = "".join(ET.fromstring(content).itertext())
            assert "accuracy" in words
    (place / "learning-99.svg").write_text("of an earlier report")
    (place / "mine.svg").write_text("of the user")
    write_report(study, figures=True)
    (place / "mine.svg").unlink()
    assert {file.name: file.read_bytes() for file in place.iterdir()} == first

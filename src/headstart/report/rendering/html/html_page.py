"""The report as an HTML page."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headstart.report.analysis.adaptation_comparison import TEST_METRIC, AdaptationSection
from headstart.report.analysis.arms import RANDOM
from headstart.report.analysis.study_records import Question, Study, StudySection
from headstart.report.analysis.swept_keys import SweptAxis
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.charts.arm_colours import COLOURS, arm_colours
from headstart.report.rendering.charts.chart_layout import Chart
from headstart.report.rendering.charts.learning_chart import learning_charts
from headstart.report.rendering.charts.method_chart import method_chart
from headstart.report.rendering.charts.swept_key_charts import axis_charts
from headstart.report.rendering.html.answer_cards import comparison_cards, method_cards
from headstart.report.rendering.html.board.board_content import board_content
from headstart.report.rendering.html.errors.class_panel import CellRoom, class_panel
from headstart.report.rendering.html.errors.error_gallery import (
    MOST_BYTES,
    ErrorGallery,
    PageRoom,
    arm_galleries,
    method_galleries,
    run_gallery,
)
from headstart.report.rendering.tables.swept_key_tables import axis_tables
from headstart.report.rendering.tables.table_lists import closing_tables, method_tables, section_tables
from headstart.report.rendering.tables.verdict_tables import overview_table, untuned_table
from headstart.report.rendering.wording.adaptation_summary import adaptation_summary, checkpoint_choice
from headstart.report.rendering.wording.number_definitions import definitions
from headstart.report.rendering.wording.section_summary import section_summary
from headstart.report.rendering.wording.study_notes import left_out_text, look_text
from headstart.report.rendering.wording.swept_key_summary import axis_summary
from headstart.report.rendering.wording.verdict_words import AGAINST, TITLES
from headstart.system.headstart_version import VERSION

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

DRAWN = 24  # settings whose learning curves are drawn, so that the page stays small
BENEFIT_PICTURES = ("start", "slope", "asymptote")
DOMAIN_PICTURES = {"domains-pca.png": "PCA", "domains-tsne.png": "t-SNE"}  # in a run's folder


def page(
    study: Study, ranking: StudyRanking, name: str, command: str | None, folder: Path, *, errors: bool = True
) -> str:
    """The page as HTML: self-contained, readable without JavaScript.

    Args:
        study: The comparison.
        ranking: All runs, ranked.
        name: The study's name, the page's title.
        command: The command line that makes the study again; None where there is none.
        folder: Where the page will lie; links to run folders are relative to it.
        errors: Whether images of the most confident errors are shown.
    """
    colours, cells, room = arm_colours(study), CellRoom(), PageRoom(MOST_BYTES if errors else 0)
    sections = [
        _section(i, section, study, colours) | _classes(section, colours, cells, room if errors else None)
        for i, section in enumerate(study.shown_sections)
    ]
    return _template().render(
        name=name,
        study=study,
        command=command,
        board=board_content(ranking, study, folder),
        sections=sections,
        adapted=[
            _adaptation(i, section, colours) | {"galleries": method_galleries(section, room) if errors else []}
            for i, section in enumerate(study.shown_adapted)
        ],
        best=None if sections or not errors else _best_errors(ranking, study, room),
        axes=[_axis(i, axis, colours) for i, axis in enumerate(study.axes)],
        overview=overview_table(study) if len(study.shown_sections) > 1 else None,
        tables=closing_tables(study, folder),
        others=left_out_text(study) if study.others else "",
        look=look_text(study) if study.verdicts else "",
        definitions=definitions(study),
        pictures=_benefit_pictures() if study.sections else [],
        version=VERSION,
    )


def _benefit_pictures() -> list[Markup]:
    """The three benefits as drawings, which stand in the page itself."""
    from markupsafe import Markup  # jinja2 needs it

    return [Markup(_text(f"benefit_{name}.svg")) for name in BENEFIT_PICTURES]


def _text(name: str) -> str:
    """A file beside this module."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _section(index: int, section: StudySection, study: Study, colours: dict[str, int]) -> dict[str, Any]:
    charts = learning_charts(section, study, colours) if index < DRAWN else []
    missing = dict(section.missing)
    return {
        "id": f"setting-{index}",
        "setting": " ".join(section.setting),
        "summary": section_summary(section, study),
        "hints": section.hints,
        "questions": [
            {
                "title": TITLES[question],
                "against": AGAINST[question],
                "cards": comparison_cards(section.of(question), study.metric, colours),
                "missing": missing.get(question, ""),
            }
            for question in Question
            if section.of(question) or question in missing
        ],
        "as_set": untuned_table(section),
        "charts": charts,
        "readout": {chart.axis: _readout(chart) for chart in charts},
        "tables": section_tables(section, study),
        "is_drawn": index < DRAWN,
    }


def _classes(section: StudySection, colours: dict[str, int], cells: CellRoom, room: PageRoom | None) -> dict[str, Any]:
    """What the page shows of a setting's classes, and of its errors where there is room for any."""
    return {
        "panel": class_panel(section, colours, cells),
        "galleries": [] if room is None else arm_galleries(section, room),
    }


def _best_errors(ranking: StudyRanking, study: Study, room: PageRoom) -> ErrorGallery | None:
    """The errors of the best run, where no setting is shown by itself; none of adaptations, which have their own."""
    best = {entry.folder for entry in ranking.best.entries[:1]} if ranking.best else set()
    runs = [
        m.run
        for section in study.folded
        if isinstance(section, StudySection)
        for arm in section.all_arms
        for m in arm.runs
        if m.run.folder in best
    ]
    return run_gallery(runs[0], room) if runs else None


def _adaptation(index: int, section: AdaptationSection, colours: dict[str, int]) -> dict[str, Any]:
    return {
        "id": f"adaptation-{index}",
        "setting": " ".join(section.setting),
        "summary": adaptation_summary(section),
        "caption": checkpoint_choice(section),
        "hints": section.hints,
        "cards": method_cards(section, colours),
        "baseline": section.baseline.label if section.baseline else "",
        "metric": TEST_METRIC,
        "chart": method_chart(section, colours),
        "tables": method_tables(section),
        "pictures": _domain_pictures(section),
    }


def _domain_pictures(section: AdaptationSection) -> list[dict[str, str]]:
    """Those of the first seed of each method that has any, as data URLs, since the page is one file."""
    return [
        {"method": method.label, "seed": str(run.seed), "what": title, "url": _data_url(file)}
        for method in section.all_methods
        for run in sorted(method.arm.runs, key=lambda run: run.seed)[:1]
        for name, title in DOMAIN_PICTURES.items()
        if (file := run.folder / name).is_file()
    ]


def _data_url(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _axis(index: int, axis: SweptAxis, colours: dict[str, int]) -> dict[str, Any]:
    charts = axis_charts(axis, colours)
    return {
        "id": f"axis-{index}",
        "key": axis.key,
        "summary": axis_summary(axis),
        "charts": charts,
        "readout": {chart.axis: _readout(chart) for chart in charts},
        "tables": axis_tables(axis),
    }


def _readout(chart: Chart) -> dict[str, Any]:
    """What the script shows under the pointer."""
    keys = ("label", "colour", "x", "y", "at", "mean", "low", "high")
    lines = [{key: getattr(line, key) for key in keys} for line in chart.lines]
    for line in lines:
        for key in ("mean", "low", "high"):
            line[key] = [None if v is None else round(v, 4) for v in line[key]]
    return {"title": chart.title, "lines": lines}


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("headstart.report.rendering.html", "."),
        autoescape=True,  # folder names and error lines are anybody's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["path"] = lambda text: quote(text + "/")
    environment.globals["colours"] = COLOURS
    environment.globals["random"] = RANDOM
    environment.globals["board_style"] = Markup(_text("board/board.css"))
    environment.globals["error_style"] = Markup(_text("errors/errors.css"))
    environment.globals["board_script"] = Markup(_text("board/board.js"))
    return environment.get_template("page.html.jinja")

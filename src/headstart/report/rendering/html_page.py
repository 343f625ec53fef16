"""The report as a page of HTML."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headstart import __version__
from headstart.report.analysis.adaptation_comparison import FIGURE, Adapted, differences
from headstart.report.analysis.arms import RANDOM
from headstart.report.analysis.study_analysis import Benefit, Comparison, Question, Section, Study
from headstart.report.analysis.swept_keys import Axis
from headstart.report.rendering import tables
from headstart.report.rendering.axis_chart import axis_charts
from headstart.report.rendering.chart_layout import Chart, charts
from headstart.report.rendering.method_chart import method_chart
from headstart.report.rendering.number_definitions import definitions
from headstart.report.rendering.sentences import (
    AGAINST,
    GAINS,
    ICONS,
    TITLES,
    adapted_summary,
    axis_summary,
    chosen_by,
    effect,
    gain_reason,
    look_text,
    others_text,
    question,
    reason,
    summary,
    word,
)
from headstart.report.rendering.tables import Table
from headstart.report.statistics.seed_intervals import Interval, Verdict

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

COLOURS = 8  # the page's palette; further arms repeat it with other dashes

BENEFIT_PICTURES = ("start", "slope", "asymptote")
PICTURES = {"domains-pca.png": "PCA", "domains-tsne.png": "t-SNE"}  # in a run's folder


@dataclass(frozen=True)
class Bar:
    """An interval on the scale that its benefit has in all cards; per cent of the width."""

    zero: float
    mean: float
    low: float
    high: float
    known: bool


@dataclass(frozen=True)
class Answer:
    """One cell of a card."""

    question: str
    word: str
    kind: str  # yes, no, undecided, negative: how the word looks
    icon: str
    effect: str
    why: str
    bar: Bar | None


def page(study: Study, name: str, command: str | None, folder: Path) -> str:
    """The page as HTML: self-contained, readable without JavaScript."""
    colours = _colours(study)
    sections = [_section(i, section, study, colours) for i, section in enumerate(study.sections)]
    ending = [tables.level_arms(study), tables.settings(study), tables.sources(study)]
    ending += [tables.run_list(study, folder), tables.adapted_list(study, folder), tables.level_list(study, folder)]
    return _template().render(
        name=name,
        study=study,
        command=command,
        sections=sections,
        adapted=[_adapted(i, section, colours) for i, section in enumerate(study.adapted)],
        axes=[_axis(i, axis, colours) for i, axis in enumerate(study.axes)],
        overview=_overview(study) if len(study.sections) > 1 else None,
        tables=[table for table in (*ending, tables.left_out(study, folder)) if table],
        others=others_text(study) if study.others else "",
        look=look_text(study) if study.verdicts else "",
        definitions=definitions(study),
        pictures=_benefit_pictures() if study.sections else [],
        version=__version__,
    )


def _benefit_pictures() -> list[Markup]:
    """The three benefits as drawings, which stand in the page itself."""
    from markupsafe import Markup  # jinja2 needs it

    here = Path(__file__).parent
    return [Markup((here / f"benefit_{name}.svg").read_text(encoding="utf-8")) for name in BENEFIT_PICTURES]


def _section(index: int, section: Section, study: Study, colours: dict[str, int]) -> dict[str, Any]:
    drawn = charts(section, study, colours)
    shown = tables.as_set(section)
    return {
        "id": f"setting-{index}",
        "setting": " ".join(section.setting),
        "summary": summary(section, study),
        "hints": section.hints,
        "questions": [
            {
                "title": TITLES[asked],
                "against": AGAINST[asked],
                "cards": _cards(section.of(asked), study.metric, colours),
                "missing": dict(section.missing).get(asked, ""),
            }
            for asked in Question
            if section.of(asked) or asked in dict(section.missing)
        ],
        "as_set": shown,
        "charts": drawn,
        "readout": {chart.axis: _readout(chart) for chart in drawn},
        "tables": tables.of_section(section, study),
    }


def _adapted(index: int, section: Adapted, colours: dict[str, int]) -> dict[str, Any]:
    shown = [tables.methods(section), tables.per_class(section), tables.oracle(section)]
    return {
        "id": f"adaptation-{index}",
        "setting": " ".join(section.setting),
        "summary": adapted_summary(section),
        "caption": chosen_by(section),
        "hints": section.hints,
        "cards": _method_cards(section, colours),
        "baseline": section.baseline.label if section.baseline else "",
        "figure": FIGURE,
        "chart": method_chart(section, colours),
        "tables": [table for table in shown if table],
        "pictures": _pictures(section),
    }


def _pictures(section: Adapted) -> list[dict[str, str]]:
    """Those of the first seed of each method that has any, as data URLs, since the page is one file."""
    return [
        {"method": one.label, "seed": str(run.seed), "what": what, "url": _data_url(file)}
        for one in section.all_methods
        for run in sorted(one.arm.runs, key=lambda run: run.seed)[:1]
        for name, what in PICTURES.items()
        if (file := run.folder / name).is_file()
    ]


def _data_url(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _axis(index: int, axis: Axis, colours: dict[str, int]) -> dict[str, Any]:
    drawn = axis_charts(axis, colours)
    return {
        "id": f"axis-{index}",
        "key": axis.key,
        "summary": axis_summary(axis),
        "charts": drawn,
        "readout": {chart.axis: _readout(chart) for chart in drawn},
        "tables": tables.along(axis),
    }


def _cards(comparisons: tuple[Comparison, ...], metric: str, colours: dict[str, int]) -> list[dict[str, Any]]:
    """One card a mode, one answer a benefit."""
    scales = {}
    for i in range(len(comparisons[0].benefits) if comparisons else 0):
        ours = [c.benefits[i].difference for c in comparisons]
        limits = [x for d in ours for x in (d.mean, d.low, d.high) if math.isfinite(x)]
        scales[i] = (min([*limits, 0.0]), max([*limits, 0.0]))
    return [
        {
            "label": c.label,
            "colour": colours.get(c.label, 1),
            "pairs": len(c.replicates),
            "against": c.against,
            "over": c.over,
            "differs": "; ".join(c.differs),
            "answers": [_answer(b, metric, scales[i]) for i, b in enumerate(c.benefits)],
        }
        for c in comparisons
    ]


def _method_cards(section: Adapted, colours: dict[str, int]) -> list[dict[str, Any]]:
    """One card a method, its one answer."""
    limits = [x for d in differences(section) for x in (d.mean, d.low, d.high) if math.isfinite(x)]
    scale = min([*limits, 0.0]), max([*limits, 0.0])
    return [
        {
            "label": one.label,
            "colour": colours[one.label],
            "pairs": one.difference.n,
            "against": section.baseline.label if section.baseline else "",
            "over": one.over,
            "differs": "",
            "answers": [
                Answer(
                    question="the target's test accuracy",
                    word=GAINS[one.verdict],
                    kind=_kind(one.verdict),
                    icon=ICONS[one.verdict],
                    effect=effect("asymptote", one.difference) if math.isfinite(one.difference.mean) else "",
                    why=gain_reason(one),
                    bar=_bar(one.difference, scale),
                )
            ],
        }
        for one in section.methods
        if one.difference is not None and one.verdict is not None
    ]


def _answer(benefit: Benefit, metric: str, scale: tuple[float, float]) -> Answer:
    answered = benefit.verdict is not Verdict.NOT_ANSWERED
    shown = effect(benefit.measure, benefit.difference) if answered else "–"
    return Answer(
        question=question(benefit.name, metric),
        word=word(benefit),
        kind=_kind(benefit.verdict),
        icon=ICONS[benefit.verdict],
        effect="" if shown == "–" else shown,
        why=reason(benefit),
        bar=_bar(benefit.difference, scale) if answered else None,
    )


def _kind(verdict: Verdict) -> str:
    return verdict.split()[0]


def _bar(difference: Interval, scale: tuple[float, float]) -> Bar | None:
    low, high = scale
    if not math.isfinite(difference.mean) or high <= low:
        return None
    edge = 0.06 * (high - low)

    def place(value: float) -> float:
        return round(100 * (value - low + edge) / (high - low + 2 * edge), 2)

    known = difference.known
    ends = (difference.low, difference.high) if known else (difference.mean, difference.mean)
    return Bar(place(0.0), place(difference.mean), place(ends[0]), place(ends[1]), known)


def _overview(study: Study) -> Table:
    """Settings and modes by benefits: the words alone."""
    compared = [(section, c) for section in study.sections for c in section.comparisons]
    names = [question(b.name, study.metric) for b in compared[0][1].benefits] if compared else []
    rows = [
        [
            tables.Cell(" ".join(section.setting) or "all others"),
            tables.Cell(c.label, f"against {c.against}"),
            *(_overview_cell(b) for b in c.benefits),
        ]
        for section, c in compared
    ]
    return Table("Overview of the settings", ["setting", "mode", *names], rows)


def _overview_cell(benefit: Benefit) -> tables.Cell:
    shown = "" if benefit.verdict is Verdict.NOT_ANSWERED else effect(benefit.measure, benefit.difference)
    return tables.Cell(f"{ICONS[benefit.verdict]} {word(benefit)}", "" if shown == "–" else shown)


def _readout(chart: Chart) -> dict[str, Any]:
    """What the script shows under the pointer."""
    keys = ("label", "colour", "x", "y", "at", "mean", "low", "high")
    lines = [{key: asdict(line)[key] for key in keys} for line in chart.lines]
    for line in lines:
        for key in ("mean", "low", "high"):
            line[key] = [None if v is None else round(v, 4) for v in line[key]]
    return {"title": chart.title, "lines": lines}


def _colours(study: Study) -> dict[str, int]:
    """Arm -> number of its colour; the same on the whole page, 0 for baselines."""
    found: dict[str, int] = {}
    for section in study.sections:
        for arm in section.all_arms:
            if section.baseline is not None and arm.label == section.baseline.label:
                found[arm.label] = 0
            elif arm.label not in found:
                treated = found.get(arm.label.replace(f" {RANDOM}", ""))  # a control has the colour of its arm
                found[arm.label] = treated or 1 + max(found.values(), default=0)
    for adapted in study.adapted:
        for one in adapted.all_methods:
            if one is adapted.baseline:
                found[one.label] = 0
            elif one.label not in found:
                found[one.label] = 1 + sum(colour > 0 for colour in found.values())
    for axis in study.axes:
        for line in axis.lines:
            if line.label not in found:
                found[line.label] = 0 if line.is_baseline else 1 + sum(colour > 0 for colour in found.values())
    return found


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("headstart.report.rendering", "."),
        autoescape=True,  # folder names and error lines are anybody's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["path"] = lambda text: quote(text + "/")
    environment.globals["colours"] = COLOURS
    environment.globals["random"] = RANDOM
    return environment.get_template("page.html.jinja")

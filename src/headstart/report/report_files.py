"""The report of a folder, written into it."""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.report.analysis.adaptation_comparison import TEST_METRIC
from headstart.report.analysis.study_comparison import study_of
from headstart.report.analysis.study_records import Study
from headstart.report.rendering.reproduction_command import command, planned_seeds
from headstart.report.rendering.study_with_short_paths import short_command, short_study
from headstart.report.rendering.tensorboard_arms import write_arms
from headstart.report.rendering.terminal_report import terminal_report
from headstart.report.stored_runs.study_runs import LeftOutRun, RunsBelow, runs_below
from headstart.system.files.atomic_write import write_whole
from headstart.types import UserError

if TYPE_CHECKING:
    from headstart.report.leaderboard.study_ranking import StudyRanking

log = logging.getLogger(__name__)
BEFORE_RANKINGS = ("report.json", "report.md", "report.html")  # what a report of format 2 wrote
OURS = "<footer>headstart "  # in a page


@dataclass(frozen=True)
class WrittenReport:
    """A report that lies on disk."""

    page: Path  # report.html; report.md, report.json, report.csv and report.tex beside it
    study: Study
    text: str  # the verdicts, for a terminal


def write_report(
    folder: Path,
    *,
    baseline: str = "scratch",
    metric: str | None = None,
    runs: Collection[str] | None = None,
    figures: bool = False,
    errors: bool = True,
    studies: Sequence[Path] = (),
) -> WrittenReport:
    """Write report.html, report.md, report.json, report.csv and report.tex of the runs below a folder into it.

    Args:
        folder: The study's folder.
        baseline: The mode that the others are compared with.
        metric: A column of metrics.csv that is measured at each evaluation; None for that of most runs.
        runs: Names of run folders, to report on these alone.
        figures: Draw each figure too, as SVG and PNG in report-figures/.
        errors: Show images of the most confident errors in the page.
        studies: Folders whose runs stand side by side in the place of those in the folder, which may be new.

    Raises:
        UserError: There is no such folder, no finished run or no such metric.
    """
    from headstart.report.leaderboard.study_ranking import ranking_of
    from headstart.report.rendering.exports.figure_files import write_figures
    from headstart.report.rendering.exports.json_record import looks_in

    runs_found = _joined([_found(place, runs) for place in studies or (folder,)])
    if studies:
        folder.mkdir(parents=True, exist_ok=True)
    named = Counter(run.monitor for run in (*runs_found.finished, *runs_found.levels) if not run.adapts)
    metric = metric or (named.most_common(1)[0][0] if named else TEST_METRIC)
    usable = _with_metric(runs_found, metric)
    history = looks_in(_earlier(folder / "report.json"))
    whole = study_of(usable, baseline=baseline, metric=metric, history=history, planned=planned_seeds(folder))
    study = short_study(whole, usable)
    ranking = ranking_of(study, usable)
    name = folder.resolve().name
    reproduction = short_command(command(folder, [*usable.finished, *usable.levels]))
    texts = _texts(study, ranking, folder, reproduction, errors=errors)
    _check_own(folder, texts)
    try:
        for file, text in texts.items():  # only when all of them could be made, so that they agree
            write_whole(folder / file, text)
        if figures:
            write_figures(folder, study, ranking)
    except OSError as error:
        raise UserError(
            f"the report of {folder} cannot be written into it ({error.strerror}); its runs are as they were: make the "
            f"folder writable, or make room on its disk, then headstart task=report report.dir={folder}"
        ) from error
    text = terminal_report(study, ranking, name)
    try:
        write_arms(folder, study, text)
    except OSError as error:  # the report itself is there
        log.warning("the arms of %s cannot be written for TensorBoard: %s", folder, error.strerror)
    return WrittenReport(folder / "report.html", study, text)


def _texts(
    study: Study, ranking: StudyRanking, folder: Path, reproduction: str | None, *, errors: bool
) -> dict[str, str]:
    """The files of a report by their names."""
    from headstart.report.rendering.exports.json_layout import json_text
    from headstart.report.rendering.exports.json_record import record
    from headstart.report.rendering.exports.ranking_record import ranking_record
    from headstart.report.rendering.exports.run_csv import run_csv
    from headstart.report.rendering.exports.setting_latex import setting_latex
    from headstart.report.rendering.html.html_page import page
    from headstart.report.rendering.markdown_report import markdown  # here: jinja2 only where a page is written

    name = folder.resolve().name
    content = record(study, name, reproduction) | ranking_record(ranking, study, folder)
    return {
        "report.json": json_text(content),
        "report.md": markdown(study, ranking, name, reproduction),
        "report.html": page(study, ranking, name, reproduction, folder, errors=errors),
        "report.csv": run_csv(ranking, folder),
        "report.tex": setting_latex(ranking),
    }


def _check_own(folder: Path, files: Iterable[str]) -> None:
    """Raise UserError where files of a report's names are something else, which would be lost."""
    earlier = _earlier(folder / "report.json")
    ours: tuple[str, ...] = ()
    if isinstance(earlier, dict) and {"format", "study", "metric"} <= earlier.keys():
        ours = BEFORE_RANKINGS if "ranking" not in earlier else tuple(files)
    present = [file for file in files if file not in ours and (folder / file).exists()]
    if ours and not present:
        return
    page = folder / "report.html"
    if present and (ours or not (page.is_file() and OURS in page.read_text(encoding="utf-8", errors="replace"))):
        raise UserError(
            f"{folder} holds {', '.join(present)} of something else, which a report would replace; move them away, "
            f"then headstart task=report report.dir={folder}"
        )


def _earlier(file: Path) -> object:
    """An earlier report.json; None where there is none that can be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _found(folder: Path, runs: Collection[str] | None) -> RunsBelow:
    if not folder.is_dir():
        beside = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        holdings = f"{folder.parent} holds {', '.join(beside[:20])}" if beside else f"{folder.parent} holds no folder"
        raise UserError(f"expected the folder of a study, but there is no {folder}; {holdings}")
    folder_runs = runs_below(folder, runs)
    if not folder_runs.finished and not folder_runs.levels:
        states = [f"{o.folder.name}: {o.state}, {o.why}" for o in folder_runs.others[:5]]
        holdings = f"{len(folder_runs.others)} others ({'; '.join(states)})" if states else "no run at all"
        raise UserError(
            f"expected finished runs (folders with a result.json) below {folder}, found {holdings}; "
            "try: headstart -m mode=scratch,fine_tuning seed=0,1,2,3,4"
        )
    return folder_runs


def _joined(parts: Sequence[RunsBelow]) -> RunsBelow:
    """What lies below several folders."""
    return RunsBelow(
        tuple(run for part in parts for run in part.finished),
        tuple(run for part in parts for run in part.others),
        tuple(result for part in parts for result in part.levels),
    )


def _with_metric(runs: RunsBelow, metric: str) -> RunsBelow:
    """The runs that measured the metric, of an adaptation its own; the others are listed as damaged."""
    adapted = tuple(run for run in runs.finished if run.adapts)
    others = tuple(run for run in runs.finished if not run.adapts)
    having = tuple(run for run in others if any(metric in row for row in run.rows.values()) or not run.validates)
    levels = tuple(result for result in runs.levels if any(metric in metrics for metrics in result.levels.values()))
    measured = tuple(run for run in adapted if math.isfinite(run.final_metric(TEST_METRIC)))
    if adapted and not others and not runs.levels:
        if metric != TEST_METRIC:
            raise UserError(
                f"runs with an adaptation are compared by {TEST_METRIC}, the target's, as their val is the source's; "
                f"got report.metric={metric}; leave it out"
            )
        if not measured:
            raise UserError(f"expected runs whose result.json has {TEST_METRIC}, found none among {len(adapted)}")
    elif not having and not levels:
        columns = {key for run in others for row in run.rows.values() for key in row}
        columns |= {tag for result in runs.levels for metrics in result.levels.values() for tag in metrics}
        valid = sorted(key for key in columns if key.startswith("val/")) or sorted(columns)
        raise UserError(
            f"expected a metric that the runs measured, got {metric}; the metrics.csv have {', '.join(valid)}"
        )
    kept = {run.folder for run in having}
    lacking = tuple(
        LeftOutRun(run.folder, "damaged", f"metrics.csv has no {metric}") for run in others if run.folder not in kept
    )
    lacking += tuple(
        LeftOutRun(result.folder, "damaged", f"result.json has no {metric}")
        for result in runs.levels
        if result not in levels
    )
    lacking += tuple(
        LeftOutRun(run.folder, "damaged", f"result.json has no {TEST_METRIC}") for run in adapted if run not in measured
    )
    return RunsBelow(having + measured, runs.others + lacking, levels)

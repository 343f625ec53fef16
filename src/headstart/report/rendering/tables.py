"""Tables of a report."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.report.analysis.adaptation_comparison import BASELINE, FIGURE, SOURCE, Adapted, recalls
from headstart.report.analysis.finished_runs import Levels, Run
from headstart.report.analysis.phase_costs import phases_of
from headstart.report.analysis.run_measures import END, MEASURES, START, Measure, Measured, median_reached
from headstart.report.analysis.study_analysis import ArmSummary, Comparison, Question, Section, Study
from headstart.report.analysis.swept_keys import Axis
from headstart.report.config_values import leaves
from headstart.report.curves.learning_curve import lower_is_better
from headstart.report.curves.level_passage import Sooner
from headstart.report.rendering.sentences import (
    AGAINST,
    TITLES,
    answer,
    effect,
    gain,
    gain_reason,
    level_text,
    number,
    plus_minus,
    question,
    reach_text,
    reason,
    sooner_text,
    span,
)
from headstart.report.statistics.seed_intervals import Interval

_AXES = {"step": "steps", "examples": "images"}
_ELSEWHERE = ("logger", "callbacks", "fit", "chosen", "tuned")  # groups that change no figure, and what was tried
_CLASSES = 50  # more of them nobody reads in a row


@dataclass(frozen=True)
class Cell:
    """One figure."""

    text: str
    below: str = ""  # smaller, under it
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of figures; the first cell of a row names it."""

    title: str
    head: list[str]
    rows: list[list[Cell]]
    note: str = ""


def verdicts(section: Section, asked: Question, metric: str) -> Table | None:
    """Modes by benefits for one question: the word, the difference and why; None where nothing was compared."""
    found = section.of(asked)
    if not found:
        return None
    names = [question(b.name, metric) for b in found[0].benefits]
    rows = [
        [
            Cell(c.label),
            Cell(c.against, "differs also in " + "; ".join(c.differs) if c.differs else "the same settings"),
            *(Cell(answer(b), reason(b)) for b in c.benefits),
            Cell(str(len(c.replicates)), f"interval over {c.over}"),
        ]
        for c in found
    ]
    return Table(TITLES[asked], ["mode", "against", *names, "pairs"], rows, f"Compared with {AGAINST[asked]}.")


def as_set(section: Section) -> Table | None:
    """Differences without a verdict, where arms ran at one setting each; None where all have one."""
    found = [c for c in section.of(Question.PRACTICE) if c.unanswered]
    if not found:
        return None
    rows = [
        [
            Cell(c.label),
            Cell(effect(END, c.differences[END])),
            Cell(effect("slope", c.differences["slope"])),
            Cell(c.unanswered),
        ]
        for c in found
    ]
    base = section.baseline.label if section.baseline else ""
    note = (
        "Figures, no verdicts: weights, rates and head differ at once, and nobody has looked for either arm's best "
        "setting."
    )
    return Table(
        f"At these settings, against {base}", ["mode", "level at the end", "speed", "why no verdict"], rows, note
    )


def times(section: Section) -> Table | None:
    """How many times sooner each arm came to the baseline's levels; None where nothing was compared."""
    found = section.of(Question.PRACTICE) or section.of(Question.WEIGHTS)
    listed = [c for c in found if c.sooner]
    if not listed:
        return None
    head = ["mode", *(_share(one.share) for one in listed[0].sooner)]
    rows = [[Cell(c.label), *(_sooner_cell(one, c) for one in c.sooner)] for c in listed]
    base = listed[0].against
    note = (
        f"How many times fewer optimizer steps an arm took to a level of {base}: ratio of the medians over the runs, "
        "and how many runs came there. A run that never comes there counts as later than all others. No verdict: "
        "a head start and a higher ceiling make it larger too."
    )
    return Table(f"Sooner at the levels of {base}", head, rows, note)


def _share(share: float) -> str:
    return "final level" if share == 1 else f"{100 * share:.0f} % of the rise"


def _sooner_cell(one: Sooner, c: Comparison) -> Cell:
    came = [sum(time is not None for time in side) for side in (one.scratch, one.transfer)]
    return Cell(sooner_text(one), f"{came[1]} of {len(one.transfer)} runs, {c.against} {came[0]} of {len(one.scratch)}")


def tuning(section: Section) -> Table | None:
    """What each arm tried and chose, what that cost, and whether the choice lies at the border; None without tuning."""
    rows = []
    for arm in section.all_arms:
        tuned = arm.arm.tuned
        if tuned is None:
            continue
        chosen, cost = tuned.get("chosen") or {}, tuned.get("cost") or {}
        border = ", ".join(map(str, tuned.get("border") or ()))
        space = ", ".join(f"{key} {_plain(value)}" for key, value in (tuned.get("space") or {}).items())
        rows.append(
            [
                Cell(arm.label),
                Cell(str(tuned.get("trials")), f"seeds {', '.join(map(str, tuned.get('seeds') or ()))}"),
                Cell(space or "–"),
                Cell(", ".join(f"{key}={_significant(value)}" for key, value in chosen.items()) or "–"),
                Cell(f"warning: {border} at the border; widen the space" if border else "inside"),
                Cell(_number(cost.get("wall_s"), 1)),
                Cell(_number(cost.get("examples"), 0)),
            ]
        )
    if not rows:
        return None
    head = ["mode", "settings tried", "space", "chosen on val", "place in the space", "seconds", "images"]
    note = "Trials have seeds of their own and never look at test; what they took is not in the runs' own cost."
    return Table("What tuning tried and chose", head, rows, note)


def label_budget(section: Section) -> Table | None:
    """How many labelled images each arm read; None where nobody knows."""
    if not any(of for arm in section.all_arms for of in arm.labelled.values()):
        return None
    rows = []
    for arm in section.all_arms:
        train, val = (arm.labelled.get(split, ()) for split in ("train", "val"))
        total = f"{min(train) + min(val):,}" if train and val else "–"
        rows.append(
            [Cell(arm.label), *(Cell(" or ".join(f"{n:,}" for n in of) or "–") for of in (train, val)), Cell(total)]
        )
    note = (
        "Images whose labels a run read. Those of val choose the checkpoint and draw the curve; target.val_shots=n "
        "reads n a class, 0 none. Test labels are read once, by the figures alone."
    )
    return Table("Labelled images used", ["mode", "to train", "val", "together"], rows, note)


def of_section(section: Section, study: Study) -> list[Table]:
    """The tables of a section below its verdicts."""
    found = [
        figures(section, study),
        times(section),
        tuning(section),
        label_budget(section),
        test_figures(section),
        costs(section, study),
        throughput(section),
    ]
    return [table for table in found if table is not None]


def figures(section: Section, study: Study) -> Table:
    """Measures by arms: the mean with its interval, below it the comparison with the baseline."""
    asked = Question.PRACTICE if section.of(Question.PRACTICE) else Question.WEIGHTS
    compared = {c.label: c.differences for c in section.of(asked)}
    rows = []
    for measure in MEASURES:
        cells = [_figure(measure, arm, compared.get(arm.label), study.metric) for arm in section.all_arms]
        if any(cell.text != "–" or cell.below for cell in cells):
            used = _start_images(section) if measure.key == START else ""
            rows.append([Cell(_title(measure), measure.what + used), *cells])
    base = f"; below, the difference to {section.baseline.label}" if section.baseline else ""
    note = f"Mean with its 95 % interval{base}, paired by seed."
    if lower_is_better(study.metric):
        note += " Differences are improvements: lower levels of this metric are better."
    return Table(f"All measures of {study.metric}", ["measure", *(a.label for a in section.all_arms)], rows, note)


def _start_images(section: Section) -> str:
    """How many training images the closed form was made of; empty where nobody says it."""
    found = [m.run.result.get("start_images") for arm in section.all_arms for m in arm.runs]
    used = sorted({one["used"] for one in found if isinstance(one, dict) and isinstance(one.get("used"), int)})
    return f"; head of {' or '.join(map(str, used))} training images" if used else ""


def along(axis: Axis) -> list[Table]:
    """Places by lines, a table for each figure: the mean with its interval, below it the comparison."""
    base = next((line.arm for line in axis.lines if line.is_baseline), "")
    found = []
    for figure in axis.figures:
        rows = []
        for at, text in axis.places:
            there = [next((p.levels.get(figure) for p in line.points if p.at == at), None) for line in axis.lines]
            cells = [Cell("–") if one is None else Cell(plus_minus(one.mean), level_text(one)) for one in there]
            rows.append([Cell(text), *cells])
        compared = any(cell.below for row in rows for cell in row)
        below = (
            f"; below, the comparison with {_partners(axis, figure, base)} there, paired by seed" if compared else ""
        )
        note = f"Mean over seeds ± half of its 95 % interval{below}."
        if figure.startswith("test/") and not compared:  # an adaptation's is compared
            note += " Chosen on val, looked at once, no part of a verdict."
        found.append(Table(f"{figure} over {axis.key}", [axis.key, *(line.label for line in axis.lines)], rows, note))
    return found


def _partners(axis: Axis, figure: str, base: str) -> str:
    """What the places of an axis are compared with."""
    levels = [p.levels[figure] for line in axis.lines for p in line.points if figure in p.levels]
    return " or ".join(dict.fromkeys(one.against or base for one in levels if one.difference is not None))


def level_arms(study: Study) -> Table | None:
    """What each arm of results without a curve reached, setting by setting; None where an axis has them all."""
    if not study.level_arms or study.axes:
        return None
    tags = list(dict.fromkeys(tag for arm in study.level_arms for tag in arm.means))
    common = frozenset(study.common)
    rows = [
        [
            Cell(" ".join([arm.label, *sorted(arm.setting - common)])),
            *(Cell(plus_minus(arm.means[tag])) if tag in arm.means else Cell("–") for tag in tags),
            Cell("–" if arm.difference is None else f"{arm.verdict} {effect('asymptote', arm.difference)}", arm.why),
            Cell(str(len(arm.seeds))),
        ]
        for arm in study.level_arms
    ]
    note = "Mean ± half of the 95 % interval over seeds. Chosen on val; test was looked at once."
    head = ["arm", *tags, f"better than {study.levels[0].baseline}", "seeds"]
    return Table("What each arm reached", head, rows, note)


def methods(section: Adapted) -> Table:
    """Methods by what they reach on the target, and what that is against the source alone."""
    rows = []
    for one in section.all_methods:
        seconds = [s for run in one.arm.runs if isinstance(s := run.result.get("wall_s"), int | float)]
        rows.append(
            [
                Cell(one.label),
                Cell(plus_minus(one.test)),
                Cell(gain(one) or "–", gain_reason(one)),
                Cell(plus_minus(one.source)),
                Cell(_number(statistics.median(seconds) if seconds else None, 1)),
                Cell(str(len(one.arm.runs))),
            ]
        )
    head = [
        "method",
        f"{FIGURE}, the target's",
        f"against {BASELINE}",
        "accuracy on the source's val",
        "seconds",
        "seeds",
    ]
    note = "Mean over seeds ± half of its 95 % interval; differences paired by seed; seconds are medians."
    return Table("What each method reaches on the target", head, rows, note)


def oracle(section: Adapted) -> Table | None:
    """What the target's test labels would have chosen, beside what was chosen without; None where no run says it."""
    if not section.has_oracle:
        return None
    rows = [
        [
            Cell(one.label),
            Cell(plus_minus(one.test)),
            Cell(plus_minus(one.oracle) if one.oracle else "–"),
            Cell(effect("asymptote", one.gap), f"{one.gap.n} of {len(one.arm.runs)} runs") if one.gap else Cell("–"),
        ]
        for one in section.all_methods
    ]
    head = ["method", "chosen without labels", "oracle: chosen by the target's test labels", "chosen − oracle"]
    note = (
        "The oracle is the best epoch by the target's test labels, which nobody has who needs an adaptation: no "
        "result, and in no verdict. The difference says what it costs to choose without them."
    )
    return Table("No result: what the target's test labels would have chosen", head, rows, note)


def per_class(section: Adapted) -> Table | None:
    """Methods by the target's classes: recall on the test; None where no run says it, or of very many classes."""
    found = {one.label: recalls(one) for one in section.all_methods}
    names = list(dict.fromkeys(name for of_method in found.values() for name in of_method))
    if not 0 < len(names) <= _CLASSES:
        return None
    rows = [
        [Cell(label), *(Cell(number(of_method[name]) if name in of_method else "–") for name in names)]
        for label, of_method in found.items()
    ]
    note = "The share of each class's test images that are recognised, mean over seeds."
    return Table("Accuracy on the target, class by class", ["method", *names], rows, note)


def test_figures(section: Section) -> Table | None:
    """Final figures on the test split by arm; None where there are none."""
    tags = sorted({tag for arm in section.all_arms for tag in arm.tests})
    if not tags:
        return None
    nothing = Interval(math.nan, math.nan, math.nan, 0, math.nan, False)
    rows = [
        [
            Cell(a.label),
            *(Cell(plus_minus(a.tests.get(tag, nothing))) for tag in tags),
            Cell(_kept(a), f"before training in {a.kept_before_training}" if a.kept_before_training else ""),
            Cell(str(len(a.runs)), f"{a.diverged} diverged" if a.diverged else ""),
        ]
        for a in section.all_arms
    ]
    note = (
        "Mean ± half of the 95 % interval over seeds, of the checkpoint that val chose; looked at once. In a verdict "
        "only where val cannot be: no val images, or all of them seen by trials."
    )
    return Table("Final figures on the test images", ["mode", *tags, "kept step", "runs"], rows, note)


def _kept(arm: ArmSummary) -> str:
    """The median step of the kept checkpoints."""
    steps = [best["step"] for m in arm.runs if isinstance(best := m.run.result.get("best"), dict) and "step" in best]
    return _number(statistics.median(steps) if steps else None, 0)


def costs(section: Section, study: Study) -> Table | None:
    """What it took to reach the baseline's final level, without and with the source; None without one."""
    if section.baseline is None or not math.isfinite(section.threshold):
        return None
    level = -section.threshold if lower_is_better(study.metric) else section.threshold
    rows = [[Cell(arm.label), Cell(reach_text(arm)), *_cost(arm)] for arm in section.all_arms]
    source = ["images with source", "seconds with source"]
    head = ["mode", "runs that reached it", "steps", "images", "seconds", *source]
    base = section.baseline.label
    note = (
        f"To reach {number(level)}, the mean final level of {base}: medians over seeds, runs that never "
        "reached it counted as later than all others."
    )
    return Table(f"Cost of reaching the final level of {base}", head, rows, note)


def throughput(section: Section) -> Table | None:
    """What each phase of each arm took; None where no run has recorded it."""
    rows = []
    for arm in section.all_arms:
        for phase in phases_of(arm.runs):
            waiting = phase["wait_share"]
            rows.append(
                [
                    Cell(arm.label),
                    Cell(phase["phase"], _opened(phase["open"])),
                    Cell(_number(phase["epochs"], 1).removesuffix(".0"), f"{_number(phase['steps'], 0)} steps"),
                    Cell(_number(phase["images_per_s"], 0)),
                    Cell("–" if waiting is None else f"{100 * waiting:.0f} %"),
                    *(Cell(_number(phase[key], 2)) for key in ("train_s", "validation_s", "store_s")),
                    Cell(_number(phase["peak_memory_mib"], 0)),
                ]
            )
    if not rows:
        return None
    head = ["mode", "phase", "epochs", "images/s", "waiting", "training, s", "validation, s", "store, s", "memory, MiB"]
    note = (
        "Medians over the seeds that came to the phase: images per second of training, its share of waiting for data "
        "(on a GPU the host's, the most that faster data could save), time of training, of validation and of filling "
        "the feature store, and the most memory."
    )
    return Table("Throughput and memory by phase", head, rows, note)


def _opened(parts: list[str]) -> str:
    """stage4, head learn."""
    return f"{', '.join(parts)} {'learns' if len(parts) == 1 else 'learn'}" if parts else ""


def settings(study: Study) -> Table:
    """What all runs share, and what made them; several values where runs differ."""
    runs = _runs(study)
    results = [run.result for run in runs]
    rows = [
        [Cell("overrides of all runs"), Cell(" ".join(study.common) or "none but mode and seed")],
        [Cell("classes"), Cell(_values(results, "num_classes"))],
    ]
    for group, word in (("sizes", "images"), ("versions", "version")):
        keys = dict.fromkeys(key for r in results if isinstance(r.get(group), dict) for key in r[group])
        parts = [f"{key} {_values([r.get(group) or {} for r in results], key)}" for key in keys]
        rows.append([Cell(word + ("s" if word == "version" else "")), Cell(", ".join(parts) or "not recorded")])
    configs = [config for run in runs if (config := run.config())]
    groups = dict.fromkeys(key for config in configs for key, node in config.items() if isinstance(node, dict))
    rows += [
        [Cell(group), Cell(_group([leaves(config.get(group)) for config in configs]))]
        for group in groups
        if group not in _ELSEWHERE
    ]
    return Table("Settings", ["what", "value"], rows)


def _group(nodes: list[dict[str, Any]]) -> str:
    """What a group's target is called, then its values; several where runs differ."""
    keys = dict.fromkeys(key for node in nodes for key in node)
    names = _values([{"name": str(node.get("_target_", "")).rpartition(".")[2]} for node in nodes], "name")
    shown = (
        f"{key}={' or '.join(dict.fromkeys(_plain(node[key]) for node in nodes if key in node))}"
        for key in keys
        if not key.rpartition(".")[2].startswith("_")
    )
    return f"{names} {' '.join(shown)}".strip()


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def sources(study: Study) -> Table | None:
    """Each source model beside the naive models on its own held-out images; None without a source."""
    found: dict[str, tuple[dict[str, Any], int]] = {}
    for run in _runs(study):
        source = run.result.get("source")
        if isinstance(source, dict):
            key = str(source.get("hash", source.get("folder")))
            found[key] = (source, found.get(key, (source, 0))[1] + 1)
    if not found:
        return None
    naive = list(dict.fromkeys(n for source, _ in found.values() for n in (source.get("naive") or {})))
    rows = []
    for key, (source, users) in found.items():
        accuracy = (source.get("metrics") or {}).get(_tested(source.get("monitor")))
        limits = source.get("accuracy_interval")
        inner = f"95 % {_number(limits[0])} to {_number(limits[1])}" if isinstance(limits, list) else ""
        rows.append(
            [
                Cell(Path(str(source.get("folder") or source.get("file") or key)).name),
                Cell(_number(accuracy), inner),
                *(Cell(_number((source.get("naive") or {}).get(name))) for name in naive),
                Cell(_number(source.get("wall_s"), 1)),
                Cell(_number(source.get("examples"), 0)),
                Cell(str(users)),
            ]
        )
    names = [name.replace("_", " ") for name in naive]
    head = ["source model", "accuracy", *names, "seconds", "images", "runs that use it"]
    return Table("The source model against naive models", head, rows, "On held-out images of the source data.")


def _runs(study: Study) -> list[Run | Levels]:
    """Every run that the report speaks of."""
    adapted = [run for section in study.adapted for one in section.all_methods for run in one.arm.runs]
    return [m.run for s in study.sections for arm in s.all_arms for m in arm.runs] + adapted + list(study.levels)


def level_list(study: Study, base: Path | None = None) -> Table | None:
    """Every finished result without a curve: its folder, seed and figures; None where there is none."""
    if not study.levels:
        return None
    arms = list(dict.fromkeys(arm for one in study.levels for arm in one.levels))
    rows = [
        [
            Cell(one.folder.name, link=_relative(one.folder, base)),
            Cell(str(one.seed)),
            *(Cell(_number(one.levels.get(arm, {}).get(study.metric))) for arm in arms),
        ]
        for one in study.levels
    ]
    return Table(f"Runs, {study.metric}", ["folder", "seed", *arms], rows)


def adapted_list(study: Study, base: Path | None = None) -> Table | None:
    """Every finished run with an adaptation: its folder, method, seed and figures; None where there is none."""
    if not study.adapted:
        return None
    rows = [
        [
            Cell(run.folder.name, link=_relative(run.folder, base)),
            Cell(one.label),
            Cell(str(run.seed)),
            Cell(number(run.figure(FIGURE))),
            Cell(number(run.figure(SOURCE))),
            Cell(run.chosen_by),
            Cell(_number((run.result.get("best") or {}).get("epoch"), 0)),
            Cell(_number(run.result.get("wall_s"), 1)),
        ]
        for section in study.adapted
        for one in section.all_methods
        for run in one.arm.runs
    ]
    head = ["folder", "method", "seed", FIGURE, "source's val", "chosen by", "at epoch", "seconds"]
    return Table("Runs with an adaptation", head, rows)


def run_list(study: Study, base: Path | None = None) -> Table | None:
    """Every finished run with a curve: its folder, seed and figures. Links are relative to `base`."""
    if not study.sections:
        return None
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    tag = _main_tag(study)
    rows = []
    for section in study.sections:
        for arm in section.all_arms:
            for m in arm.runs:
                final = m.run.result.get("metrics") or {}
                link = _relative(m.run.folder, base)
                rows.append(
                    [
                        Cell(m.run.folder.name, link=link),
                        Cell(arm.arm.name),
                        Cell(str(m.run.seed), "" if m.run.fold is None else f"fold {m.run.fold}"),
                        Cell("diverged" if m.run.has_diverged else str(m.run.result.get("state") or "finished")),
                        Cell(_level(m, START, sign)),
                        Cell(_level(m, END, sign)),
                        Cell(_number(final.get(tag))),
                        Cell(_number(m.run.result.get("wall_s"), 1)),
                    ]
                )
    head = ["folder", "mode", "seed", "state", "start in closed form", "level at the end", tag, "seconds"]
    return Table("Runs", head, rows)


def _level(one: Measured, key: str, sign: float) -> str:
    return number(sign * one.values.get(key, math.nan))


def _main_tag(study: Study) -> str:
    """The test figure that says how good a model is, of the first run."""
    runs = (m.run for section in study.sections for arm in section.all_arms for m in arm.runs)
    return _tested(next((run.monitor for run in runs), None))


def _tested(monitor: object) -> str:
    """test/accuracy of val/accuracy, which None stands for."""
    return f"test/{str(monitor or 'val/accuracy').rpartition('/')[2]}"


def left_out(study: Study, base: Path | None = None) -> Table | None:
    """Runs that failed, did not finish, cannot be read or were replaced; None where there are none."""
    rows = [[Cell(o.folder.name, link=_relative(o.folder, base)), Cell(o.state), Cell(o.why)] for o in study.others]
    return Table("Runs left out", ["folder", "state", "why"], rows) if rows else None


def _figure(measure: Measure, arm: ArmSummary, compared: dict[str, Interval] | None, metric: str) -> Cell:
    below = effect(measure, compared[measure.key]) if compared is not None else ""
    if measure.compared == "relative":
        return Cell("" if compared is None else below)
    text = span(arm.means[measure.key], sign=-1.0 if lower_is_better(metric) else 1.0)
    return Cell(text, "" if below == "–" else below)


def _title(measure: Measure) -> str:
    return f"{measure.title}, by {_AXES[measure.axis]}" if measure.axis else measure.title


def _cost(arm: ArmSummary) -> list[Cell]:
    step, examples, wall = (
        median_reached([getattr(r, key) for r in arm.reach]) for key in ("step", "examples", "wall_s")
    )
    source = arm.source
    with_examples = examples + (source.examples or math.nan) if source and examples is not None else examples
    with_wall = wall + (source.wall_s or math.nan) if source and wall is not None else wall
    return [
        Cell(_number(value, digits))
        for value, digits in ((step, 0), (examples, 0), (wall, 1), (with_examples, 0), (with_wall, 1))
    ]


def _values(dicts: list[dict[str, Any]], key: str) -> str:
    return " or ".join(dict.fromkeys(str(d[key]) for d in dicts if d.get(key) is not None)) or "not recorded"


def _significant(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _plain(value)


def _number(value: object, digits: int = 3) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")


def _relative(folder: Path, base: Path | None) -> str:
    if base is None or not folder.is_relative_to(base):
        return ""
    return folder.relative_to(base).as_posix()

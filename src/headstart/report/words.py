"""How are the figures and the verdicts said in words?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.adaptation import BASELINE, FIGURE, Adapted, Method
from headstart.report.axes import Axis, Level
from headstart.report.curves import lower_is_better
from headstart.report.measures import MEASURES, Measure
from headstart.report.statistics import Interval, Verdict, exp
from headstart.report.study import ArmSummary, Benefit, Best, Comparison, Section, Study

_BY_KEY = {measure.key: measure for measure in MEASURES}
GAINS = {  # of an adaptation, whose only question is whether it is better than the source alone
    Verdict.YES: "gain",
    Verdict.NO: "no difference",
    Verdict.UNDECIDED: "undecided",
    Verdict.NEGATIVE: "negative transfer",
}
ICONS = {Verdict.YES: "▲", Verdict.NO: "=", Verdict.UNDECIDED: "?", Verdict.NEGATIVE: "▼"}


def question(benefit: str, metric: str) -> str:
    """The benefit as a question's subject: higher start; where lower is better, better start."""
    better = "better" if lower_is_better(metric) and benefit != "slope" else "higher"
    return f"{better} {benefit}"


def number(value: float, decimals: int = 3) -> str:
    """A level with this many decimals; – for none."""
    return "–" if not math.isfinite(value) else f"{value:z,.{decimals}f}".replace("-", "−")  # z: no −0.000


def significant(value: float) -> str:
    """A rate or a slope, whose size is not known beforehand, with three significant digits."""
    return "–" if not math.isfinite(value) else f"{value:#.3g}".rstrip(".").replace("-", "−")


def signed(value: float, decimals: int | None = 3) -> str:
    """A difference with its sign; decimals None: three significant digits."""
    text = significant(value) if decimals is None else number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.") else text  # no +0.000 either


def span(measure: Measure, interval: Interval, *, sign: float = 1.0) -> str:
    """mean [low, high], or the mean alone where there is no interval."""
    shown = significant if measure.compared == "ratio" or measure.is_slope else number
    factor = sign * measure.scale
    low, high = sorted((factor * interval.low, factor * interval.high))
    inner = f" [{shown(low)}, {shown(high)}]" if interval.known else ""
    return f"{shown(factor * interval.mean)}{inner}"


def effect(measure: str | Measure, difference: Interval) -> str:
    """A comparison with its interval: +0.31 [+0.27, +0.35], or for rates 1.8× [1.2, 2.7]; - for none."""
    known = measure if isinstance(measure, Measure) else _BY_KEY[measure]
    if not math.isfinite(difference.mean):
        return "–"
    if known.compared == "ratio":
        mean, low, high = (number(exp(x), 2) for x in difference[:3])
        return f"{mean}×" + (f" [{low}, {high}]" if difference.known else "")
    if known.compared == "relative":
        mean, low, high = (f"{signed(100 * x, 1)} %" for x in difference[:3])
    else:
        mean, low, high = (signed(known.scale * x, None if known.is_slope else 3) for x in difference[:3])
    return mean + (f" [{low}, {high}]" if difference.known else "")


def answer(benefit: Benefit) -> str:
    """yes +0.31 [+0.27, +0.35]."""
    return f"{benefit.verdict} {effect(benefit.measure, benefit.difference)}".removesuffix(" –")


def reason(benefit: Benefit) -> str:
    """Why the answer is what it is, with the corrected p-value, and what else to know."""
    p = f" ({p_text(benefit.corrected_p)})" if benefit.difference.known else ""
    return f"{benefit.why}{p}" + (f"; {benefit.note}" if benefit.note else "")


def p_text(p: float) -> str:
    return "no test" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def summary(section: Section, study: Study) -> list[str]:
    """What a person takes home from a section, in sentences: what helped, what harmed, what is best."""
    if section.baseline is None:
        return ["Nothing to compare with: no baseline in this setting."]
    if not section.comparisons:
        return ["Nothing to compare: only the baseline has finished runs."]
    base = section.baseline.label
    metric = study.metric
    said = [(c.label, b) for c in section.comparisons for b in c.benefits]
    helped = _listed(said, Verdict.YES, metric, len(section.comparisons))
    harmed = _listed(said, Verdict.NEGATIVE, metric, len(section.comparisons))
    none = _listed(said, Verdict.NO, metric, len(section.comparisons))
    sentences = []
    if helped:
        sentences.append(f"Starting from the source helped: {helped}.")
    if harmed:
        harmed = harmed.replace("higher ", "lower ").replace("better ", "worse ")
        sentences.append(f"Negative transfer, worse than {base} beyond chance: {harmed}.")
    if none:
        sentences.append(f"No difference that matters: {none}.")
    if not (helped or harmed or none):
        seeds = max(len(c.seeds) for c in section.comparisons)
        more = "one seed cannot decide anything" if seeds < 2 else f"{seeds} seeds do not suffice"
        sentences.append(f"Whether starting from the source helped is undecided: {more}.")
    if section.best:
        sentences.append(_best(section, section.best, metric))
    return sentences


def gain(method: Method) -> str:
    """gain +0.19 [+0.16, +0.22]; empty for the baseline."""
    if method.difference is None or method.verdict is None:
        return ""
    return f"{GAINS[method.verdict]} {effect('asymptote', method.difference)}".removesuffix(" –")


def gain_reason(method: Method) -> str:
    """Why the word is what it is, with the corrected p-value."""
    known = method.difference is not None and method.difference.known
    return f"{method.why}{f' ({p_text(method.corrected_p)})' if known else ''}".strip()


def adapted_summary(section: Adapted) -> list[str]:
    """What a person takes home: which methods helped, which did harm, which nobody knows of."""
    if section.baseline is None:
        return ["Nothing to compare with: no run of the source alone in this setting."]
    if not section.methods:
        return ["Nothing to compare: only the source alone has finished runs."]
    base = section.baseline.label
    starts = {
        Verdict.YES: f"Adaptation helped, better than {base} on the target beyond chance",
        Verdict.NEGATIVE: f"Negative transfer, worse than {base} on the target beyond chance",
        Verdict.NO: "No difference that matters",
        Verdict.UNDECIDED: "Undecided",
    }
    sentences = []
    for word, text in starts.items():
        labels = [f"{one.label} ({_gap(one)})" for one in section.methods if one.verdict is word]
        if labels:
            sentences.append(f"{text}: {', '.join(labels)}.")
    if max(len(one.seeds) for one in section.methods) < 2:
        sentences.append("One seed cannot decide anything.")
    return sentences


def _gap(method: Method) -> str:
    return "no seed in common" if method.difference is None or not method.seeds else signed(method.difference.mean)


def chosen_by(section: Adapted) -> str:
    """Whose figures these are, and what chose the checkpoints that they are of."""
    text = (
        f"{FIGURE} is measured on the target, with each run's checkpoint chosen by {' or '.join(section.rules)}; "
        "no label of the target had a part in that. What is called val is of the source."
    )
    if len(section.rules) > 1:
        text += " " + "; ".join(f"{one.label}: by {', '.join(one.rules)}" for one in section.all_methods) + "."
    return text


def _listed(said: Sequence[tuple[str, Benefit]], word: Verdict, metric: str, modes: int) -> str:
    """higher start (all 3 modes), higher asymptote (fine_tuning, gradual)."""
    parts = []
    for name in dict.fromkeys(benefit.name for _, benefit in said):
        labels = [label for label, benefit in said if benefit.name == name and benefit.verdict is word]
        if labels:
            who = f"all {modes} modes" if len(labels) == modes > 1 else ", ".join(labels)
            parts.append(f"{question(name, metric)} ({who})")
    return ", ".join(parts)


def _best(section: Section, best: Best, metric: str) -> str:
    arm = next(arm for arm in section.all_arms if arm.label == best.label)
    sign = -1.0 if lower_is_better(metric) else 1.0
    level = number(sign * arm.means["asymptote"].mean)
    gap = effect("asymptote", best.difference)
    if best.decided:
        return f"{best.label} ends best, at {level}: decided against every other arm ({gap} to {best.against})."
    return (
        f"{best.label} has the best mean level at the end, {level}; "
        f"whether it is better than {best.against} is undecided ({gap})."
    )


def level_text(level: Level) -> str:
    """The comparison of one place on an axis: yes +0.03 [+0.01, +0.05]; empty where there is none."""
    if level.difference is None or not math.isfinite(level.difference.mean):
        return ""
    return f"{level.verdict or ''} {effect('asymptote', level.difference)}".strip()


def axis_summary(axis: Axis) -> list[str]:
    """What a person takes home from the curves over an axis: where each line is better or worse than the baseline."""
    figure = axis.figures[0]
    better, worse = ("lower", "higher") if lower_is_better(figure) else ("higher", "lower")
    words = {Verdict.YES: better, Verdict.NEGATIVE: worse, Verdict.NO: "no different", Verdict.UNDECIDED: "undecided"}
    sentences = []
    for line in axis.lines:
        compared = [(p.text, p.levels[figure].verdict) for p in line.points if figure in p.levels]
        said = [
            f"{word} at {', '.join(text for text, given in compared if given is verdict)}"
            for verdict, word in words.items()
            if any(given is verdict for _, given in compared)
        ]
        base = axis.baseline_of(line)
        if said and base is not None:
            sentences.append(f"{line.label} against {base.label}: {'; '.join(said)}.")
    return sentences + (_enough(axis, figure) if axis.counts_images else [])


def _enough(axis: Axis, figure: str) -> list[str]:
    """From how few images on the mean of each line is where its baseline's ends."""
    sign = -1.0 if lower_is_better(figure) else 1.0
    found = []
    for line in axis.lines:
        base = axis.baseline_of(line)
        if line.is_baseline or base is None or base.is_constant or figure not in base.points[-1].levels:
            continue
        last = base.points[-1]
        level = last.levels[figure].mean.mean
        places = [p for p in line.points if figure in p.levels and p.at < last.at]
        first = next((p for p in places if sign * p.levels[figure].mean.mean >= sign * level), None)
        if first is not None:
            there = f"{axis.key}={first.text} ({number(first.levels[figure].mean.mean)})"
            found.append(
                f"{line.label} with {there} is at the level of {base.label} with {last.text} ({number(level)})."
            )
    return found


def reach_text(arm: ArmSummary) -> str:
    """4 of 5, or not reached."""
    count = sum(reach.step is not None for reach in arm.reach)
    return f"{count} of {len(arm.reach)}" if count else "not reached"


def verdict_text(study: Study, name: str) -> str:
    """The verdicts for a terminal: modes by benefits, then the sentences; plain characters."""
    lines = [f"{name}: {study.metric} against {study.baseline}"]
    for section in study.sections:
        lines.append("")
        if section.setting:
            lines.append(f"  {' '.join(section.setting)}")
        if section.comparisons:
            lines += _aligned(section.comparisons, study.metric)
        lines += [f"  {sentence}" for sentence in (*summary(section, study), *section.hints)]
    for adapted in study.adapted:
        apart = ["adaptation,", FIGURE, "against", BASELINE] if study.sections or study.levels else []
        lines += ["", *([f"  {' '.join([*apart, *adapted.setting])}"] if apart or adapted.setting else [])]
        lines += _adapted_lines(adapted)
        lines += [f"  {sentence}" for sentence in (*adapted_summary(adapted), *adapted.hints, chosen_by(adapted))]
    for axis in study.axes:
        lines += ["", f"  {axis.figures[0]} over {axis.key}", *_axis_lines(axis)]
        lines += [f"  {sentence}" for sentence in axis_summary(axis)]
    if study.others:
        lines.append(f"  {others_text(study)}")
    return "\n".join(lines).translate({ord("−"): "-", ord("×"): "x", ord("–"): "-", ord("±"): "+-"})


def others_text(study: Study) -> str:
    """1 run failed, 2 are unfinished."""
    states = [other.state for other in study.others]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"Runs left out: {', '.join(counts)}."


def _aligned(comparisons: Sequence[Comparison], metric: str) -> list[str]:
    head = ["", *(question(b.name, metric) for b in comparisons[0].benefits)]
    return _columns([head, *([c.label, *(answer(b) for b in c.benefits)] for c in comparisons)])


def _adapted_lines(section: Adapted) -> list[str]:
    """Each method's level and what it gained."""
    return _columns([[one.label, plus_minus(one.test), gain(one)] for one in section.all_methods])


def _axis_lines(axis: Axis) -> list[str]:
    """The means by line and place."""
    figure = axis.figures[0]
    rows = [["", *(text for _, text in axis.places)]]
    for line in axis.lines:
        there = {p.at: p.levels[figure].mean for p in line.points if figure in p.levels}
        rows.append([line.label, *(plus_minus(there[at]) if at in there else "–" for at, _ in axis.places)])
    return _columns(rows)


def plus_minus(interval: Interval) -> str:
    """0.941 ± 0.009."""
    half = f" ± {number((interval.high - interval.low) / 2)}" if interval.known else ""
    return number(interval.mean) + half


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]

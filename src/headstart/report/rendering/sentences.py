"""Figures and verdicts of a report in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.analysis.adaptation_comparison import BASELINE, FIGURE, Adapted, Method
from headstart.report.analysis.run_measures import END, MEASURES, TEST, Measure
from headstart.report.analysis.study_analysis import ArmSummary, Benefit, Best, Comparison, Question, Section, Study
from headstart.report.analysis.swept_keys import Axis, Level
from headstart.report.curves.learning_curve import lower_is_better
from headstart.report.curves.level_passage import Sooner
from headstart.report.statistics.seed_intervals import Interval, Verdict, exp

SLOPE = Measure("slope", "Speed through the levels that both pass", "", "ratio", "in steps at the full learning rate")
_BY_KEY = {measure.key: measure for measure in (*MEASURES, SLOPE)}
GAINS = {  # of an adaptation, whose only question is whether it is better than the source alone
    Verdict.YES: "gain",
    Verdict.NO: "no difference",
    Verdict.UNDECIDED: "undecided",
    Verdict.NEGATIVE: "negative transfer",
}
ICONS = {
    Verdict.YES: "▲",
    Verdict.NO: "=",
    Verdict.UNDECIDED: "?",
    Verdict.NEGATIVE: "▼",
    Verdict.NOT_MEASURABLE: "–",
    Verdict.NOT_ANSWERED: "–",
}
NEAR = 0.02  # of two levels that may be said to be the same
_SUBJECTS = {"start": "start", "slope": "slope", "asymptote": "level at the end of the budget"}
TITLES = {
    Question.WEIGHTS: "What the source's weights brought",
    Question.PRACTICE: "What transfer brings in practice",
}
AGAINST = {
    Question.WEIGHTS: "the same settings with random weights in place of the source's",
    Question.PRACTICE: "the baseline, each arm at its own best setting",
}


def question(benefit: str, metric: str) -> str:
    """The benefit as a question's subject: higher start; where lower is better, better start."""
    better = "better" if lower_is_better(metric) and benefit != "slope" else "higher"
    return f"{better} {_SUBJECTS.get(benefit, benefit)}"


def number(value: float, decimals: int = 3) -> str:
    """A level with this many decimals; – for none."""
    return "–" if not math.isfinite(value) else f"{value:z,.{decimals}f}".replace("-", "−")  # z: no −0.000


def signed(value: float, decimals: int = 3) -> str:
    """A difference with its sign."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.") else text  # no +0.000 either


def span(interval: Interval, *, sign: float = 1.0) -> str:
    """mean [low, high], or the mean alone where there is no interval."""
    low, high = sorted((sign * interval.low, sign * interval.high))
    inner = f" [{number(low)}, {number(high)}]" if interval.known else ""
    return f"{number(sign * interval.mean)}{inner}"


def effect(measure: str | Measure, difference: Interval) -> str:
    """A comparison with its interval: +0.31 [+0.27, +0.35], or for the slope 1.8× [1.2, 2.7]; - for none."""
    known = measure if isinstance(measure, Measure) else _BY_KEY[measure]
    if not math.isfinite(difference.mean):
        return "–"
    if known.compared == "ratio":
        mean, low, high = (number(exp(x), 2) for x in difference[:3])
        return f"{mean}×" + (f" [{low}, {high}]" if difference.known else "")
    if known.compared == "relative":
        mean, low, high = (f"{signed(100 * x, 1)} %" for x in difference[:3])
    else:
        mean, low, high = (signed(x) for x in difference[:3])
    return mean + (f" [{low}, {high}]" if difference.known else "")


def word(benefit: Benefit) -> str:
    """yes; yes, but small."""
    return f"{benefit.verdict}, but small" if benefit.small else str(benefit.verdict)


def answer(benefit: Benefit) -> str:
    """yes +0.31 [+0.27, +0.35]; a difference without a verdict is no answer."""
    if benefit.verdict is Verdict.NOT_ANSWERED:
        return str(benefit.verdict)
    return f"{word(benefit)} {effect(benefit.measure, benefit.difference)}".removesuffix(" –")


def reason(benefit: Benefit) -> str:
    """Why the answer is what it is, with the corrected p-value, and what else to know."""
    tested = not math.isnan(benefit.p)
    p = f" ({p_text(benefit.p)})" if tested else ""
    return "; ".join(part for part in (f"{benefit.why}{p}", benefit.needed, benefit.note) if part)


def p_text(p: float) -> str:
    return "no test" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def summary(section: Section, study: Study) -> list[str]:
    """What a person takes home from a section: the two questions, the best arm, and what warns of a wrong reading."""
    if not section.comparisons:
        if section.baseline is None:
            return ["Nothing to compare with: no baseline in this setting."]
        return ["Nothing to compare: only the baseline has finished runs."]
    sentences = []
    for asked in Question:
        sentences += _question(section, asked, study.metric)
    if section.best:
        sentences.append(_best(section, section.best, study.metric))
    return sentences + list(warnings(section))


def _question(section: Section, asked: Question, metric: str) -> list[str]:
    """One question: its answers by verdict, and what is not answered."""
    found = section.of(asked)
    said = [(c.label, b) for c in found for b in c.benefits]
    against = ", ".join(dict.fromkeys(c.against for c in found)) or "nothing"
    modes = len(found)
    parts = []
    if helped := _listed(said, Verdict.YES, metric, modes):
        parts.append(helped)
    if harmed := _listed(said, Verdict.NEGATIVE, metric, modes):
        harmed = harmed.replace("higher ", "lower ").replace("better ", "worse ")
        parts.append(f"negative transfer, worse than {against} beyond chance: {harmed}")
    if none := _listed(said, Verdict.NO, metric, modes):
        parts.append(f"no difference that matters: {none}")
    if undecided := _listed(said, Verdict.UNDECIDED, metric, modes):
        seeds = max(len(c.replicates) for c in found)
        more = " (one seed cannot decide anything)" if seeds < 2 else ""
        parts.append(f"undecided{more}: {undecided}")
    if open_ := _listed(said, Verdict.NOT_MEASURABLE, metric, modes):
        parts.append(f"not measurable: {open_}")
    reach = _reach(found)
    budget = _budget(section) if asked is Question.PRACTICE else ""
    scope = f" ({reach})" if reach and asked is Question.WEIGHTS else f" ({budget})" if budget else ""
    missing = dict(section.missing).get(asked)
    if missing is not None:
        parts.append(_cannot(section, asked, missing, whole=not parts))
    return [f"{TITLES[asked]}{scope}: {'; '.join(parts)}."] if parts else []


def _reach(found: Sequence[Comparison]) -> str:
    """How far verdicts on weights reach: this source model; with the arms, where these have other sources."""
    of_each: dict[str, list[str]] = {}
    for c in found:
        if c.this_source:
            of_each.setdefault(c.this_source, []).append(c.label)
    if len(of_each) < 2:
        return "".join(of_each)
    return "; ".join(f"{', '.join(labels)}: {reach}" for reach, labels in of_each.items())


def _budget(section: Section) -> str:
    """Each arm at its best of 8 settings."""
    counts = {
        (arm.arm.tuned or {}).get("trials") for arm in section.all_arms if not arm.arm.is_control and arm.arm.tuned
    }
    return f"each arm at its best of {counts.pop()} settings" if len(counts) == 1 else ""


def _cannot(section: Section, asked: Question, override: str, *, whole: bool) -> str:
    """A question that this study cannot answer, and the override that would add the answer."""
    rest = "" if whole else "the rest "
    if asked is Question.WEIGHTS:
        return f"{rest}cannot be said, as no arm has the same settings with random weights (add {override})"
    if not section.of(asked):
        return f"{rest}cannot be said, as there is no baseline in this setting (run {override})"
    base = section.baseline.label if section.baseline else "the baseline"
    gaps = [
        f"{c.label} {effect(END, c.differences[END])}"
        for c in section.of(Question.PRACTICE)
        if c.unanswered and math.isfinite(c.differences[END].mean)
    ]
    seen = f"; as they ran, their levels at the end against {base} are {', '.join(gaps)}" if gaps else ""
    return (
        f"{rest}cannot be said, as each arm ran at one setting, and weights, rates and head differ at once "
        f"(add {override}){seen}"
    )


def warnings(section: Section) -> list[str]:
    """What a reader of the verdicts must know besides, arm by arm."""
    found = []
    for arm in section.all_arms:
        runs = len(arm.runs)
        if arm.diverged:
            found.append(f"{arm.diverged} of {runs} runs of {arm.label} diverged and count as the worst.")
        if 2 * arm.below_start > runs and arm.gain is not None and arm.gain.mean < 0 and not arm.arm.begins_random:
            found.append(
                f"{arm.label} ends below its own start in {arm.below_start} of {runs} runs "
                f"({effect(END, arm.gain)}): the features alone are enough."
            )
        if arm.kept_before_training and not arm.arm.begins_random:
            found.append(
                f"The kept checkpoint of {arm.label} is the one before training (step 0) in "
                f"{arm.kept_before_training} of {runs} runs: its test figures are of a model that was not trained on."
            )
    for c in section.comparisons:
        end, test = c.differences[END], c.differences[TEST]
        apart = [one.known and (one.low > 0 or one.high < 0) for one in (end, test)]
        if all(map(math.isfinite, (end.mean, test.mean))) and end.mean * test.mean < 0 and any(apart):
            found.append(
                f"{c.label} against {c.against}: the level at the end on val ({effect(END, end)}) and the kept "
                f"checkpoint on test ({effect(TEST, test)}) disagree in sign."
            )
    rising = [arm.label for arm in section.all_arms if arm.still_rises]
    if rising:
        verb = "rises" if len(rising) == 1 else "rise"
        found.append(
            f"Still rising at the end of the budget: {', '.join(rising)} {verb}; a longer run may end otherwise."
        )
    return list(dict.fromkeys(found))


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
    """higher start (all 3 modes), higher slope (fine_tuning, gradual but small)."""
    parts = []
    for name in dict.fromkeys(benefit.name for _, benefit in said):
        found = [(label, benefit) for label, benefit in said if benefit.name == name and benefit.verdict is word]
        if found:
            small = [benefit.small for _, benefit in found]
            labels = [f"{label}{', but small' if b.small and not all(small) else ''}" for label, b in found]
            who = f"all {modes} modes" if len(labels) == modes > 1 and len(set(small)) == 1 else ", ".join(labels)
            parts.append(f"{question(name, metric)} ({who}{', but small' if all(small) else ''})")
    return ", ".join(parts)


def _best(section: Section, best: Best, metric: str) -> str:
    arm = next(arm for arm in section.all_arms if arm.label == best.label)
    sign = -1.0 if lower_is_better(metric) else 1.0
    level = number(sign * arm.means[END].mean)
    gap = effect(END, best.difference)
    if best.decided:
        return f"{best.label} ends best, at {level}: decided against every other arm ({gap} to {best.against})."
    why = f" ({best.why})" if best.why else ""
    return (
        f"{best.label} has the best mean level at the end, {level}; "
        f"whether it is better than {best.against} is undecided ({gap}){why}."
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
    words[Verdict.NOT_ANSWERED] = "not answered"
    sentences = []
    for line in axis.lines:
        compared = [(p.text, p.levels[figure].verdict) for p in line.points if figure in p.levels]
        said = [
            f"{word} at {', '.join(text for text, given in compared if given is verdict)}"
            for verdict, word in words.items()
            if any(given is verdict for _, given in compared)
        ]
        base = axis.baseline_of(line)
        partners = dict.fromkeys(p.levels[figure].against for p in line.points if figure in p.levels)
        named = [base.label if base is not None and one in ("", base.arm) else one for one in partners]
        if said and any(named):
            sentences.append(f"{line.label} against {' or '.join(filter(None, named))}: {'; '.join(said)}.")
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
            reached = first.levels[figure].mean.mean
            there = f"{axis.key}={first.text} ({number(reached)})"
            where = "at" if sign * (reached - level) <= NEAR else "above"
            found.append(
                f"{line.label} with {there} is {where} the level of {base.label} with {last.text} ({number(level)})."
            )
    return found


def reach_text(arm: ArmSummary) -> str:
    """4 of 5, or not reached."""
    count = sum(reach.step is not None for reach in arm.reach)
    return f"{count} of {len(arm.reach)}" if count else "not reached"


def verdict_text(study: Study, name: str) -> str:
    """The verdicts for a terminal: modes by benefits for each question, then the sentences; plain characters."""
    lines = [f"{name}: {study.metric} against {study.baseline}"]
    for section in study.sections:
        lines.append("")
        if section.setting:
            lines.append(f"  {' '.join(section.setting)}")
        for asked in Question:
            if found := section.of(asked):
                lines += [f"  {TITLES[asked]}", *_aligned(found, study.metric)]
        lines += [f"  {sentence}" for sentence in (*summary(section, study), *section.hints)]
    for adapted in study.adapted:
        apart = ["adaptation,", FIGURE, "against", BASELINE] if study.sections or study.levels else []
        lines += ["", *([f"  {' '.join([*apart, *adapted.setting])}"] if apart or adapted.setting else [])]
        lines += _adapted_lines(adapted)
        lines += [f"  {sentence}" for sentence in (*adapted_summary(adapted), *adapted.hints, chosen_by(adapted))]
    for axis in study.axes:
        lines += ["", f"  {axis.figures[0]} over {axis.key}", *_axis_lines(axis)]
        lines += [f"  {sentence}" for sentence in axis_summary(axis)]
    if study.verdicts:
        lines.append(f"  {look_text(study)}")
    if study.others:
        lines.append(f"  {others_text(study)}")
    return "\n".join(lines).translate({ord("−"): "-", ord("×"): "x", ord("–"): "-", ord("±"): "+-"})


def look_text(study: Study) -> str:
    """Which look this is, and what error it may spend."""
    looks = [found for _, found in study.looks if found]
    if not looks:
        return "No verdict could be tested."
    number_ = max(map(len, looks))
    levels = sorted({round(found[-1].spent, 4) for found in looks})
    if levels == [0.0] and not study.fixed_seeds and number_ == 1:
        return "Two seeds decide nothing in a study that may grow: its error is spent from three seeds on."
    spent = f"{levels[0]:.3g}" if len(levels) == 1 else f"{levels[0]:.3g} to {levels[-1]:.3g}"
    kind = "the seeds were fixed beforehand" if study.fixed_seeds else "the study may grow"
    return f"Look {number_} at these data: {kind}, so each question is tested at {spent} of an error of 0.05 in all."


def sooner_text(one: Sooner) -> str:
    """3.2 times; at least 3.2 times; – where neither arm came there."""
    if one.bound == "unknown":
        return "–"
    if math.isinf(one.ratio):
        return "from the first evaluation on"
    return f"{one.bound} {one.ratio:.1f} times".strip()


def others_text(study: Study) -> str:
    """1 run failed, 2 are unfinished."""
    states = [other.state for other in study.others]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"Runs left out: {', '.join(counts)}."


def _aligned(comparisons: Sequence[Comparison], metric: str) -> list[str]:
    head = ["", *(question(b.name, metric) for b in comparisons[0].benefits), "against"]
    return _columns([head, *([c.label, *(answer(b) for b in c.benefits), c.against] for c in comparisons)])


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

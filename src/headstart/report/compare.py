"""What did each way of reusing the source bring, and what is decided?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from headstart.report import adaptation, measures
from headstart.report.arms import Arm, Group, arms_of, groups_of, left_out
from headstart.report.axes import Level, Placed, axes_of
from headstart.report.curves import is_share, lower_is_better, one_image
from headstart.report.levels import LevelArm, decided, level_arms, level_setting, without_replaced
from headstart.report.measures import MEASURES, Measure, Measured
from headstart.report.runs import Found, Levels, Run
from headstart.report.statistics import (
    ALPHA,
    MATTERS,
    MATTERS_RATE,
    Interval,
    Verdict,
    exp,
    holm,
    t_interval,
    verdict,
)
from headstart.report.study import ArmSummary, Benefit, Best, Comparison, Section, SourceCost, Study
from headstart.report.words import effect

BENEFITS = (("start", "start"), ("slope", "rate_step"), ("asymptote", "asymptote"))  # and what decides each
_MODES = (
    "scratch",
    "feature_extraction",
    "fine_tuning",
    "gradual",
)  # the order that people know; others follow


def study_of(found: Found, *, baseline: str, metric: str) -> Study:
    """The comparison of all finished runs. Verdicts are Holm-corrected over the whole study."""
    reusing = [run for run in found.finished if not run.adapts]
    arms, replaced = arms_of(reusing)
    levels, replaced_levels = without_replaced(found.levels)
    adapting, replaced_adapting = adaptation.adapted_arms(run for run in found.finished if run.adapts)
    resolution = one_image(reusing or levels, metric, "val")
    settings = [arm.setting for arm in (*arms, *adapting)] + [level_setting(one) for one in levels]
    common = frozenset.intersection(*settings) if settings else frozenset()
    sections = [_section(g, baseline, metric, resolution, common) for g in groups_of(arms, baseline)]
    placed = level_arms(levels, metric, _resolutions(levels))
    adapted = adaptation.adapted(adapting, common)
    undecided = [b.difference for section in sections for c in section.comparisons for b in c.benefits]
    undecided += [arm.difference for arm in placed if arm.difference is not None]
    undecided += [difference for section in adapted for difference in adaptation.differences(section)]
    corrected = iter(holm([difference.p for difference in undecided]))
    sections = [_decided(section, corrected, metric) for section in sections]
    placed = [arm if arm.difference is None else decided(arm, next(corrected), metric) for arm in placed]
    adapted = [adaptation.decided(section, corrected) for section in adapted]
    if not arms:
        baseline = levels[0].baseline if levels else adaptation.BASELINE
    return Study(
        baseline=baseline,
        metric=metric,
        sections=tuple(sections),
        others=found.others + replaced + replaced_levels + replaced_adapting,
        verdicts=len(undecided),
        resolution=resolution,
        common=tuple(sorted(common)),
        axes=axes_of(_along(sections, metric))
        + axes_of([_placed(arm, metric) for arm in placed])
        + axes_of(adaptation.along(adapted)),
        levels=levels,
        level_arms=tuple(placed),
        adapted=tuple(adapted),
    )


def paired(
    base: Sequence[Measured], arm: Sequence[Measured]
) -> tuple[list[tuple[Measured, Measured]], tuple[int, ...]]:
    """(baseline, mode) of each seed that both have, and the seeds that only one has."""
    theirs, ours = {m.run.seed: m for m in base}, {m.run.seed: m for m in arm}
    both = sorted(ours.keys() & theirs.keys())
    return [(theirs[seed], ours[seed]) for seed in both], tuple(sorted(ours.keys() ^ theirs.keys()))


def _section(group: Group, mode: str, metric: str, resolution: float, common: frozenset[str]) -> Section:
    members = ((group.baseline,) if group.baseline else ()) + tuple(sorted(group.arms, key=_rank))
    flat = iter(measures.measured([run for arm in members for run in arm.runs], metric, resolution))
    runs = [tuple(next(flat) for _ in arm.runs) for arm in members]
    asymptotes = [m.values["asymptote"] for m in runs[0]] if group.baseline else []
    threshold = _mean(asymptotes)
    found = [
        _arm_summary(arm, group.setting, of_arm, threshold, resolution)
        for arm, of_arm in zip(members, runs, strict=True)
    ]
    base, others = (found[0], found[1:]) if group.baseline else (None, found)
    comparisons = [_comparison(base, arm, resolution) for arm in others] if base else []
    return Section(
        setting=tuple(sorted(group.setting - common)),
        baseline=base,
        arms=tuple(others),
        comparisons=tuple(comparisons),
        threshold=threshold,
        best=_best(found, resolution),
        hints=tuple(_hints(mode, base, others, comparisons)),
    )


def _hints(
    mode: str, base: ArmSummary | None, others: Sequence[ArmSummary], comparisons: Sequence[Comparison]
) -> Iterator[str]:
    if base is None:
        yield f"There are no runs of mode={mode} in this setting: run them to have something to compare with."
    elif not others:
        yield f"There is only mode={mode} in this setting: run another mode to compare."
    for c in comparisons:
        if c.dropped:
            yield left_out(c.label, c.dropped)


def _arm_summary(
    arm: Arm, setting: frozenset[str], runs: tuple[Measured, ...], threshold: float, resolution: float
) -> ArmSummary:
    tags = sorted({tag for m in runs for tag in _final(m.run)})
    tests = {tag: [_final(m.run).get(tag, math.nan) for m in runs] for tag in tags}
    ours = [m.run for m in runs]
    return ArmSummary(
        label=" ".join([arm.mode, *sorted(arm.setting - setting)]),
        arm=arm,
        runs=runs,
        means={measure.key: _mean_interval(measure, runs, resolution) for measure in MEASURES},
        tests={
            tag: t_interval(values, resolution=one_image(ours, tag, tag.split("/")[0])) for tag, values in tests.items()
        },
        reach=tuple(measures.reached(m, threshold) for m in runs) if math.isfinite(threshold) else (),
        rate_known=measures.rate_is_determined(runs),
        source=_source_cost(ours),
    )


def _mean_interval(measure: Measure, runs: Sequence[Measured], resolution: float) -> Interval:
    """An arm's mean and interval; of a rate the geometric mean, as rates are compared by their ratio."""
    values = [m.values.get(measure.key, math.nan) for m in runs]
    if measure.compared == "ratio":
        least = _mean(m.fits["step"].least_error for m in runs)
        logs = t_interval([_ln(value) for value in values], resolution=_known(least))
        return logs._replace(mean=exp(logs.mean), low=exp(logs.low), high=exp(logs.high))
    least = _mean(abs(m.values[measure.key]) * m.fits["step"].least_error for m in runs) if measure.is_slope else 0
    return t_interval(values, resolution=_known(least) if measure.is_slope else resolution)


def _comparison(base: ArmSummary, arm: ArmSummary, resolution: float) -> Comparison:
    pairs, dropped = paired(base.runs, arm.runs)
    differences = {measure.key: _difference(measure, pairs, resolution) for measure in MEASURES}
    unknown = "; ".join(measures.why_no_rate(one.label, one.runs) for one in (base, arm) if not one.rate_known)
    if unknown:
        for key in ("rate_step", "rate_examples"):
            differences[key] = t_interval([], resolution=0.0)
    benefits = [
        Benefit(name, key, differences[key], math.nan, Verdict.UNDECIDED, unknown if name == "slope" else "")
        for name, key in BENEFITS
    ]
    return Comparison(arm.label, tuple(s.run.seed for s, _ in pairs), dropped, differences, tuple(benefits))


def _difference(measure: Measure, pairs: Sequence[tuple[Measured, Measured]], resolution: float) -> Interval:
    """Mode minus baseline over the pairs of seeds; of logarithms for rates, over the baseline's for ratios.

    The least spread that is believed is what one image would change: 1/n for levels, over the baseline's
    area for transfer ratios, and through the fits' own sensitivity for rates and slopes.
    """
    key = measure.key
    if measure.compared == "ratio":
        values = [_ln(t.values[key]) - _ln(s.values[key]) for s, t in pairs]
        least = _mean(math.hypot(*(m.fits["step"].least_error for m in pair)) for pair in pairs)
    elif measure.compared == "relative":
        area = key.replace("transfer_ratio", "area")
        values = [(t.values[area] - s.values[area]) / (abs(s.values[area]) or math.nan) for s, t in pairs]
        least = _mean(resolution / (abs(s.values[area]) or math.nan) for s, _ in pairs)
    else:
        values = [t.values[key] - s.values[key] for s, t in pairs]
        least = resolution
        if measure.is_slope:
            least = _mean(
                math.hypot(*(abs(m.values[key]) * m.fits["step"].least_error for m in pair)) for pair in pairs
            )
    return t_interval(values, resolution=_known(least))


def _decided(section: Section, corrected: Iterator[float], metric: str) -> Section:
    """The section with its verdicts, from the study's corrected p-values in the same order."""
    comparisons = []
    for comparison in section.comparisons:
        benefits = []
        for benefit in comparison.benefits:
            p = next(corrected)
            margin = math.log(MATTERS_RATE) if benefit.name == "slope" else MATTERS if is_share(metric) else None
            word, why = verdict(benefit.difference, p, margin)
            measured, pairs = benefit.difference.n, len(comparison.seeds)
            if 0 < measured < pairs:
                why += f"; measured in {measured} of {pairs} pairs"
            if benefit.name == "start" and comparison.differences["start_class_means"].n:
                fair = effect("start_class_means", comparison.differences["start_class_means"])
                benefit = replace(benefit, note=f"with every head in closed form {fair}")
            benefits.append(replace(benefit, corrected_p=p, verdict=word, why=benefit.why or why))
        comparisons.append(replace(comparison, benefits=tuple(benefits)))
    return replace(section, comparisons=tuple(comparisons))


def _best(arms: Sequence[ArmSummary], resolution: float) -> Best | None:
    """The highest asymptote. Holm over all pairs of arms, so that whichever is picked, its tests hold."""
    ranked = [arm for arm in arms if math.isfinite(arm.means["asymptote"].mean)]
    if len(ranked) < 2:
        return None
    top = max(ranked, key=lambda arm: arm.means["asymptote"].mean)
    asymptote = next(measure for measure in MEASURES if measure.key == "asymptote")
    couples = [(other, one) if one is top else (one, other) for one, other in combinations(ranked, 2)]
    gaps = [_difference(asymptote, paired(one.runs, other.runs)[0], resolution) for one, other in couples]
    ours = [
        (other.label, gap, p)
        for (other, one), gap, p in zip(couples, gaps, holm([gap.p for gap in gaps]), strict=True)
        if one is top
    ]
    label, gap, p = max(ours, key=lambda our: math.inf if math.isnan(our[2]) else our[2])
    return Best(top.label, label, gap, p, decided=all(g.mean > 0 and q < ALPHA for _, g, q in ours))


def _along(sections: Iterable[Section], metric: str) -> list[Placed]:
    """The arms with their level at the end, compared as the asymptote is, and their test figure."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    test = f"test/{metric.partition('/')[2]}"
    found = []
    for section in sections:
        asymptotes = {c.label: b for c in section.comparisons for b in c.benefits if b.name == "asymptote"}
        for arm in section.all_arms:
            benefit = None if arm is section.baseline else asymptotes.get(arm.label)
            mean = arm.means["asymptote"]
            low, high = sorted((sign * mean.low, sign * mean.high))
            end = Level(mean._replace(mean=sign * mean.mean, low=low, high=high))
            if benefit is not None:
                end = replace(
                    end, difference=benefit.difference, verdict=benefit.verdict, corrected_p=benefit.corrected_p
                )
            levels = {f"{metric} at the end": end}
            if test in arm.tests:
                levels[test] = Level(arm.tests[test])
            found.append(Placed(arm.arm.mode, arm.arm.setting, arm is section.baseline, levels))
    return found


def _placed(arm: LevelArm, metric: str) -> Placed:
    levels = {
        tag: Level(mean, arm.difference, arm.verdict, arm.corrected_p) if tag == metric else Level(mean)
        for tag, mean in arm.means.items()
    }
    return Placed(arm.label, arm.setting, arm.difference is None, levels)


def _rank(arm: Arm) -> tuple[int, str, list[str]]:
    known = _MODES.index(arm.mode) if arm.mode in _MODES else len(_MODES)
    return known, arm.mode, sorted(arm.setting)


def _resolutions(levels: Sequence[Levels]) -> dict[str, float]:
    """What one image is worth, by tag."""
    tags = {tag for one in levels for figures in one.levels.values() for tag in figures}
    return {tag: one_image(levels, tag, tag.split("/")[0]) for tag in tags}


def _final(run: Run) -> dict[str, float]:
    """The final figures on the test split by tag."""
    final = run.result.get("metrics")
    found = final.items() if isinstance(final, dict) else ()
    return {tag: float(v) for tag, v in found if tag.startswith("test/") and isinstance(v, int | float)}


def _source_cost(runs: Iterable[Run]) -> SourceCost | None:
    """What the source model of an arm took; the dearest where its runs have several."""
    sources = [run.result.get("source") for run in runs]
    found = [source for source in sources if isinstance(source, dict)]
    if not found:
        return None
    wall = [float(s["wall_s"]) for s in found if isinstance(s.get("wall_s"), int | float)]
    examples = [float(s["examples"]) for s in found if isinstance(s.get("examples"), int | float)]
    return SourceCost(max(wall, default=None), max(examples, default=None))


def _ln(value: float) -> float:
    return math.log(value) if value > 0 else math.nan  # nan > 0 is false


def _mean(values: Iterable[float]) -> float:
    listed = [value for value in values if math.isfinite(value)]
    return math.fsum(listed) / len(listed) if listed else math.nan


def _known(least: float) -> float:
    return least if math.isfinite(least) else 0.0

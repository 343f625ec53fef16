"""The whole report in plain values, as report.json has it."""

from __future__ import annotations

from typing import Any

from headstart.report.analysis.adaptation_comparison import TEST_METRIC, AdaptationMethod, AdaptationSection, recalls
from headstart.report.analysis.comparison_without_curves import LevelArm
from headstart.report.analysis.phase_costs import phases_of
from headstart.report.analysis.run_measures import MEASURES, MeasuredRun, median_reached
from headstart.report.analysis.study_records import ArmComparison, ArmSummary, Study, StudySection
from headstart.report.analysis.swept_keys import ReachedLevel, SweptAxis
from headstart.report.rendering.exports.class_change_record import class_record
from headstart.report.rendering.exports.interval_record import interval_record
from headstart.report.rendering.wording.adaptation_summary import adaptation_summary, checkpoint_choice
from headstart.report.rendering.wording.section_summary import section_summary
from headstart.report.rendering.wording.study_notes import look_text
from headstart.report.rendering.wording.swept_key_summary import axis_summary
from headstart.report.rendering.wording.verdict_words import GAINS, verdict_word
from headstart.report.statistics.repeated_looks import Look
from headstart.report.statistics.seed_intervals import ALPHA, LEVEL, MATTERS, MATTERS_RATE
from headstart.system.files.atomic_write import plain
from headstart.system.metric_direction import lower_is_better

# docs/reference/report.schema.json describes it. 2 had no runs and no ranking; 1 had figures, figure, keeps_answers,
# kept_before_training and said in the place of some keys
FORMAT = 3


def record(study: Study, name: str, command: str | None) -> dict[str, Any]:
    """The whole report in plain values; None for what is not known.

    Levels are as they were logged. Differences are improvements: above 0 is better, also where lower levels
    are.
    """
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    content: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "study": name,
            "metric": study.metric,
            "lower_is_better": sign < 0,
            "baseline": study.baseline,
            "command": command,
            "common_overrides": study.common,
            "interval_level": LEVEL,
            "alpha": ALPHA,
            "matters": {"level": MATTERS, "rate_ratio": MATTERS_RATE},
            "verdicts": study.verdicts,
            "fixed_seeds": study.fixed_seeds,
            "look": look_text(study),
            "looks": {key: [vars(look) for look in looks] for key, looks in study.looks},
            "axes": [_axis(axis) for axis in study.axes],
            "levels": [_level_arm(arm) for arm in study.level_arms],
            "settings": [_section(section, study, sign) for section in study.sections],
            "adaptation": [_adapted(adapted) for adapted in study.adapted],
            "left_out": [{"folder": o.folder.name, "state": o.state, "why": o.why} for o in study.others],
        }
    )
    return content


def _axis(axis: SweptAxis) -> dict[str, Any]:
    return {
        "key": axis.key,
        "summary": axis_summary(axis),
        "metrics": axis.metrics,
        "lines": [
            {
                "line": line.label,
                "baseline": line.is_baseline,
                "constant": line.is_constant,
                "points": [
                    {"at": p.at, "value": p.text, **{key: _level(level) for key, level in p.levels.items()}}
                    for p in line.points
                ],
            }
            for line in axis.lines
        ],
    }


def _level(level: ReachedLevel) -> dict[str, Any]:
    return {
        "mean": interval_record(level.mean),
        "difference": None if level.difference is None else interval_record(level.difference),
        "verdict": None if level.verdict is None else level.verdict.value,
        "corrected_p": level.corrected_p,
    }


def _level_arm(arm: LevelArm) -> dict[str, Any]:
    return {
        "arm": arm.label,
        "overrides": sorted(arm.setting),
        "seeds": arm.seeds,
        "levels": {tag: interval_record(interval) for tag, interval in arm.means.items()},
        "difference": None if arm.difference is None else interval_record(arm.difference),
        "verdict": None if arm.verdict is None else arm.verdict.value,
        "why": arm.why,
        "corrected_p": arm.corrected_p,
    }


def _adapted(section: AdaptationSection) -> dict[str, Any]:
    return {
        "overrides": section.setting,
        "metric": TEST_METRIC,
        "baseline": None if section.baseline is None else section.baseline.label,
        "summary": adaptation_summary(section),
        "caption": checkpoint_choice(section),
        "hints": section.hints,
        "methods": [_method(method) for method in section.all_methods],
    }


def _method(method: AdaptationMethod) -> dict[str, Any]:
    return {
        "method": method.label,
        "overrides": sorted(method.arm.setting),
        "seeds": method.arm.seeds,
        "chosen_by": method.selection_metrics,
        TEST_METRIC: interval_record(method.test),
        "source_val_accuracy": interval_record(method.source),
        "test_per_class": recalls(method),
        "difference": None if method.difference is None else interval_record(method.difference),
        "paired_seeds": method.seeds,
        "left_out_seeds": [replicate.seed for replicate in method.dropped],
        "intervals_over": method.over,
        "verdict": None if method.verdict is None else GAINS[method.verdict],
        "why": method.why,
        "corrected_p": method.corrected_p,
        "oracle_chosen_by_test_labels_of_the_target": None
        if method.oracle is None or method.gap is None
        else {"accuracy": interval_record(method.oracle), "chosen_minus_oracle": interval_record(method.gap)},
        "runs": [
            {
                "folder": run.folder.name,
                "seed": run.seed,
                "hash": run.result.get("hash"),
                "chosen": run.result.get("best"),
                "final": run.result.get("metrics"),
                "wall_s": run.result.get("wall_s"),
                "versions": run.result.get("versions"),
            }
            for run in method.arm.runs
        ],
    }


def _section(section: StudySection, study: Study, sign: float) -> dict[str, Any]:
    best = section.best
    return {
        "overrides": section.setting,
        "summary": section_summary(section, study),
        "hints": section.hints,
        "not_answered": [{"question": question.value, "add": override} for question, override in section.missing],
        "threshold": sign * section.threshold,
        "best": None
        if best is None
        else {
            "arm": best.label,
            "against": best.against,
            "difference": interval_record(best.difference),
            "corrected_p": best.corrected_p,
            "decided": best.decided,
            "why": best.why,
        },
        "arms": [_arm(arm, sign) for arm in section.all_arms],
        "comparisons": [_comparison(c) for c in section.comparisons],
        "class_changes": [class_record(changes) for changes in section.class_changes],
    }


def _arm(arm: ArmSummary, sign: float) -> dict[str, Any]:
    levels = {m.key for m in MEASURES if m.compared == "difference"}
    means = {key: interval_record(arm.means[key], sign) for key in arm.means if key in levels}
    reached = {key: [getattr(r, key) for r in arm.reach] for key in ("step", "examples", "wall_s")}
    return {
        "arm": arm.label,
        "mode": arm.arm.mode,
        "control": arm.arm.is_control,
        "overrides": sorted(arm.arm.setting),
        "seeds": arm.arm.seeds,
        "folds": sorted({replicate.fold for replicate in arm.arm.replicates if replicate.fold is not None}),
        "diverged": arm.diverged,
        "best_before_training": arm.best_before_training,
        "still_rising": None if arm.rising is None else {"rises": arm.still_rises, **interval_record(arm.rising)},
        "end_less_own_start": None if arm.gain is None else {"below": arm.below_start, **interval_record(arm.gain)},
        "labelled_images": arm.labelled,
        "tuned": arm.arm.tuned,
        "measures": means,
        "test": {tag: interval_record(interval) for tag, interval in arm.tests.items()},
        "threshold_reached": {
            "runs": sum(step is not None for step in reached["step"]),
            "of": len(arm.reach),
            "by_seed": [vars(r) for r in arm.reach],
            "median": {key: median_reached(values) for key, values in reached.items()},
        },
        "phases": phases_of(arm.runs),
        "source": None if arm.source is None else vars(arm.source),
        "runs": [_run(m, sign, levels) for m in arm.runs],
    }


def _run(measured: MeasuredRun, sign: float, levels: set[str]) -> dict[str, Any]:
    return {
        "folder": measured.run.folder.name,
        "seed": measured.run.seed,
        "fold": measured.run.fold,
        "hash": measured.run.result.get("hash"),
        "state": "diverged" if measured.run.has_diverged else measured.run.result.get("state", "finished"),
        "has_predictions": bool(measured.by_image),
        "measures": {key: (sign if key in levels else 1.0) * value for key, value in measured.values.items()},
        "final": measured.run.result.get("metrics"),
        "wall_s": measured.run.result.get("wall_s"),
        "peak_memory_mib": measured.run.result.get("peak_memory_mib"),
        "phases": measured.run.result.get("phases"),
        "versions": measured.run.result.get("versions"),
    }


def _comparison(comparison: ArmComparison) -> dict[str, Any]:
    return {
        "question": comparison.question.value,
        "arm": comparison.label,
        "against": comparison.against,
        "differs_also_in": comparison.differs,
        "not_answered": comparison.unanswered or None,
        "intervals_over": comparison.over,
        "reaches": comparison.this_source or None,
        "seeds": comparison.seeds,
        "pairs": len(comparison.replicates),
        "left_out": [str(replicate) for replicate in comparison.dropped],
        "differences": {
            key: interval_record(value) | {"of_logarithms": key == "slope"}
            for key, value in comparison.differences.items()
        },
        "benefits": {
            b.name: {
                "verdict": b.verdict.value,
                "word": verdict_word(b),
                "measure": b.measure,
                "corrected_p": b.p,
                "corrected_p_equal": b.p_equal,
                "level_of_this_look": b.level,
                "why": b.why,
                "note": b.note,
                "needed": b.needed,
            }
            for b in comparison.benefits
        },
        "sooner": [
            {
                "share_of_the_rise": speedup.share,
                "level": speedup.level,
                "steps": {"baseline": speedup.scratch, "arm": speedup.transfer},
                "times": speedup.ratio,
                "bound": speedup.bound,
            }
            for speedup in comparison.sooner
        ],
    }


def looks_in(record: object) -> dict[str, tuple[Look, ...]]:
    """The looks that an earlier report.json holds, by what was tested; empty where it holds none that can be read."""
    by_test = record.get("looks") if isinstance(record, dict) else None
    earlier: dict[str, tuple[Look, ...]] = {}
    for key, looks in by_test.items() if isinstance(by_test, dict) else ():
        try:
            earlier[str(key)] = tuple(
                Look(int(look["seeds"]), str(look["digest"]), float(look["spent"]), dict(look["decided"]))
                for look in looks
            )
        except (TypeError, KeyError, ValueError):
            continue
    return earlier

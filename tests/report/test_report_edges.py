"""Analysis of a study at its edges: few arms, odd records, other orders, one run that diverged."""

from pathlib import Path

import numpy as np
import pytest

from data_classes import data_classes_of, is_frozen
from headstart.report.analysis.arm_comparison import tests_of as differences_tested
from headstart.report.analysis.arm_summaries import test_metrics as final_test_metrics
from headstart.report.analysis.arms import Arm
from headstart.report.analysis.comparison_without_curves import LevelArm, level_arms, level_tests
from headstart.report.analysis.run_measures import ImageShares, measured
from headstart.report.analysis.study_comparison import study_of
from headstart.report.analysis.study_records import Question
from headstart.report.statistics.interval_choice import apart
from headstart.report.statistics.seed_intervals import interval_of
from headstart.report.stored_runs.study_runs import LevelsResult, RunsBelow

LEVELS = [0.1, 0.5, 0.6, *[0.7] * 9]
PACKAGES = ("stored_runs", "analysis", "statistics", "curves")


def sections(runs):
    return study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections


def arm(make_run, mode, *overrides, seeds=(0, 1, 2), levels=LEVELS, **more):
    return [
        make_run(mode, s, [v + 0.001 * s for v in levels], [f"mode={mode}", *overrides, f"seed={s}"], **more)
        for s in seeds
    ]


def result(seed, levels, baseline="pixels"):
    return LevelsResult(Path(f"few-{seed}"), seed, (f"seed={seed}",), {}, baseline, levels)


@pytest.mark.parametrize("package", PACKAGES)
def test_records_are_values_that_nothing_changes(package):
    assert [cls for cls in data_classes_of(f"headstart.report.{package}") if not is_frozen(cls)] == []


def test_a_result_of_levels_is_told_apart_by_where_it_lies_and_not_by_its_figures():
    one = result(0, {"pixels": {"val/accuracy": 0.5}})
    assert len({one, result(0, {"pixels": {"val/accuracy": 0.5}})}) == 1


def test_contributions_are_paired_by_image_whatever_the_order():
    baseline = ImageShares(np.array([7, 3, 5], np.uint64), np.array([0.0, 1.0, 0.0]))
    other = ImageShares(np.array([3, 5, 7], np.uint64), np.array([1.0, 1.0, 0.0]))
    found = apart(baseline, other)
    assert dict(zip(found.image.tolist(), found.value.tolist(), strict=True)) == {3: 0.0, 5: 1.0, 7: 0.0}
    assert apart(other, other).value.tolist() == [0, 0, 0]
    assert apart(baseline, ImageShares(np.array([3, 5, 8], np.uint64), other.value)) is None


def test_less_of_a_loss_is_better_where_there_are_levels_alone():
    levels = [result(s, {"pixels": {"val/loss": 0.9 + s}, "features": {"val/loss": 0.4 + s}}) for s in range(3)]
    pixels, features = level_arms(levels, "val/loss", {"val/loss": 0.01})
    assert pixels.difference is None
    assert features.difference.mean == pytest.approx(0.5)
    assert features.means["val/loss"].mean == pytest.approx(1.4)


def test_a_look_is_the_same_only_at_the_same_mean_and_the_same_interval():
    def digest(mean, error):
        difference = interval_of(mean, error, 2, 3)
        (tested,) = level_tests([LevelArm("features", frozenset(), (0, 1, 2), {}, difference)], "val/accuracy")
        return tested.digest

    assert digest(0.1, 0.01) == digest(0.1, 0.01)
    assert len({digest(0.1, 0.01), digest(0.1, 0.02), digest(0.2, 0.01)}) == 3


def test_the_seeds_of_a_test_are_those_of_the_runs_and_of_folds_their_number(make_run):
    def seeds(runs):
        (section,) = sections(runs)
        (weights,) = section.of(Question.WEIGHTS)
        (found,) = {tested.seeds for tested in differences_tested(weights, section, "val/accuracy")}
        return found

    by_seed = [arm(make_run, "fine_tuning", *more, seeds=(4, 7)) for more in ((), ("control=true",))]
    assert seeds(by_seed[0] + by_seed[1]) == (4, 7)
    folds = [(f"target.fold={fold}", f"control={control}") for fold in range(3) for control in ("true", "false")]
    assert seeds([run for more in folds for run in arm(make_run, "fine_tuning", *more, seeds=(5,))]) == (0, 1, 2)


def test_arms_that_still_rise_are_named_in_the_note_of_the_end(make_run, curve):
    def note(fast):
        runs = arm(make_run, "scratch", levels=curve(0.1, 0.9, 0.05))
        runs += arm(make_run, "fine_tuning", levels=curve(0.2, 0.9, fast))
        (section,) = sections(runs)
        (practice,) = section.of(Question.PRACTICE)
        return next(benefit.note for benefit in practice.benefits if benefit.name == "asymptote")

    assert note(0.9).startswith("scratch still rises at the end")
    assert note(0.05).startswith("scratch and fine_tuning still rise at the end")


def test_an_arm_with_a_diverged_run_is_not_ranked(make_run):
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", levels=[v + 0.2 for v in LEVELS])
    assert sections(runs)[0].best.label == "fine_tuning"
    runs[0].result["state"] = "diverged"
    assert sections(runs)[0].best is None, "one arm is left"


def test_the_best_arm_is_that_of_val_and_of_test_where_trials_saw_val(make_run):
    def best(**more):
        runs = [
            run
            for mode, end, test in (("scratch", 0.9, 0.5), ("fine_tuning", 0.8, 0.6))
            for run in arm(make_run, mode, levels=[0.1, *[end] * 8], metrics={"test/accuracy": test}, **more)
        ]
        return sections(runs)[0].best.label

    assert best() == "scratch"
    assert best(tuned={"trials": 8, "chosen": {}}) == "fine_tuning"


def test_the_first_evaluation_in_training_can_be_after_one_step(make_run):
    run = make_run("scratch", 0, [0.1, 0.3, 0.5])
    run.rows[1] = run.rows.pop(2) | {"val/accuracy": 0.35}
    rows = dict(sorted(run.rows.items()))
    run.rows.clear()
    run.rows.update(rows)
    assert measured([run], "val/accuracy")[0].values["first_epoch"] == 0.35


def test_a_hint_says_with_which_override_runs_of_the_baseline_would_be_comparable(make_run):
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", "target.shots=20")
    hint = sections(runs)[1].hints[0]
    assert hint.endswith("Runs of mode=scratch with target.shots=20 would be comparable.")


def test_metrics_of_test_are_its_numbers(make_run):
    run = make_run("scratch", 0, [0.1, 0.3], metrics={"val/accuracy": 0.3, "test/accuracy": 0.2, "test/note": "none"})
    assert final_test_metrics(run) == {"test/accuracy": 0.2}


def test_scratch_begins_random_and_where_its_config_is_there_it_is_the_config_that_says_so(make_run):
    (run,) = arm(make_run, "scratch", seeds=(0,))
    run.settings["reuse"] = True
    assert not Arm("scratch", frozenset(), (run,)).begins_random
    run.settings.clear()
    assert Arm("scratch", frozenset(), (run,)).begins_random

"""A verdict needs a baseline that differs in nothing else."""

import json
from pathlib import Path

import pytest

from headstart.report.analysis.arms import arms_of, control_of, differences_of
from headstart.report.analysis.run_measures import measured
from headstart.report.analysis.study_comparison import study_of
from headstart.report.analysis.study_records import Question
from headstart.report.report_files import write_report
from headstart.report.statistics.seed_intervals import Verdict
from headstart.report.stored_runs.study_runs import RunsBelow

LEVELS = [0.1, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7]


def study(runs, **more):
    return study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy", **more)


def arm(make_run, mode, *overrides, seeds=(0, 1, 2), levels=LEVELS, **more):
    wobble = (0.0, 0.004, -0.003, 0.002, -0.002, 0.001, 0.003, -0.001, 0.002, -0.004)
    return [
        make_run(mode, s, [v + wobble[s] for v in levels], [f"mode={mode}", *overrides, f"seed={s}"], **more)
        for s in seeds
    ]


@pytest.mark.parametrize(
    "override",
    ["target.shots=20", "trainer.max_epochs=60", "target.val_share=0.5", "backbone.width=32", "target.fold=1"],
)
def test_other_data_another_budget_or_network_is_no_baseline(make_run, override):
    """20 shots against 5, 60 epochs against 30: the difference is not the source's."""
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", override, levels=[v + 0.2 for v in LEVELS])
    sections = study(runs).sections
    if override == "target.fold=1":  # a fold is a replicate, not a setting: it has no partner here
        assert [c.replicates for s in sections for c in s.comparisons] == [(), ()]
        return
    assert len(sections) == 2
    apart = sections[1]
    assert (apart.baseline, apart.comparisons) == (None, ())
    key, _, value = override.partition("=")
    hint = apart.hints[0]
    assert f"{key} {value} against" in hint
    assert "No verdict" in hint


def test_the_line_says_both_values(make_run):
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", "target.shots=20")
    assert "target.shots 20 against 5" in study(runs).sections[1].hints[0]


def test_what_the_baselines_mode_does_not_read_is_no_difference(make_run):
    """Scratch reads no source, no weights and no schedule."""
    unread = ("weights.reset_from=2", "unfreeze.every_epochs=1", "source.characters=letters", "weights.seed=3")
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", *unread)
    (section,) = study(runs).sections
    assert [c.against for c in section.of(Question.PRACTICE)] == ["scratch"]


def test_a_config_of_before_a_key_came_is_no_other_setting(make_run):
    """What an older config lacks, and a newer one has at the value that changes nothing."""
    new = arm(make_run, "fine_tuning")
    for run in new:
        run.settings.update({"target.folds": 5, "target.val_shots": None, "start_images": 64, "fixed_seeds": True})
    (section,) = study(arm(make_run, "scratch") + new).sections
    assert [c.against for c in section.of(Question.PRACTICE)] == ["scratch"]


def test_a_recipe_of_its_own_has_figures_and_no_verdict_and_is_named(make_run):
    """The limit of gradients is of it, as the rate is: fine-tuning with weights of a library has one by default."""
    own = ("optimizer.lr=0.0001", "trainer.gradient_clip_val=5.0")
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", *own, levels=[v + 0.2 for v in LEVELS])
    (section,) = study(runs).sections
    (practice,) = section.of(Question.PRACTICE)
    assert {b.name: b.verdict for b in practice.benefits if b.name != "start"} == {
        "slope": Verdict.NOT_ANSWERED, "asymptote": Verdict.NOT_ANSWERED,
    }  # fmt: skip
    assert practice.differences["asymptote"].mean == pytest.approx(0.2)
    assert practice.differs == (
        "head.init class_means against random", "module.stage_decay 0.5 against 1", "optimizer.lr 0.0001 against 0.002",
        "trainer.gradient_clip_val 5 against none",
    )  # fmt: skip


def test_the_control_is_the_same_recipe_with_random_weights(make_run):
    runs = arm(make_run, "fine_tuning") + arm(make_run, "fine_tuning", "control=true") + arm(make_run, "scratch")
    runs += arm(make_run, "fine_tuning", "control=true", "optimizer.lr=0.1")
    arms, _ = arms_of(runs)
    treated = next(one for one in arms if one.mode == "fine_tuning" and not one.is_control)
    control = control_of(treated, arms)
    assert control is not None
    assert (control.name, control.setting) == ("fine_tuning with random weights", frozenset())
    assert differences_of(treated, control) == ()


def test_scratch_is_the_control_of_a_mode_whose_recipe_it_shares(make_run):
    same = ("module.stage_decay=1.0", "head.init=random")
    runs = arm(make_run, "scratch") + arm(make_run, "fine_tuning", *same) + arm(make_run, "gradual", *same)
    (section,) = study(runs).sections
    found = {c.label.split()[0]: c for c in section.of(Question.WEIGHTS)}
    assert found["fine_tuning"].unanswered == ""
    assert "control=false,true" in found["gradual"].unanswered, "its stages open one by one: another recipe"


def test_frozen_stages_are_a_part_of_the_recipe(make_run):
    runs = arm(make_run, "scratch") + arm(make_run, "AnB", "weights.reset_from=2")
    runs += arm(make_run, "AnB", "weights.reset_from=2", "control=true")
    runs += arm(make_run, "AnB", "weights.reset_from=3", "control=true")
    found = study(runs)
    (weights,) = [c for s in found.sections for c in s.of(Question.WEIGHTS)]
    assert weights.against == "AnB with random weights weights.reset_from=2"


TUNED = {"trials": 8, "seeds": [1000], "space": {}, "border": [], "tried": [], "cost": {}}


def tuned(rate, trials=8):
    return TUNED | {"trials": trials, "chosen": {"optimizer.lr": rate}}


def test_tuned_arms_are_compared_in_practice_although_their_rates_differ(make_run):
    runs = arm(make_run, "scratch", "optimizer.lr=0.01", tuned=tuned(0.01))
    runs += arm(make_run, "fine_tuning", "optimizer.lr=0.001", tuned=tuned(0.001), levels=[v + 0.2 for v in LEVELS])
    (section,) = study(runs).sections
    (practice,) = section.of(Question.PRACTICE)
    assert practice.unanswered == ""
    assert [b.verdict for b in practice.benefits if b.name == "asymptote"] == [Verdict.YES]
    assert dict(section.missing) == {Question.WEIGHTS: "control=false,true"}


def test_unequal_budgets_of_tuning_have_no_verdict(make_run):
    runs = arm(make_run, "scratch", tuned=tuned(0.01, 1)) + arm(make_run, "fine_tuning", tuned=tuned(0.001, 16))
    (section,) = study(runs).sections
    (practice,) = section.of(Question.PRACTICE)
    assert practice.unanswered == "tuned over 16 settings against 1; tune both equally"


def test_folds_are_replicates_of_one_arm(make_run):
    """One section with a mean over five folds, and the variance of Nadeau and Bengio."""
    sizes = {"train": 50, "val": 100, "test": 50}  # 5 shots of the 400 that four folds leave
    gaps = (0.04, 0.06, 0.05, 0.03, 0.07)
    runs = []
    for fold, gap in enumerate(gaps):
        for control, level in (("false", 0.7 + gap), ("true", 0.7)):
            listed = ["mode=fine_tuning", f"control={control}", f"target.fold={fold}", "seed=0"]
            runs.append(make_run("fine_tuning", 0, [0.1, *[level] * 7], listed, sizes=sizes, control=control == "true"))
    (section,) = study(runs).sections
    (weights,) = section.of(Question.WEIGHTS)
    assert [str(one) for one in weights.replicates] == [f"seed 0 fold {i}" for i in range(5)]
    assert weights.over == "folds"
    end = weights.differences["asymptote"]
    assert end.mean == pytest.approx(0.05)
    variance = sum((g - 0.05) ** 2 for g in gaps) / 4
    assert end.error == pytest.approx(((1 / 5 + 100 / 400) * variance) ** 0.5)


def test_a_diverged_run_is_counted_named_and_gets_no_yes(tmp_path: Path, save_run, curve):
    for seed in range(5):
        random = ["mode=fine_tuning", "control=true", f"seed={seed}"]
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.3, 0.7 + 0.002 * seed, 0.3), random)
        state = "diverged" if seed < 2 else "finished"
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.6, 0.95 - 0.002 * seed, 0.3), state=state)
    written = write_report(tmp_path / "s")
    record = json.loads((tmp_path / "s" / "report.json").read_text())
    (setting,) = record["settings"]
    (comparison,) = setting["comparisons"]
    assert {b["verdict"] for b in comparison["benefits"].values()} == {"undecided"}
    assert "2 of 5 runs of fine_tuning diverged" in comparison["benefits"]["asymptote"]["why"]
    (treated,) = [a for a in setting["arms"] if not a["control"]]
    ends = [run["measures"]["asymptote"] for run in treated["runs"]]
    assert ends[:2] == [0.1, 0.1], "chance of ten classes"
    assert "2 of 5 runs of fine_tuning diverged and count as the worst" in written.text
    assert setting["best"] is None or setting["best"]["arm"] != "fine_tuning"


def test_a_diverged_run_whose_curve_is_cut_shortens_no_other_and_counts_as_chance(tmp_path: Path, save_run, curve):
    for seed in range(3):
        save_run(tmp_path / "s", "scratch", seed, curve(0.3, 0.7, 0.3))
    whole = write_report(tmp_path / "s").study.sections[0].all_arms[0].runs[0].values
    save_run(tmp_path / "s", "scratch", 3, curve(0.3, 0.7, 0.3)[:2], state="diverged")
    (scratch,) = write_report(tmp_path / "s").study.sections[0].all_arms
    *sound, cut = scratch.runs
    assert [one.values["area_step"] for one in sound] == [whole["area_step"]] * 3
    assert [cut.values[key] for key in ("asymptote", "area_step", "area_examples")] == [0.1] * 3  # of ten classes


def test_a_diverged_run_has_the_worst_loss_that_was_seen(tmp_path: Path, save_run):
    save_run(tmp_path / "s", "scratch", 0, [0.1, 0.5, 0.6, 0.7, 0.7])
    folder = save_run(tmp_path / "s", "scratch", 1, [0.1, 0.5, 0.6, 0.7, 0.7])
    rows = "step,val/accuracy,val/loss\n0,0.1,0.9\n2,0.1,7.5\n4,0.1,nan\n6,0.1,nan\n8,0.1,nan\n"
    (folder / "metrics.csv").write_text(rows)
    result = json.loads((folder / "result.json").read_text())
    del result["state"]  # of a headstart that did not say it
    (folder / "result.json").write_text(json.dumps(result))
    written = write_report(tmp_path / "s", metric="val/loss")
    (scratch,) = [arm for s in written.study.sections for arm in s.all_arms]
    assert [m.values["asymptote"] for m in scratch.runs] == [pytest.approx(-(0.4 + 0.3 + 0.3) / 3), -7.5]
    assert scratch.diverged == 1


def test_training_that_harms_is_said_beside_the_start(tmp_path: Path, save_run):
    """All begin at 0.91 by their features and end below it."""
    for seed in range(3):
        for mode, end in (("scratch", 0.5), ("fine_tuning", 0.87 + 0.005 * seed)):
            start = 0.3 if mode == "scratch" else 0.908
            levels = [start, *[end] * 8]
            save_run(tmp_path / "s", mode, seed, levels, start_class_means=start)
    text = write_report(tmp_path / "s").text
    assert "fine_tuning ends below its own start in 3 of 3 runs (-0.033" in text
    assert "the features alone are enough" in text


def test_the_kept_checkpoint_before_training_is_said(tmp_path: Path, save_run):
    for seed in range(3):
        save_run(tmp_path / "s", "fine_tuning", seed, [0.95, *[0.9] * 8], best_before_training=seed > 0)
        save_run(tmp_path / "s", "scratch", seed, [0.1, *[0.5] * 8])
    text = write_report(tmp_path / "s").text
    assert "The best checkpoint of fine_tuning is the one before training (step 0) in 2 of 3 runs" in text


def test_a_curve_that_rises_at_the_end_is_said_to(tmp_path: Path, save_run, curve):
    for seed in range(4):
        save_run(tmp_path / "s", "scratch", seed, curve(0.1, 0.9 + 0.002 * seed, 0.05))
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.6, 0.9 + 0.002 * seed, 0.9))
    text = write_report(tmp_path / "s").text
    assert "Still rising at the end of the budget: scratch rises" in text


def test_val_and_test_that_disagree_in_sign_are_said(tmp_path: Path, save_run):
    for seed in range(3):
        for mode, end, test in (("scratch", 0.6, 0.80), ("fine_tuning", 0.7, 0.75)):
            metrics = {"val/accuracy": end, "test/accuracy": test + 0.001 * seed}
            save_run(tmp_path / "s", mode, seed, [0.1, *[end + 0.001 * seed] * 8], metrics=metrics)
    assert "disagree in sign" in write_report(tmp_path / "s").text


def test_a_yes_below_what_matters_is_called_small(tmp_path: Path, save_run):
    for seed in range(6):
        for control, end in (("true", 0.900), ("false", 0.904)):
            listed = ["mode=fine_tuning", f"control={control}", f"seed={seed}"]
            levels = [0.1, *[end + 0.003 * seed] * 8]
            save_run(tmp_path / "s", "fine_tuning", seed, levels, listed, control=control == "true")
    written = write_report(tmp_path / "s")
    assert "yes, but small +0.004" in written.text
    assert "higher level at the end of the budget (fine_tuning, but small)" in written.text


def test_one_source_model_is_this_source_model_and_several_are_a_kind(make_run):
    runs = arm(make_run, "fine_tuning") + arm(make_run, "fine_tuning", "control=true")
    (weights,) = study(runs).sections[0].of(Question.WEIGHTS)
    assert weights.this_source == "this source model"
    for run in runs:
        if run.result["source"]:
            run.result["source"] = run.result["source"] | {"hash": f"{run.seed:08x}"}
    (weights,) = study(runs).sections[0].of(Question.WEIGHTS)
    assert weights.this_source == "this kind of source (3 source models)"


def test_the_label_budget_counts_val_too(tmp_path: Path, save_run, curve):
    for seed in range(2):
        save_run(tmp_path / "s", "scratch", seed, curve(0.1, 0.9, 0.3), labelled_images={"train": 50, "val": 1027})
    markdown = write_report(tmp_path / "s").page.with_suffix(".md").read_text()
    assert "| scratch | 50 | 1,027 | 1,077 |" in markdown


def test_without_val_images_the_kept_checkpoint_on_test_is_judged(tmp_path: Path, save_run):
    for seed in range(5):
        for control, test in (("true", 0.7), ("false", 0.8)):
            listed = ["mode=fine_tuning", f"control={control}", "target.val_shots=0", f"seed={seed}"]
            folder = save_run(
                tmp_path / "s", "fine_tuning", seed, [0.1, 0.2], listed, control=control == "true",
                sizes={"train": 50, "val": 0, "test": 700}, evaluations=[], start_class_means=None,
                metrics={"test/accuracy": test + 0.002 * seed * (1 if control == "true" else -1)},
            )  # fmt: skip
            (folder / "metrics.csv").write_text("step,train/loss\n2,0.5\n4,0.4\n")
    written = write_report(tmp_path / "s")
    (weights,) = written.study.sections[0].of(Question.WEIGHTS)
    found = {b.name: (b.verdict, b.measure) for b in weights.benefits}
    assert found["asymptote"] == (Verdict.YES, "test")
    assert found["start"][0] is found["slope"][0] is Verdict.NOT_MEASURABLE
    assert "there is no val image" in written.page.read_text()


def test_a_rise_is_the_last_window_less_the_one_before_and_a_flat_end_seldom_rises(make_run):
    import numpy as np

    levels = [*np.linspace(0, 1, 60) ** 2]
    (one,) = measured([make_run("scratch", 0, levels)], "val/accuracy")
    assert one.values["rising"] == pytest.approx(np.mean(levels[54:]) - np.mean(levels[48:54]))
    rng = np.random.default_rng(5)
    rises = 0
    for _ in range(300):
        runs = [make_run("scratch", s, list(rng.binomial(700, 0.9, 31) / 700)) for s in range(5)]
        rises += study(runs).sections[0].baseline.still_rises
    assert rises / 300 <= 0.05, "one side of a 95 % interval: 2.5 %"

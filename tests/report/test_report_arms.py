"""Runs are compared with those that share data, network and budget."""

from pathlib import Path

from headstart.report.analysis.arms import arms_of, groups_of, setting_of
from headstart.report.analysis.study_comparison import study_of
from headstart.report.stored_runs.study_runs import RunsBelow


def test_a_setting_is_what_remains_without_mode_seed_and_what_changes_no_figure():
    overrides = [
        "mode=gradual",
        "seed=1",
        "study=demo",
        "rerun=true",
        "task=fit",
        "hydra.job.num=1",
        "++seed=2",
    ]
    assert setting_of([*overrides, "target.shots=5", "+optimizer.eps=1"]) == {
        "target.shots=5",
        "+optimizer.eps=1",
    }
    assert setting_of(["seeds=3", "weights.seed=2"]) == {"seeds=3", "weights.seed=2"}


def sweep(make_run, modes, shots, seeds=(0, 1)):
    return [
        make_run(m, s, [0.1, 0.5, 0.6, 0.7, 0.7], (f"mode={m}", f"target.shots={n}", f"seed={s}"))
        for m in modes
        for n in shots
        for s in seeds
    ]


def test_each_setting_is_compared_with_its_own_scratch(make_run):
    runs = sweep(make_run, ("scratch", "gradual"), (20, 5))
    study = study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy")
    assert [s.setting for s in study.sections] == [("target.shots=5",), ("target.shots=20",)]
    for section in study.sections:
        assert [c.seeds for c in section.comparisons] == [(0, 1), (0, 1)], "both questions"


def test_the_baseline_is_the_one_that_differs_in_the_fewest_settings(make_run):
    plain = make_run("scratch", 0, [0.1, 0.2], ("mode=scratch", "seed=0"))
    closer = make_run("scratch", 0, [0.1, 0.2], ("mode=scratch", "seed=0", "a=1"))
    arm = make_run("gradual", 0, [0.1, 0.2], ("seed=0", "a=1", "b=2"))  # gradual by default, not by override
    other = make_run("gradual", 0, [0.1, 0.2], ("mode=gradual", "seed=0", "a=2"))
    arms, _ = arms_of([plain, closer, arm, other])
    found = {g.setting: [a.setting for a in g.arms] for g in groups_of(arms, "scratch")}
    assert found == {frozenset(): [{"a=2"}], frozenset({"a=1"}): [{"a=1", "b=2"}]}


def test_arms_without_a_baseline_are_shown_with_a_hint(make_run):
    runs = [make_run("gradual", s, [0.1, 0.5, 0.6, 0.7, 0.8]) for s in range(2)]
    section = study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections[0]
    assert section.baseline is None
    assert section.comparisons == ()
    assert [a.label for a in section.arms] == ["gradual"]
    assert "mode=scratch" in section.hints[0]


def test_seeds_of_one_arm_alone_are_left_out_and_said_so(make_run):
    runs = [make_run(m, s, [0.1, 0.5, 0.6, 0.7, 0.8]) for m, n in (("scratch", 3), ("gradual", 4)) for s in range(n)]
    section = study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections[0]
    assert section.comparisons[0].seeds == (0, 1, 2)
    assert [one.seed for one in section.comparisons[0].dropped] == [3]
    assert "seed 3 left out" in section.hints[0]


def test_of_two_runs_with_the_same_overrides_and_seed_the_later_counts(tmp_path: Path, save_run):
    import os

    from headstart.report.stored_runs.study_runs import runs_below

    old = save_run(tmp_path / "a", "scratch", 0, [0.1, 0.2])
    new = save_run(tmp_path / "b", "scratch", 0, [0.1, 0.9])
    os.utime(old / "result.json", (1, 1))
    arms, replaced = arms_of(runs_below(tmp_path).finished)
    assert [run.folder for run in arms[0].runs] == [new]
    assert [(other.folder, other.state) for other in replaced] == [(old, "replaced")]


TUNED = {"trials": 8, "seeds": [1000], "chosen": {"optimizer.lr": 0.001}, "border": [], "tried": [], "cost": {}}


def test_the_best_arm_is_decided_only_if_all_were_tuned_and_it_beats_every_other(make_run, curve):
    levels = {"scratch": 0.80, "gradual": 0.95, "fine_tuning": 0.90}
    wobble = (0.004, -0.003, 0.0, 0.002, -0.003)

    def best(tuned, **other):
        runs = [
            make_run(m, s, curve(0.3, (levels | other)[m] + d, 0.4), tuned=tuned)
            for m in levels
            for s, d in enumerate(wobble if m != "gradual" or not other else (-2 * w for w in wobble))
        ]
        found = study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections[0].best
        assert found is not None
        return found

    assert (best(TUNED).label, best(TUNED).decided) == ("gradual", True)
    assert not best(TUNED, gradual=0.9005).decided
    assert not best(None).decided, "each arm at one setting: the better rate may have won"
    assert "tuning=equal" in best(None).why

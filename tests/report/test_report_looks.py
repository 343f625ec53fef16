"""A study that is looked at again spends its error once."""

import json
from pathlib import Path

import pytest

from headstart.report.analysis.study_records import Question
from headstart.report.rendering.reproduction_command import planned_seeds
from headstart.report.report_files import write_report
from headstart.report.statistics.repeated_looks import cumulative_share

WOBBLE = (0.012, -0.009, 0.004, 0.010, -0.013, 0.002, 0.007, -0.005)


@pytest.fixture
def grow(save_run, curve):
    def write(study: Path, seeds, *, gain=0.05, fixed=False):
        for seed in seeds:
            for control, end in (("true", 0.8), ("false", 0.8 + gain + WOBBLE[seed])):
                listed = [
                    "mode=fine_tuning",
                    f"control={control}",
                    *(["fixed_seeds=true"] if fixed else []),
                    f"seed={seed}",
                ]
                save_run(study, "fine_tuning", seed, curve(0.3, end, 0.4), listed, control=control == "true")
        return study

    return write


def end(study: Path):
    written = write_report(study)
    (weights,) = written.study.sections[0].of(Question.WEIGHTS)
    return next(b for b in weights.benefits if b.name == "asymptote"), written


def test_a_growing_study_spends_its_error_as_seeds_come(tmp_path: Path, grow):
    levels = [end(grow(tmp_path / "s", seeds))[0].level for seeds in (range(3), range(3, 5), range(5, 8))]
    shares = [cumulative_share(n) for n in (3, 5, 8)]
    assert levels == pytest.approx([0.05 * (b - a) for a, b in zip([0, *shares], shares, strict=False)])
    assert sum(levels) <= 0.05


def test_the_same_data_reported_twice_are_one_look(tmp_path: Path, grow):
    study = grow(tmp_path / "s", range(5))
    first, written = end(study)
    again, second = end(study)
    assert (first.level, first.verdict) == (again.level, again.verdict)
    assert "Look 1 " in written.text
    assert second.text == written.text
    assert "Look 2 " in end(grow(study, [5]))[1].text


def test_what_a_look_decided_stays_decided(tmp_path: Path, grow):
    study = grow(tmp_path / "s", range(5), gain=0.06)
    assert end(study)[0].verdict == "yes"
    later, _ = end(grow(study, [5]))
    assert (later.verdict, later.why) == ("yes", "decided at an earlier look")


def test_a_study_of_fixed_seeds_has_one_look_with_all_of_the_error(tmp_path: Path, grow):
    study = grow(tmp_path / "s", range(4), gain=0.01, fixed=True)
    first, written = end(study)
    assert first.level == 0.05
    assert "the seeds were fixed beforehand" in written.text
    later, again = end(grow(study, range(4, 8), gain=0.2, fixed=True))
    assert (later.level, later.verdict) == (0, "undecided"), "its error is spent"
    assert "no error left" in later.why
    assert "Look 2 at these data: earlier reports have spent the error of 0.05." in again.text
    assert "use fixed_seeds=false" in again.text


def test_a_first_report_on_one_of_the_fixed_seeds_spends_nothing(tmp_path: Path, grow):
    study = grow(tmp_path / "s", [0], gain=0.1, fixed=True)
    first, written = end(study)
    assert (first.level, first.verdict) == (0, "undecided")
    assert "One seed decides nothing: no error is spent on it." in written.text
    later, _ = end(grow(study, range(1, 5), gain=0.1, fixed=True))
    assert (later.level, later.verdict) == (0.05, "yes")


def test_a_study_of_fixed_seeds_waits_for_all_of_them(tmp_path: Path, grow):
    study = grow(tmp_path / "s", range(3), gain=0.1, fixed=True)
    (study / "multirun.yaml").write_text(
        "hydra:\n  overrides: {task: [study=demo], hydra: []}\n  sweeper: {params: {mode: 'a,b', seed: '0,1,2,3,4'}}\n"
    )
    assert planned_seeds(study) == (0, 1, 2, 3, 4)
    waiting, _ = end(study)
    assert (waiting.verdict, waiting.why) == ("undecided", "3 of the 5 seeds that the study has fixed are there")
    done, _ = end(grow(study, range(3, 5), gain=0.1, fixed=True))
    assert (done.verdict, done.level) == ("yes", 0.05), "what was no look spent nothing"


def test_seeds_of_the_command_come_before_those_of_the_study(tmp_path: Path):
    (tmp_path / "multirun.yaml").write_text(
        "hydra:\n  overrides: {task: ['seed=0,1,2', study=demo]}\n  sweeper: {params: {seed: '0,1,2,3,4'}}\n"
    )
    assert planned_seeds(tmp_path) == (0, 1, 2)
    (tmp_path / "multirun.yaml").write_text("hydra: {overrides: {task: ['seed=range(5)']}}\n")
    assert planned_seeds(tmp_path) == ()
    assert planned_seeds(tmp_path / "gone") == ()


def test_new_arms_have_looks_of_their_own(tmp_path: Path, grow, save_run, curve):
    """Controls that are run after a fixed study was reported are judged with all of their error."""
    study = tmp_path / "s"
    for seed in range(5):
        for mode, level in (("scratch", 0.7), ("fine_tuning", 0.8)):
            save_run(
                study,
                mode,
                seed,
                curve(0.3, level + WOBBLE[seed], 0.4),
                [f"mode={mode}", "fixed_seeds=true", f"seed={seed}"],
            )
    before = json.loads((write_report(study).page.parent / "report.json").read_text())
    assert {
        b["verdict"] for c in before["settings"][0]["comparisons"] for k, b in c["benefits"].items() if k != "start"
    } == {"not answered"}
    for seed in range(5):
        listed = ["mode=fine_tuning", "control=true", "fixed_seeds=true", f"seed={seed}"]
        save_run(study, "fine_tuning", seed, curve(0.3, 0.7 + WOBBLE[seed] / 2, 0.4), listed)
    (weights,) = write_report(study).study.sections[0].of(Question.WEIGHTS)
    asymptote = next(b for b in weights.benefits if b.name == "asymptote")
    assert (asymptote.verdict, asymptote.level) == ("yes", 0.05)


def test_looks_that_cannot_be_read_are_no_looks(tmp_path: Path, grow):
    study = grow(tmp_path / "s", range(3))
    write_report(study)  # whose page shows that the folder's report is ours
    for text in ("", "[]", '{"looks": 3}', '{"looks": {"x": [{"seeds": "many"}]}}'):
        (study / "report.json").write_text(text)
        assert end(study)[0].level == pytest.approx(0.05 * cumulative_share(3))

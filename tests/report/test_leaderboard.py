"""A study's runs as a list: what differs, what was reached, which setting is the best."""

import csv
import json
import math
import os
import statistics
from pathlib import Path

import pytest

from headstart.report.analysis.study_comparison import study_of
from headstart.report.leaderboard.run_board import leaderboard_of
from headstart.report.leaderboard.setting_groups import setting_groups
from headstart.report.leaderboard.study_ranking import ranking_of
from headstart.report.report_files import write_report
from headstart.report.stored_runs.study_runs import RunsBelow, runs_below
from headstart.runs.outcome.sweep_objective import value_of
from headstart.system.files.csv_cells import uncelled
from headstart.types import UserError
from page_text import shown
from planted_studies import planted, write_failed, write_run

RATES = (0.001, 0.003, 0.01, 0.03)


def write_search(study: Path, seeds: int = 2) -> Path:
    """A search without scratch: learning rates with a best one, 0.01, and two modes."""
    for rate in RATES:
        for mode in ("fine_tuning", "gradual"):
            for seed in range(seeds):
                level = 0.9 - 0.05 * abs(math.log10(rate) + 2) + 0.01 * seed - 0.02 * (mode == "gradual")
                overrides = [f"mode={mode}", f"optimizer.lr={rate}", f"seed={seed}"]
                write_run(study, mode, seed, planted(0.4, level, 0.4, 12), overrides)
    return study


def ranked(study: Path, metric: str = "val/accuracy"):
    runs = runs_below(study)
    return ranking_of(study_of(runs, baseline="scratch", metric=metric), runs)


def test_a_search_without_scratch_leads_with_its_runs_and_says_once_what_it_cannot_answer(tmp_path):
    written = write_report(write_search(tmp_path / "s"))
    page = " ".join(" ".join(shown(written.page).words).split())
    markdown = (tmp_path / "s" / "report.md").read_text().replace("\\", "")
    for text in (page, markdown, written.text):
        assert text.count("Whether starting from the source helped cannot be said") == 1
        assert text.count("add mode=scratch,... for what transfer brings in practice, control=false,true for") == 1
        assert "mode=fine_tuning optimizer.lr=0.01." in text
        assert "It is the best of 8 settings and so biased upwards" in text
        assert "Nothing to compare" not in text
    assert "Leaderboard · val/accuracy" in page
    assert "16 runs: 16 finished; 8 settings were measured." in page


def test_a_study_with_scratch_leads_with_its_answers(demo):
    page = " ".join(" ".join(shown(write_report(demo).page).words).split())
    assert page.index("What the source's weights brought") < page.index("All runs") < page.index("How it was made")
    assert "cannot be said, as no run of the same settings" not in page


def test_each_run_has_the_value_that_its_sweep_maximises(tmp_path):
    for objective in ("best_trained", "last", "best"):
        study = tmp_path / objective
        for seed, curve in enumerate(([0.9, 0.5, 0.8, 0.6], [0.1, 0.2, 0.4, 0.3])):
            write_run(study, "gradual", seed, curve, ["mode=gradual", f"objective={objective}", f"seed={seed}"])
        for entry in ranked(study).board.entries:
            result = json.loads((entry.folder / "result.json").read_text())
            assert entry.values["value"] == value_of(result, entry.folder, objective)


def test_settings_that_differ_have_a_key_and_a_run_without_an_override_has_what_its_config_says(tmp_path):
    write_run(tmp_path / "s", "gradual", 0, [0.1, 0.5], ["mode=gradual", "optimizer.lr=2e-3", "seed=0", "rerun=true"])
    write_run(tmp_path / "s", "gradual", 1, [0.1, 0.6], ["mode=gradual", "seed=1"])  # its config: 0.002
    write_run(tmp_path / "s", "gradual", 2, [0.1, 0.7], ["mode=gradual", "+target.shots=10", "seed=2"])
    board = ranked(tmp_path / "s").board
    assert board.keys == ("target.shots", "seed")
    assert [entry.settings for entry in board.entries] == [
        {"target.shots": "10", "seed": "2"},
        {"target.shots": "5", "seed": "1"},
        {"target.shots": "5", "seed": "0"},
    ]


def test_groups_have_mean_and_standard_deviation_over_seeds(tmp_path):
    ranking = ranked(write_search(tmp_path / "s", seeds=3))
    for group in ranking.groups:
        values = [entry.values["value"] for entry in group.entries]
        assert group.count == 3
        assert group.means["value"] == pytest.approx(statistics.fmean(values))
        assert group.spread == pytest.approx(statistics.stdev(values))
    means = [group.means["value"] for group in ranking.groups]
    assert means == sorted(means, reverse=True)
    assert ranking.best is ranking.groups[0]


def test_a_setting_with_a_diverged_a_failed_or_a_pruned_run_is_never_the_best(tmp_path):
    study = write_search(tmp_path / "s")
    names = [f"mode=fine_tuning,optimizer.lr={rate}" for rate in (0.1, 0.2, 0.3)]
    for rate in (0.1, 0.2, 0.3):
        overrides = ["mode=fine_tuning", f"optimizer.lr={rate}", "seed=0"]
        write_run(study, "fine_tuning", 0, [0.1, 0.99, 0.99], overrides)
    overrides = ["mode=fine_tuning", "optimizer.lr=0.1", "seed=1"]
    write_run(study, "fine_tuning", 1, [0.1, 0.99], overrides, state="diverged")
    overrides[1] = "optimizer.lr=0.2"
    pruned = {"epoch": 1, "metric": "val/accuracy", "value": 0.2}
    write_run(study, "fine_tuning", 1, [0.1, 0.2], overrides, state="pruned", pruned=pruned)
    failed = write_failed(study, f"{names[2]},seed=1-0", "MemoryError: <b>all of it</b>")
    (failed / ".hydra" / "overrides.yaml").write_text("- mode=fine_tuning\n- optimizer.lr=0.3\n- seed=1\n")
    ranking = ranked(study)
    assert ranking.best is not None
    assert ranking.best.settings["optimizer.lr"] == "0.01"
    partial = {group.settings["optimizer.lr"]: group for group in ranking.groups if not group.is_whole}
    assert {rate: (group.count, len(group.entries)) for rate, group in partial.items()} == {
        "0.1": (1, 2), "0.2": (1, 2), "0.3": (1, 2),
    }  # fmt: skip
    states = {(e.settings["optimizer.lr"], e.settings["seed"]): e.state for e in ranking.board.entries}
    assert [states[rate, "1"] for rate in ("0.1", "0.2", "0.3")] == ["diverged", "pruned", "failed"]
    page = write_report(study).page.read_text()
    assert "<b>all of it</b>" not in page
    assert "&lt;b&gt;all of it" in page


def test_of_a_loss_the_least_is_first(tmp_path):
    study = write_search(tmp_path / "s")
    board = ranked(study, metric="val/loss").board
    values = [entry.values["value"] for entry in board.entries]
    assert values == sorted(values)
    assert setting_groups(board)[0].settings["optimizer.lr"] == "0.01"


def test_runs_that_are_ranked_by_test_have_no_best_setting(tmp_path):
    for weight in (0.1, 0.3, 1.0):
        overrides = ["adaptation=cdan", f"adaptation.weight={weight}", "seed=0"]
        named = {"class": "CDAN", "main": "source"}
        metrics = {"val/accuracy": 0.97, "test/accuracy": 0.5 + weight / 10}
        write_run(tmp_path / "s", "scratch", 0, [0.1, 0.9], overrides, adaptation=named, metrics=metrics)
    written = write_report(tmp_path / "s")
    assert "which may choose none: no setting is called the best" in written.text
    assert "add adaptation=source_only,..." in written.text
    assert json.loads((tmp_path / "s" / "report.json").read_text())["ranking"]["best"] is None


def test_runs_without_val_images_have_no_best_setting_and_the_report_says_why(tmp_path):
    for rate in RATES:
        overrides = ["mode=fine_tuning", f"optimizer.lr={rate}", "seed=0"]
        folder = write_run(tmp_path / "s", "fine_tuning", 0, [0.1, 0.9], overrides)
        (folder / "metrics.csv").write_text("epoch,step,train/loss\n0,9,0.5\n")
        result = json.loads((folder / "result.json").read_text())
        result |= {"sizes": {"train": 10, "val": 0, "test": 10}, "metrics": {"test/accuracy": 0.8}}
        (folder / "result.json").write_text(json.dumps(result))
    text = write_report(tmp_path / "s").text
    assert "No finished run has val/accuracy, as without val images, so no setting is called the best." in text


def test_a_replaced_run_is_listed_and_counts_in_no_mean(tmp_path):
    study = tmp_path / "s"
    old = write_run(study, "gradual", 0, [0.1, 0.9], ["mode=gradual", "seed=0"])
    old.rename(study / "old")
    new = write_run(study, "gradual", 0, [0.1, 0.5], ["mode=gradual", "seed=0"])
    os.utime(study / "old" / "result.json", (1, 1))
    ranking = ranked(study)
    assert {entry.folder.name: entry.state for entry in ranking.board.entries} == {
        "old": "replaced", new.name: "finished",
    }  # fmt: skip
    assert [group.means["value"] for group in ranking.groups] == [0.5]


def test_the_csv_has_every_run_in_full_and_no_cell_that_a_spreadsheet_computes(tmp_path):
    study = write_search(tmp_path / "s")
    write_run(study, "gradual", 9, [0.1, 0.3], ["mode=gradual", "target.name==HYPERLINK(1)", "seed=9"])
    write_report(study)
    lines = list(csv.DictReader((study / "report.csv").open(newline="")))
    entries = ranked(study).board.entries
    assert [float(line["val/accuracy"]) for line in lines] == [entry.values["value"] for entry in entries]
    assert [uncelled(line["folder"]) for line in lines] == [entry.folder.name for entry in entries]
    named = {line["target.name"] for line in lines}
    assert named == {"", "'=HYPERLINK(1)"}
    assert all((study / uncelled(line["folder"]) / "result.json").is_file() for line in lines)


def test_the_latex_table_has_the_settings_and_no_command_of_a_name(tmp_path):
    study = write_search(tmp_path / "s")
    write_run(study, "gradual", 0, [0.1, 0.99], ["mode=gradual", r"target.name=a_b%\input{x}&$#", "seed=0"])
    write_report(study)
    text = (study / "report.tex").read_text()
    assert r"a\_b\%\textbackslash{}input\{x\}\&\$\#" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    columns = text.splitlines()[1].removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert {len(row.replace(r"\&", "").split(" & ")) for row in rows} == {len(columns)}
    assert len(rows) == 1 + 9


def test_a_report_replaces_no_csv_of_somebody_else_s_beside_a_report_of_format_2(tmp_path):
    study = write_search(tmp_path / "s")
    write_report(study)
    earlier = json.loads((study / "report.json").read_text())
    del earlier["ranking"]
    (study / "report.json").write_text(json.dumps(earlier))
    with pytest.raises(UserError, match=r"holds report\.csv, report\.tex of something else"):
        write_report(study)
    for kind in ("csv", "tex"):
        (study / f"report.{kind}").unlink()
    assert write_report(study).page.is_file()


def test_leaderboard_of_runs_that_never_were_on_disk_has_their_numbers(make_run):
    runs = RunsBelow((make_run("gradual", 0, [0.1, 0.7], trainable={"parameters": 10, "of": 40}),), ())
    (entry,) = leaderboard_of(study_of(runs, baseline="scratch", metric="val/accuracy"), runs).entries
    numbers = {key: entry.values[key] for key in ("wall_s", "peak_memory_mib", "parameters", "trainable_parameters")}
    assert numbers == {"wall_s": 3.2, "peak_memory_mib": 410.0, "parameters": 40.0, "trainable_parameters": 10.0}


def test_two_studies_stand_side_by_side_and_a_run_that_both_have_is_in_both(tmp_path):
    for name, more in (("a", 0.0), ("b", 0.1)):
        for rate in (0.01, 0.1) if name == "a" else (0.01, 0.1, 1.0):
            for seed in (0, 1):
                level = 0.5 + more + rate / 10 + seed / 100
                overrides = ["mode=gradual", f"optimizer.lr={rate}", f"seed={seed}"]
                write_run(tmp_path / name, "gradual", seed, [0.1, level], overrides)
    written = write_report(tmp_path / "both", studies=[tmp_path / "a", tmp_path / "b"])
    record = json.loads((tmp_path / "both" / "report.json").read_text())
    assert [run["state"] for run in record["runs"]] == ["finished"] * 10
    assert record["ranking"]["keys"] == ["study", "optimizer.lr", "seed"]
    page = " ".join(" ".join(shown(written.page).words).split())
    assert "mean of 2 shared settings" in page
    means = {"a": (0.501 + 0.511 + 0.51 + 0.52) / 4, "b": (0.601 + 0.611 + 0.61 + 0.62) / 4}
    assert f"a 4 {means['a']:.3f} 0.515 optimizer.lr=0.1" in page
    assert f"b 6 {means['b']:.3f} 0.705 optimizer.lr=1" in page
    assert not (tmp_path / "a" / "report.html").exists()


def test_runs_of_one_folder_have_no_key_of_the_study(tmp_path):
    assert "study" not in ranked(write_search(tmp_path / "s")).board.keys

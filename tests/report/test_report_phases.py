"""The report says what each phase took, and reads results from before that was recorded."""

import json
from pathlib import Path

import pytest

from headstart.report.analysis.phase_costs import phases_of
from headstart.report.analysis.study_comparison import study_of
from headstart.report.rendering.tables.cost_tables import throughput_table
from headstart.report.report_files import write_report
from headstart.report.stored_runs.study_runs import RunsBelow, runs_below


def study(runs):
    return study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy")


def account(phase, **figures):
    return {"phase": phase, "trainable": ["head"], "epochs": 1.0, "steps": 4, "images_per_s": 100.0} | figures


def test_a_figure_of_a_phase_is_the_median_over_the_seeds_that_came_to_it(make_run, curve):
    runs = [
        make_run("scratch", seed, curve(0.4, 0.9, 0.3), phases=phases)
        for seed, phases in enumerate(
            [
                [account("head", images_per_s=100.0), account("all", images_per_s=10.0)],
                [account("head", images_per_s=300.0), account("all", images_per_s=None)],
                [account("head", images_per_s=120.0)],
            ]
        )
    ]
    (arm,) = study(runs).sections[0].all_arms
    head, everything = phases_of(arm.runs)
    assert (head["phase"], head["runs"], head["images_per_s"]) == ("head", 3, 120.0)
    assert (everything["phase"], everything["runs"], everything["images_per_s"]) == ("all", 2, 10.0)
    assert everything["peak_memory_mib"] is None


@pytest.mark.parametrize("phases", [None, [], "fast", [3], [{"trainable": []}], [{"phase": 3}]])
def test_results_without_phases_or_with_odd_ones_have_no_table(make_run, curve, phases):
    found = study([make_run("scratch", 0, curve(0.4, 0.9, 0.3), phases=phases)])
    assert throughput_table(found.sections[0]) is None


def test_the_page_the_markdown_and_the_record_have_the_table(demo: Path):
    page = write_report(demo).page
    html, text = page.read_text(), page.with_suffix(".md").read_text()
    for shown in (html, text):
        assert "Throughput and memory by phase" in shown
    (row,) = [line for line in text.splitlines() if line.startswith("| gradual |") and "stage2 and above" in line]
    # 5 seeds, each a tenth of 2,400 images a second faster than the one before: the middle one has 1.2 of it
    assert [cell.strip() for cell in row.split("|")[2:5]] == [
        "stage2 and above (stage2, head learn)", "10 (20 steps)", "2,880",
    ]  # fmt: skip
    (setting,) = json.loads(page.with_suffix(".json").read_text())["settings"]
    gradual = next(arm for arm in setting["arms"] if arm["arm"] == "gradual")
    assert [phase["phase"] for phase in gradual["phases"]] == ["head", "stage2 and above", "all"]
    assert gradual["phases"][1]["peak_memory_mib"] == 402.0


def test_older_results_are_read_as_before(tmp_path: Path, save_run, curve):
    for seed in range(2):
        save_run(tmp_path / "s", "scratch", seed, curve(0.4, 0.9, 0.3), phases=None)
        save_run(tmp_path / "s", "gradual", seed, curve(0.7, 0.9, 0.3))
    page = write_report(tmp_path / "s").page.with_suffix(".md").read_text()
    assert "| gradual | head (head learns) |" in page
    assert "| scratch | all" not in page


def test_a_probes_result_is_no_run_to_compare_and_no_damaged_one(demo: Path):
    folder = demo / "probe-1234"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"format": 2, "task": "probe", "mode": "gradual", "seed": 0}))
    found = runs_below(demo)
    assert folder not in [run.folder for run in found.finished] + [other.folder for other in found.others]

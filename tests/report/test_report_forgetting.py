"""The table of what the source forgot, of runs that measured it."""

from pathlib import Path

import pytest

from headstart.report.report_files import write_report


def forgotten(before: float, after: float) -> dict[str, object]:
    return {"before": before, "after": after, "change": after - before, "images": 500, "interval": [0.0, 1.0]}


def test_each_arm_says_the_source_s_accuracy_before_and_after_and_the_change(tmp_path: Path, save_run, curve):
    for seed, after in enumerate((0.60, 0.62, 0.64)):
        save_run(tmp_path / "s", "scratch", seed, curve(0.4, 0.9, 0.3))
        more = {"forgetting": forgotten(0.92, after)}
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.5, 0.9, 0.3), **more)
    markdown = write_report(tmp_path / "s").page.with_suffix(".md").read_text()
    table = markdown.split("Forgetting of the source")[1].splitlines()
    row = next(line for line in table if line.startswith("| fine"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1].startswith("0.920")
    assert cells[2].startswith("0.620")
    assert cells[3].replace("−", "-").startswith("-0.300")
    assert cells[4] == "3"


@pytest.mark.parametrize("value", [None, {"before": 0.9}])
def test_without_a_whole_measurement_there_is_no_table(tmp_path: Path, save_run, curve, value):
    for seed in range(2):
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.5, 0.9, 0.3), forgetting=value)
    assert "Forgetting" not in write_report(tmp_path / "s").page.with_suffix(".md").read_text()

"""A study's folder becomes pages that say what was found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.report.analysis.study_records import Question
from headstart.report.report_files import write_report
from headstart.report.statistics.seed_intervals import Verdict
from headstart.types import UserError
from page_text import shown


def test_the_files_and_the_terminal_say_the_same(demo: Path):
    written = write_report(demo)
    assert written.page == demo / "report.html"
    record = json.loads((demo / "report.json").read_text())
    markdown = (demo / "report.md").read_text()
    page = " ".join(" ".join(shown(written.page).words).split())
    (setting,) = record["settings"]
    for sentence in setting["summary"]:
        assert sentence in page
        assert sentence in markdown.replace("\\", "")
    for comparison in setting["comparisons"]:
        for benefit in comparison["benefits"].values():
            assert benefit["verdict"] in tuple(Verdict)
        start = comparison["differences"]["start"]
        for text in (page, markdown, written.text.replace("-", "−")):
            assert f"{start['mean']:+.3f} [{start['low']:+.3f}, {start['high']:+.3f}]" in text
    assert "headstart -m study=demo" in page
    assert sorted(p.name for p in demo.glob("*report*")) == [
        f"report.{kind}" for kind in ("csv", "html", "json", "md", "tex")
    ]


def test_the_page_fetches_nothing(demo: Path):
    assert shown(write_report(demo).page).outside == []


def test_failed_runs_are_shown_and_their_text_is_escaped(demo: Path):
    page = write_report(demo).page.read_text()
    assert "loss is nan &lt;at step 12&gt;" in page
    assert "1 failed, 1 unfinished" in page


def test_writing_twice_gives_the_same_bytes(demo: Path):
    first = {p.name: p.read_bytes() for p in write_report(demo).page.parent.glob("report.*")}
    assert {p.name: p.read_bytes() for p in write_report(demo).page.parent.glob("report.*")} == first


def test_negative_transfer_is_said_in_so_many_words(tmp_path: Path, save_run, curve):
    for seed, wobble in enumerate((0.004, -0.003, 0.0, 0.002, -0.003)):
        random = ["mode=fine_tuning", "control=true", f"seed={seed}"]
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.4, 0.93 + wobble, 0.3), random)
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.4 - wobble, 0.85 - wobble, 0.3))
    written = write_report(tmp_path / "s")
    assert "negative transfer -0.080" in written.text
    for sentence in (
        "negative transfer, worse than fine_tuning with random weights beyond chance: ",
        "lower level at the end of the budget (fine_tuning)",
    ):
        assert sentence in written.text
        assert sentence in " ".join(shown(written.page).words)


def test_a_recipe_is_no_negative_transfer(tmp_path: Path, save_run, curve):
    """Without a control, fine_tuning differs from scratch in weights, rates and head at once."""
    for seed, wobble in enumerate((0.004, -0.003, 0.0, 0.002, -0.003)):
        save_run(tmp_path / "s", "scratch", seed, curve(0.4, 0.93 + wobble, 0.3))
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.4 - wobble, 0.5 - wobble, 0.3))
    text = write_report(tmp_path / "s").text
    assert "negative" not in text
    assert "add control=false,true" in text
    assert "add tuning=equal tuning.trials=8" in text
    assert "fine_tuning -0.43" in text, "the figure is there"


def test_one_seed_gives_a_report_that_decides_nothing(tmp_path: Path, save_run, curve):
    save_run(tmp_path / "s", "scratch", 0, curve(0.4, 0.9, 0.3))
    save_run(tmp_path / "s", "gradual", 0, curve(0.8, 0.95, 0.3))
    written = write_report(tmp_path / "s")
    assert "undecided +0.400" in written.text
    assert "one seed cannot decide anything" in written.text
    assert "one pair of seeds gives no interval" in written.page.read_text()


def test_a_flat_curve_has_no_slope_and_the_page_says_why(tmp_path: Path, save_run, curve):
    for seed in range(3):
        random = ["mode=feature_extraction", "control=true", f"seed={seed}"]
        save_run(tmp_path / "s", "feature_extraction", seed, curve(0.4, 0.9, 0.3 + 0.01 * seed), random)
        save_run(tmp_path / "s", "feature_extraction", seed, [0.9 + 0.001 * seed] * 31)
    written = write_report(tmp_path / "s")
    slope = written.study.sections[0].comparisons[0].benefits[1]
    assert (slope.name, slope.verdict.value) == ("slope", "not measurable")
    assert "pass no level in common" in written.page.read_text()


def test_levels_never_reached_are_counted_not_dropped(tmp_path: Path, save_run, curve):
    for seed in range(5):
        save_run(tmp_path / "s", "scratch", seed, curve(0.4, 0.9 + 0.001 * seed, 0.3))
        save_run(tmp_path / "s", "gradual", seed, curve(0.4, 0.95 if seed < 3 else 0.7, 0.3))
        save_run(tmp_path / "s", "fine_tuning", seed, curve(0.4, 0.6, 0.3))
    write_report(tmp_path / "s")
    (setting,) = json.loads((tmp_path / "s" / "report.json").read_text())["settings"]
    reached = {a["arm"]: a["threshold_reached"] for a in setting["arms"]}
    assert (reached["gradual"]["runs"], reached["gradual"]["of"]) == (3, 5)
    assert reached["gradual"]["median"]["step"] == max(r["step"] for r in reached["gradual"]["by_seed"] if r["step"])
    assert (reached["fine_tuning"]["runs"], reached["fine_tuning"]["median"]["step"]) == (0, None)
    assert "not reached" in (tmp_path / "s" / "report.md").read_text()


def test_the_cost_with_the_source_holds_its_whole_training(demo: Path):
    markdown = write_report(demo).page.with_suffix(".md").read_text()
    rows = [line.split("|") for line in markdown.splitlines() if line.startswith("| fine\\_tuning")]
    (row,) = [row for row in rows if row[2].strip() == "5 of 5"]
    images, seconds, images_with, seconds_with = (float(cell.replace(",", "")) for cell in row[4:8])
    assert images_with == images + 26000
    assert seconds_with == pytest.approx(seconds + 21.5, abs=0.11)


def test_a_loss_is_better_when_lower(demo: Path):
    written = write_report(demo, metric="val/loss")
    record = json.loads((demo / "report.json").read_text())
    arms = {a["arm"]: a["measures"]["asymptote"]["mean"] for a in record["settings"][0]["arms"]}
    practice = written.study.sections[0].of(Question.PRACTICE)
    difference = next(c for c in practice if c.label == "fine_tuning").differences["asymptote"].mean
    assert difference == pytest.approx(arms["scratch"] - arms["fine_tuning"])
    assert difference > 0
    assert "better start" in written.text


def test_two_settings_have_a_section_each_and_an_overview(tmp_path: Path, save_run, curve):
    for shots in (20, 5):
        for mode, start in (("scratch", 0.2), ("gradual", 0.7)):
            for seed in range(3):
                levels = curve(start + 0.01 * seed * (shots - 10) / 10, 0.85 + shots / 200, 0.3)
                overrides = [f"mode={mode}", f"target.shots={shots}", f"seed={seed}"]
                save_run(tmp_path / "s", mode, seed, levels, overrides)
    written = write_report(tmp_path / "s")
    words = " ".join(shown(written.page).words)
    assert words.index("Overview of the settings") < words.index("target.shots=5") < words.index("target.shots=20")
    assert "target.shots=5" in written.text


def test_errors_say_what_is_there_and_what_to_try(tmp_path: Path, demo: Path, save_failed):
    with pytest.raises(UserError, match=r"there is no .*gone; .* holds demo"):
        write_report(tmp_path / "gone")
    with pytest.raises(UserError, match=r"the metrics.csv have val/accuracy, val/loss"):
        write_report(demo, metric="val/f1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"found no run at all; try: headstart -m"):
        write_report(tmp_path / "empty")
    save_failed(tmp_path / "bad", "mode=gradual-1", "ValueError: no")
    with pytest.raises(UserError, match=r"mode=gradual-1: failed, ValueError: no"):
        write_report(tmp_path / "bad")


def test_an_unknown_baseline_compares_nothing_and_hints(demo: Path):
    assert "no runs of mode=linear" in write_report(demo, baseline="linear").text


def test_reporting_imports_neither_torch_nor_hydra(demo: Path):
    code = (
        "import sys, pathlib; from headstart.report.report_files import write_report;"
        "write_report(pathlib.Path(sys.argv[1]));"
        "print([m for m in ('torch', 'hydra', 'omegaconf', 'matplotlib', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(demo)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pair_that_was_not_measured_is_said(tmp_path: Path, save_run, curve):
    for seed in range(3):
        save_run(tmp_path / "s", "scratch", seed, curve(0.4, 0.9 + 0.001 * seed, 0.3))
        diverged = [float("nan") if seed == 1 and t > 20 else y for t, y in enumerate(curve(0.7, 0.9, 0.3))]
        folder = save_run(tmp_path / "s", "gradual", seed, curve(0.7, 0.9, 0.3))
        rows = "".join(f"{2 * t},{50 * t},{y}\n" for t, y in enumerate(diverged))
        (folder / "metrics.csv").write_text("step,examples,val/accuracy\n" + rows)
    assert "measured in 2 of 3 pairs" in write_report(tmp_path / "s").page.read_text()


def test_without_the_size_of_val_seeds_that_agree_decide_nothing(tmp_path: Path, save_run, curve):
    for seed in range(3):
        random = ["mode=gradual", "control=true", f"seed={seed}"]
        save_run(tmp_path / "s", "gradual", seed, curve(0.4, 0.9, 0.3), random, sizes=None)
        save_run(tmp_path / "s", "gradual", seed, curve(0.7, 0.95, 0.3), sizes=None)
    (comparison,) = write_report(tmp_path / "s").study.sections[0].comparisons
    assert [b.verdict.value for b in comparison.benefits] == ["undecided"] * 3
    assert "resolution is not known" in comparison.benefits[0].why


def test_pages_name_data_by_the_last_parts_of_their_paths_which_tell_two_folders_apart(tmp_path, save_run):
    for root in ("/home/somebody/a/photos", "/home/somebody/b/photos"):
        for mode in ("scratch", "fine_tuning"):
            for seed in (0, 1):
                overrides = [f"mode={mode}", f"seed={seed}", f"target.root={root}"]
                run = save_run(tmp_path / "made", mode, seed, [0.5, 0.6, 0.7], overrides=overrides)
                (tmp_path / "study").mkdir(exist_ok=True)
                run.rename(tmp_path / "study" / f"{mode}-{seed}-{root.split('/')[3]}")
    written = write_report(tmp_path / "study")
    pages = [written.text, (tmp_path / "study" / "report.md").read_text(), written.page.read_text()]
    for text in pages:
        assert "target.root=a/photos" in text
        assert "target.root=b/photos" in text
    assert "/home/somebody" not in written.text
    for text in pages[1:]:  # the command that makes the study again has to name the folders
        assert text.count("/home/somebody") <= 2
    looks = json.loads((tmp_path / "study" / "report.json").read_text())["looks"]
    assert any("/home/somebody/a/photos" in key for key in looks)  # a third folder of that name changes no key


def test_named_test_sets_have_a_table_of_means_over_seeds_and_no_verdict(tmp_path: Path, save_run, curve):
    for mode, level in (("scratch", 0.6), ("fine_tuning", 0.8)):
        for seed, off in enumerate((-0.02, 0.0, 0.02)):
            metrics = {
                "val/accuracy": 0.9, "test/accuracy": 0.9, "test/site_b/accuracy": level + off, "test/site_b/loss": 1.0,
                "test/worn/accuracy": 0.5, "test/worn/fog/accuracy": 0.4 + off, "test/worn/snow/accuracy": 0.6 - off,
            }  # fmt: skip
            tests = {
                "site_b": {"images": 100, "passes": 1, "settings": {"root": "b"}, "kinds": {}},
                "worn": {"images": 100, "passes": 2, "settings": {}, "kinds": {"fog": 0.4, "snow": 0.6}},
            }
            save_run(tmp_path / "s", mode, seed, curve(0.4, 0.9, 0.3), metrics=metrics, tests=tests)
    write_report(tmp_path / "s")
    lines = (tmp_path / "s" / "report.md").read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if "accuracy on named test sets" in line)
    table = [line for line in lines[begin:] if line.startswith("|")][:7]
    rows = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in (line.split("|") for line in table)}
    half = 4.303 * 0.02 / 3**0.5  # Student's t of 2 degrees of freedom, standard deviation 0.02, 3 seeds
    assert sorted(rows["site\\_b"]) == [f"0.600 ± {half:.3f}", f"0.800 ± {half:.3f}"]
    assert rows["worn, snow"][0] == f"0.600 ± {half:.3f}"
    final = next(line for line in lines if line.startswith("| mode") and "best step" in line)
    assert "site" not in final  # the test images' own table
    assert "site_b" not in json.dumps(
        json.loads((tmp_path / "s" / "report.json").read_text())["settings"][0]["comparisons"]
    )

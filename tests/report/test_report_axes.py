"""Curves over an ordered axis equal a hand computation."""

import json
from math import sqrt
from pathlib import Path

import pytest

from headstart.report.analysis.swept_keys import PlacedArm, ReachedLevel, axes_of
from headstart.report.rendering.charts.numeric_scale import numeric_scale
from headstart.report.rendering.charts.swept_key_charts import MARGIN, legible, positions_of
from headstart.report.report_files import write_report
from headstart.report.statistics.repeated_looks import cumulative_share
from headstart.report.statistics.seed_intervals import Interval
from headstart.types import UserError

T2 = 4.302652729911275  # Student's t, 0.975, of 2 degrees of freedom
NETWORKS = {"AnB": {1: 0.70, 2: 0.80, 4: 0.60}, "BnB": {1: 0.65, 2: 0.50, 4: 0.55}}  # means, of seeds 0.02 apart
SEEDS = (0, 1, 2)


def write_networks(study: Path, save_run, scratch=0.60):
    """Flat curves, so that the level at the end is the level."""
    for seed in SEEDS:
        save_run(study, "scratch", seed, [scratch + 0.01 * seed] * 6)
        for mode, means in NETWORKS.items():
            for n, mean in means.items():
                overrides = [f"mode={mode}", f"weights.reset_from={n}", f"seed={seed}"]
                save_run(study, mode, seed, [mean + 0.02 * (seed - 1)] * 6, overrides)
    return study


def write_levels(study: Path, shots: int, seed: int, reached: dict[str, float], **more):
    """A result of task=few_images."""
    overrides = ["task=few_images", f"target.shots={shots}", f"seed={seed}"]
    folder = study / ",".join(overrides)
    (folder / ".hydra").mkdir(parents=True)
    result = {
        "format": 2, "task": "few_images", "seed": seed, "mode": "feature_extraction", "overrides": overrides,
        "baseline": "pixels", "sizes": {"train": 10 * shots, "val": 500, "test": 700}, "num_classes": 10,
        "levels": {arm: {"val/accuracy": value, "test/accuracy": value - 0.01} for arm, value in reached.items()},
        "source": {"hash": "5ca1ab1e", "folder": "outputs/source/printed-5ca1ab1e", "wall_s": 21.5, "examples": 26000,
                   "metrics": {"test/accuracy": 0.93}, "naive": {"majority": 0.04}},
    } | more  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def write_few_images(study: Path):
    pixels = {1: (0.50, 0.52, 0.54), 5: (0.70, 0.72, 0.74), 50: (0.80, 0.81, 0.82)}
    gains = {1: (0.10, 0.12, 0.14), 5: (0.10, 0.11, 0.12), 50: (0.000, 0.002, -0.002)}
    for shots, values in pixels.items():
        for seed in SEEDS:
            levels = {"pixels": values[seed], "features": values[seed] + gains[shots][seed]}
            write_levels(study, shots, seed, levels)
    return study


def axis_in(folder: Path):
    (axis,) = json.loads((folder / "report.json").read_text())["axes"]
    return axis, {line["line"]: {p["value"]: p for p in line["points"]} for line in axis["lines"]}


def test_means_and_intervals_over_the_axis_are_students(tmp_path, save_run):
    study = write_networks(tmp_path / "s", save_run)
    write_report(study)
    axis, lines = axis_in(study)
    assert (axis["key"], axis["metrics"]) == ("weights.reset_from", ["val/accuracy at the end", "test/accuracy"])
    assert list(lines) == ["scratch", "AnB", "BnB"]
    half = T2 * 0.02 / sqrt(3)
    for mode, means in NETWORKS.items():
        for n, mean in means.items():
            for figure, below in (("val/accuracy at the end", 0.0), ("test/accuracy", 0.005)):
                found = lines[mode][str(n)][figure]["mean"]
                assert (found["mean"], found["low"]) == pytest.approx((mean - below, mean - below - half))
                assert (found["high"], found["n"]) == pytest.approx((mean - below + half, 3))


def test_each_place_is_compared_with_the_baseline_by_seed_as_the_asymptote_is(tmp_path, save_run):
    study = write_networks(tmp_path / "s", save_run)
    written = write_report(study)
    _, lines = axis_in(study)
    gap = lines["AnB"]["2"]["val/accuracy at the end"]
    # AnB 0.78, 0.80, 0.82 less scratch 0.60, 0.61, 0.62: 0.18, 0.19, 0.20
    assert gap["difference"]["mean"] == pytest.approx(0.19)
    assert gap["difference"]["low"] == pytest.approx(0.19 - T2 * 0.01 / sqrt(3))
    assert lines["AnB"]["2"]["test/accuracy"]["difference"] is None, "test figures are no part of a verdict"
    benefits = {(c.label, b.name): b for c in written.study.sections[0].comparisons for b in c.benefits}
    benefit = benefits["AnB weights.reset_from=2", "asymptote"]
    assert (gap["verdict"], gap["corrected_p"]) == (benefit.verdict.value, None), "no control, nothing tuned"


def test_a_baseline_without_a_value_lies_along_the_whole_axis(tmp_path, save_run):
    study = write_networks(tmp_path / "s", save_run)
    write_report(study)
    axis, lines = axis_in(study)
    assert [line["constant"] for line in axis["lines"]] == [True, False, False]
    assert list(lines["scratch"]) == ["1", "2", "4"]
    means = [p["val/accuracy at the end"]["mean"]["mean"] for p in lines["scratch"].values()]
    assert means == pytest.approx([0.61] * 3)


def test_a_baseline_with_values_of_its_own_is_a_line_like_the_others(tmp_path, save_run):
    for n in (1, 2, 3):
        for seed in SEEDS:
            for mode, level in (("scratch", 0.5), ("AnB", 0.5 + 0.1 * n)):
                overrides = [f"mode={mode}", f"weights.reset_from={n}", f"seed={seed}"]
                save_run(tmp_path / "s", mode, seed, [level + 0.01 * seed] * 6, overrides)
    written = write_report(tmp_path / "s")
    axis, lines = axis_in(tmp_path / "s")
    assert [line["constant"] for line in axis["lines"]] == [False, False]
    assert len(written.study.sections) == 3, "each place is compared with its own scratch"
    differences = [p["val/accuracy at the end"]["difference"]["mean"] for p in lines["AnB"].values()]
    assert differences == pytest.approx([0.1, 0.2, 0.3])


def test_page_markdown_and_terminal_have_the_figures_of_the_axis(tmp_path, save_run):
    from page_text import shown

    study = write_networks(tmp_path / "s", save_run)
    written = write_report(study)
    page = shown(written.page)
    words = " ".join(" ".join(page.words).split())
    markdown = (study / "report.md").read_text().replace("\\", "")
    text = f"0.800 ± {T2 * 0.02 / sqrt(3):.3f}"
    assert text in words
    assert text in markdown
    assert text.replace("±", "+-") in written.text
    for sentence in axis_in(study)[0]["summary"]:
        assert sentence in words
        assert sentence in markdown
        assert sentence in written.text
    html = written.page.read_text()
    drawn = html[html.index('id="axis-0"') : html.index('id="setting-0"')]
    for line in ("scratch", "AnB", "BnB"):
        assert drawn.count(f'data-arm="{line}" d="M') == 2, "val and test"
    assert page.outside == []


def placed(values, key="weights.reset_from", label="AnB", is_baseline=False):
    level = {"val/accuracy": ReachedLevel(Interval(0.5, 0.4, 0.6, 3, 0.1, False))}
    return [PlacedArm(label, frozenset({f"{key}={value}"}), is_baseline, level) for value in values]


@pytest.mark.parametrize(
    ("values", "key"),
    [((5, 20), "target.shots"), ((0, 1, 2, 3), "target.fold"), ((0, 1, 2), "weights.seed"), (("a", "b", "c"), "x.y"),
     (("null", "nan", 1, 2), "target.shots")],
)  # fmt: skip
def test_two_places_names_and_words_are_no_axis(values, key):
    assert axes_of(placed(values, key)) == ()


def test_what_is_no_number_has_no_place_and_the_others_keep_their_order():
    (axis,) = axes_of(placed((20, "null", 5, 100)))
    assert [text for _, text in axis.places] == ["5", "20", "100"]
    assert [[p.text for p in line.points] for line in axis.lines] == [["5", "20", "100"]]


def test_lines_differ_in_all_else_and_say_so():
    level = {"val/accuracy": ReachedLevel(Interval(0.5, 0.4, 0.6, 3, 0.1, False))}
    arms = [
        PlacedArm("AnB", frozenset({f"weights.reset_from={n}", f"target.shots={shots}", "x=1"}), False, level)
        for n in (1, 2, 3)
        for shots in (5, 10)
    ]
    (axis,) = axes_of(arms)  # two shots are no axis
    assert [line.label for line in axis.lines] == ["AnB target.shots=5", "AnB target.shots=10"]


def test_each_line_is_compared_with_the_baseline_of_its_own_setting(tmp_path, save_run):
    for shots, scratch in ((5, 0.5), (20, 0.8)):
        for n in (1, 2, 3):
            for seed in SEEDS:
                for mode, level in (("scratch", scratch), ("AnB+", 0.7)):  # one recipe: scratch is its control
                    overrides = [f"mode={mode}", f"weights.reset_from={n}", f"target.shots={shots}", f"seed={seed}"]
                    save_run(tmp_path / "s", mode, seed, [level + 0.001 * seed] * 6, overrides)
    write_report(tmp_path / "s")
    axis, _ = axis_in(tmp_path / "s")
    assert sorted(axis["summary"]) == [
        "AnB+ target.shots=20 against scratch target.shots=20: lower at 1, 2, 3.",
        "AnB+ target.shots=5 against scratch target.shots=5: higher at 1, 2, 3.",
    ]


def test_places_are_even_or_by_ratio():
    even, ratio = positions_of([1, 2, 3]), positions_of([1, 10, 100])
    for place in (even(1), ratio(1)):
        assert place == pytest.approx(MARGIN)
    assert (even(2), ratio(10)) == pytest.approx((50, 50))
    assert (even(3), ratio(100)) == pytest.approx((100 - MARGIN, 100 - MARGIN))
    assert positions_of([0, 50, 100])(50) == pytest.approx(50), "0 has no logarithm"


def test_marks_that_would_stand_on_each_other_are_left_out():
    marks = [(3.0, "1"), (5.0, "2"), (8.0, "3"), (12.9, "4"), (60.0, "5")]
    assert [text for _, text in legible(marks)] == ["1", "3", "5"]
    long = [(3.0, "0.01325"), (13.0, "0.0166"), (23.0, "0.029")]
    assert [text for _, text in legible(long)] == ["0.01325", "0.029"]


def test_marks_have_as_many_digits_as_tell_them_apart():
    _, marks = numeric_scale([1068.0, 1074.0, 1083.0])
    assert [text for _, text in marks] == ["1,068", "1,074", "1,083"]
    assert [text for _, text in numeric_scale([1000.0, 2000.0])[1]] == ["1k", "2k"]


def test_levels_without_curves_are_compared_with_their_baseline_by_seed(tmp_path):
    study = write_few_images(tmp_path / "few")
    written = write_report(study)
    axis, lines = axis_in(study)
    record = json.loads((study / "report.json").read_text())
    assert (axis["key"], list(lines), record["baseline"]) == ("target.shots", ["pixels", "features"], "pixels")
    found = lines["features"]["1"]["val/accuracy"]
    assert found["mean"]["mean"] == pytest.approx(0.64)
    assert found["mean"]["high"] == pytest.approx(0.64 + T2 * 0.04 / sqrt(3))
    assert found["difference"]["mean"] == pytest.approx(0.12)
    assert found["difference"]["high"] == pytest.approx(0.12 + T2 * 0.02 / sqrt(3))
    assert lines["features"]["1"]["test/accuracy"]["difference"] is None
    # t = 0.12 / (0.02 / sqrt 3) = 10.39, p = 0.00914; 0.11 / (0.01 / sqrt 3) = 19.05, p = 0.00274: Holm over 3
    # of three seeds of a study that may grow, not all of the error is there
    assert [lines["features"][n]["val/accuracy"]["corrected_p"] for n in ("1", "5")] == pytest.approx(
        [2 * 0.009137 / cumulative_share(3), 3 * 0.002744 / cumulative_share(3)], rel=1e-3
    )
    assert [p["val/accuracy"]["verdict"] for p in lines["features"].values()] == ["undecided", "yes", "undecided"]
    assert "features against pixels: higher at 5; undecided at 1, 50." in written.text
    sentence = "features with target.shots=5 (0.830) is at the level of pixels with 50 (0.810)."
    assert sentence in written.text
    assert sentence in (study / "report.md").read_text().replace("\\", "")


def test_a_report_of_levels_alone_is_a_whole_page(tmp_path):
    from page_text import shown

    study = write_few_images(tmp_path / "few")
    write_levels(study, 5, 9, {"pixels": 0.7}, baseline=None, levels={"features": {"val/accuracy": "high"}})
    (study / "task=few_images,target.shots=5,seed=9" / "result.json").write_text(
        '{"format": 2, "task": "x", "levels": {}}'
    )
    page = shown(write_report(study).page)
    words = " ".join(" ".join(page.words).split())
    assert "val/accuracy against pixels" in words
    assert "1 damaged" in words
    assert "runs that use it" in words, "the source model is shown"
    assert page.outside == []
    assert page.words.count("task=few_images,target.shots=5,seed=0") == 3  # in the table, and for each of two arms


def test_levels_without_an_axis_have_a_table(tmp_path):
    for seed in SEEDS:
        write_levels(tmp_path / "s", 5, seed, {"pixels": 0.7, "features": 0.8 + 0.01 * seed})
    write_report(tmp_path / "s")
    markdown = (tmp_path / "s" / "report.md").read_text()
    assert "### What each arm reached" in markdown
    assert "| features | 0.810 ± 0.025" in markdown
    with pytest.raises(UserError, match=r"the metrics.csv have val/accuracy"):
        write_report(tmp_path / "s", metric="val/f1")


def test_of_two_results_of_the_same_setting_and_seed_the_later_counts(tmp_path):
    import os

    old = write_levels(tmp_path / "s" / "a", 5, 0, {"pixels": 0.1})
    write_levels(tmp_path / "s" / "b", 5, 0, {"pixels": 0.9})
    os.utime(old / "result.json", (1, 1))
    study = write_report(tmp_path / "s").study
    assert [one.levels["pixels"]["val/accuracy"] for one in study.levels] == [0.9]
    assert [(other.folder, other.state) for other in study.others] == [(old, "replaced")]


def test_places_that_are_compared_with_their_controls_say_so_and_not_that_they_are_better_than_scratch(
    tmp_path, save_run
):
    """Frozen stages of the source, below scratch and above frozen random ones."""
    for seed in range(5):
        save_run(tmp_path / "s", "scratch", seed, [0.8 + 0.001 * seed] * 8)
        for n in (1, 2, 3):
            for control, level in (("false", 0.7), ("true", 0.5)):
                overrides = ["mode=AnB", f"control={control}", f"weights.reset_from={n}", f"seed={seed}"]
                save_run(tmp_path / "s", "AnB", seed, [level + 0.002 * seed] * 8, overrides, control=control == "true")
    text = write_report(tmp_path / "s").text
    assert "AnB against AnB with random weights: higher at 1, 2, 3." in text
    assert "AnB against scratch" not in text

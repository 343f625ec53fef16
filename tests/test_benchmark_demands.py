"""The benchmark concludes from its measurements what a person would."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def demands():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import bench_demands

        yield bench_demands
        for name in [name for name in sys.modules if name.startswith("bench_")]:
            del sys.modules[name]


def runs(part="features5", what="seconds", **ways):
    return [
        {"part": part, "way": way, "repeat": repeat, what: value}
        for way, values in ways.items()
        for repeat, value in enumerate(values)
        if value is not None
    ]


def line(demands, found, title):
    return next(one for one in demands.lines(found) if one.title == title)


FEATURES5 = "Feature extraction, 5 epochs, float32"


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("start", [0.0, 4.0])
def test_the_exponent_of_a_power_law_with_a_constant_start_is_found(demands, power, start):
    seconds = {n: start + 0.01 * n**power for n in (512, 1024, 2048, 4096, 8192, 16384)}
    assert demands.exponent(seconds) == pytest.approx(power, abs=0.02)


def test_a_ratio_is_taken_within_a_repeat_against_the_peer_with_the_smallest_median(demands):
    found = runs(headstart=[10, 20, 10], lightning=[70, 120, 50], fastai=[80, 80, 80])
    assert demands.fastest(found, "features5", demands.PEERS) == "lightning"
    ours = line(demands, found, FEATURES5)
    assert ours.values == [7, 6, 5]
    assert ours.value == 6
    assert ours.is_met  # at least 6


def test_a_line_that_is_short_by_a_little_is_missed(demands):
    assert not line(demands, runs(headstart=[10.1], lightning=[60]), FEATURES5).is_met


def test_a_failed_repeat_of_one_side_leaves_the_others(demands):
    found = runs(headstart=[10, None, 10], lightning=[60, 60, None])
    assert line(demands, found, FEATURES5).values == [6]


def test_what_was_not_measured_is_no_line(demands):
    assert demands.lines([]) == []
    assert [one.title for one in demands.lines(runs(headstart=[10]))] == []


def test_an_accuracy_is_met_within_two_standard_errors_of_one_validation_set(demands):
    def found(ours):
        return [
            *runs(lightning=[60], headstart=[10]),
            *runs(what="accuracy", lightning=[0.5], headstart=[ours]),
        ]

    title = "Feature extraction, 5 epochs: val accuracy, distance to lightning"
    error = (2 * 0.25 / 128) ** 0.5  # of a difference between two shares of 128 images, each about 0.5
    assert line(demands, found(0.5 + 1.9 * error), title).is_met
    assert not line(demands, found(0.5 + 2.2 * error), title).is_met


def test_the_results_page_is_that_of_the_results_file():
    found = ROOT / "benchmarks" / "results.json"
    if not found.exists():
        pytest.skip("make bench has not been run")
    import json
    import subprocess

    program = f"import json, bench_tables; print(bench_tables.page(json.load(open({str(found)!r}))), end='')"
    page = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    ).stdout
    assert page == (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert json.loads(found.read_text(encoding="utf-8"))["runs"]

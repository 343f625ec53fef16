"""The report says of each adaptation whether the target gained, and by whose labels that is known."""

import json
from base64 import b64encode
from math import sqrt
from pathlib import Path

import pytest

from headstart.report.report_files import write_report
from headstart.report.statistics.repeated_looks import cumulative_share
from headstart.types import UserError
from page_text import shown

T2 = 4.302652729911275  # Student's t, 0.975, of 2 degrees of freedom
CLASSES = {"source_only": "SourceOnly", "cdan": "CDAN", "dan": "DAN", "mcc": "MCC"}
ALONE = (0.70, 0.72, 0.74)  # test accuracy of source_only, by seed
HURT = (-0.19, -0.20, -0.21)


@pytest.fixture
def save(save_run):
    """Write one run: folder, method, seed, test accuracy of the target."""

    def write(study: Path, method: str, seed: int, test: float, *more: str, oracle=None, rule=None, **other):
        overrides = [f"adaptation={method}", *more, f"seed={seed}"]
        metrics = {"val/accuracy": 0.97, "test/accuracy": test, "test/loss": 1 - test}
        if oracle is not None:
            metrics["oracle/accuracy"] = oracle
        return save_run(
            study, "scratch", seed, [0.1, 0.9, 0.95, 0.97, 0.97], overrides, metrics=metrics,
            selection={"metric": rule, "mode": "max"} if rule else None,
            adaptation={"class": CLASSES[method], "main": "source"}, **other,
        )  # fmt: skip

    return write


def write_study(study: Path, save, gains, **more):
    for seed, alone in enumerate(ALONE):
        save(study, "source_only", seed, alone, **more)
        for method, by_seed in gains.items():
            save(study, method, seed, alone + by_seed[seed], **more)
    return study


def sections(study: Path):
    return json.loads((study / "report.json").read_text())["adaptation"]


def methods(study: Path):
    (section,) = sections(study)
    return {one["method"]: one for one in section["methods"]}


def test_methods_are_compared_with_the_source_alone_by_seed_as_a_person_computes_it(tmp_path, save):
    study = write_study(tmp_path / "s", save, {"cdan": (0.19, 0.20, 0.21), "mcc": HURT, "dan": (0.1, -0.2, 0.0)})
    written = write_report(study)
    found = methods(study)
    assert list(found) == ["source_only", "cdan", "dan", "mcc"], "the baseline, then the best mean first"
    assert found["source_only"]["difference"] is None
    gap = found["cdan"]["difference"]
    assert (gap["mean"], gap["low"]) == pytest.approx((0.20, 0.20 - T2 * 0.01 / sqrt(3)))
    test = found["source_only"]["test/accuracy"]
    assert (test["mean"], test["high"]) == pytest.approx((0.72, 0.72 + T2 * 0.02 / sqrt(3)))
    assert {name: one["verdict"] for name, one in found.items()} == {
        "source_only": None, "cdan": "gain", "dan": "undecided", "mcc": "negative transfer",
    }  # fmt: skip
    assert written.study.verdicts == 3
    times = 1 / cumulative_share(3)  # of three seeds of a study that may grow, not all of the error is there
    assert found["cdan"]["corrected_p"] == pytest.approx(3 * gap["p"] * times), "Holm over the three"
    assert found["mcc"]["corrected_p"] == pytest.approx(3 * gap["p"] * times), "no smaller than the one before"


def test_page_markdown_and_terminal_say_negative_transfer_and_what_chose_the_checkpoints(tmp_path, save):
    study = write_study(tmp_path / "s", save, {"mcc": HURT}, rule="target/infomax")
    written = write_report(study)
    page = " ".join(" ".join(shown(written.page).words).split())
    markdown = (study / "report.md").read_text().replace("\\", "")
    for text in (page, markdown, written.text.replace("-", "−")):
        assert "Negative transfer, worse than source_only on the target beyond chance: mcc (−0.200)." in text
        assert "with each run's checkpoint chosen by target/infomax, without labels of the target" in text
    assert "negative transfer −0.200 [" in markdown
    assert written.page.read_text().count('class="word negative"') == 1


def test_the_sources_val_is_no_learning_curve_of_the_target(tmp_path, save):
    study = write_study(tmp_path / "s", save, {"cdan": (0.19, 0.20, 0.21)})
    written = write_report(study)
    record = json.loads((study / "report.json").read_text())
    assert (record["settings"], record["metric"], record["baseline"]) == ([], "test/accuracy", "source_only")
    html = written.page.read_text()
    for word in ("Learning curves", "higher start", "asymptote", "Chosen on val"):
        assert word not in html
    assert "source's val" in " ".join(shown(written.page).words)
    assert methods(study)["cdan"]["source_val_accuracy"]["mean"] == pytest.approx(0.97)


def test_the_modes_comparison_is_the_same_with_runs_of_an_adaptation_beside_it(tmp_path, save, save_run, curve):
    def modes(study):
        for mode, start in (("scratch", 0.2), ("gradual", 0.7)):
            for seed in range(3):
                save_run(study, mode, seed, curve(start + 0.01 * seed, 0.9, 0.3))

    modes(tmp_path / "alone")
    modes(tmp_path / "both")
    write_study(tmp_path / "both", save, {"cdan": (0.19, 0.20, 0.21)})
    records = []
    for name in ("alone", "both"):
        write_report(tmp_path / name)
        records.append(json.loads((tmp_path / name / "report.json").read_text()))
    alone, both = records
    assert both["metric"] == alone["metric"] == "val/accuracy"
    measures = [[(arm["arm"], arm["measures"]) for arm in one["settings"][0]["arms"]] for one in records]
    assert measures[0] == measures[1]
    comparisons = [one["settings"][0]["comparisons"] for one in records]
    assert comparisons[0] == comparisons[1], "an adaptation is a family of its own"
    assert [one["method"] for one in both["adaptation"][0]["methods"]] == ["source_only", "cdan"]


def test_the_oracle_stands_apart_and_changes_no_verdict(tmp_path, save):
    gains = {"cdan": (0.0, 0.01, -0.01)}
    plain = write_study(tmp_path / "plain", save, gains)
    known = write_study(tmp_path / "known", save, gains, oracle=0.99)
    pages = {study.name: write_report(study).page.read_text() for study in (plain, known)}
    head = "oracle: chosen by the target&#39;s test labels"
    assert pages["known"].count(f'<th scope="col">{head}</th>') == 1
    assert "oracle:" not in pages["plain"]
    said, told = methods(plain)["cdan"], methods(known)["cdan"]
    key = "oracle_chosen_by_test_labels_of_the_target"
    assert said[key] is None
    assert told[key]["accuracy"]["mean"] == pytest.approx(0.99)
    assert told[key]["chosen_minus_oracle"]["mean"] == pytest.approx(0.72 - 0.99)
    assert {k: told[k] for k in ("verdict", "difference", "corrected_p")} == {
        k: said[k] for k in ("verdict", "difference", "corrected_p")
    }
    (strip,) = [one for one in pages["known"].split("<figure") if 'class="strip"' in one.partition(">")[0]]
    assert "0.990" not in strip.partition("</figure>")[0], "the chart shows what was chosen without labels alone"


def test_seeds_of_one_method_alone_are_left_out_and_said_so(tmp_path, save):
    study = write_study(tmp_path / "s", save, {"cdan": (0.19, 0.20, 0.21)})
    save(study, "cdan", 7, 0.1)
    written = write_report(study)
    found = methods(study)["cdan"]
    assert (found["paired_seeds"], found["left_out_seeds"]) == ([0, 1, 2], [7])
    assert found["difference"]["mean"] == pytest.approx(0.20)
    assert "cdan: seed 7 left out" in written.text


def test_without_the_source_alone_there_is_a_hint_and_no_verdict(tmp_path, save):
    for seed in range(3):
        save(tmp_path / "s", "cdan", seed, 0.9)
    written = write_report(tmp_path / "s")
    assert "no runs of adaptation=source_only" in written.text
    assert methods(tmp_path / "s")["cdan"]["verdict"] is None
    assert written.study.verdicts == 0


def test_each_setting_is_compared_with_its_own_source_alone(tmp_path, save):
    for depth, alone in (("2", 0.6), ("4", 0.8)):
        for seed in range(3):
            save(tmp_path / "s", "source_only", seed, alone + 0.01 * seed, f"backbone.keep={depth}")
            cdan = (f"backbone.keep={depth}", "adaptation.weight=0.5")
            save(tmp_path / "s", "cdan", seed, alone + 0.05 + 0.01 * seed, *cdan)
    write_report(tmp_path / "s")
    found = sections(tmp_path / "s")
    assert [one["overrides"] for one in found] == [["backbone.keep=2"], ["backbone.keep=4"]]
    for section in found:
        assert [one["method"] for one in section["methods"]] == ["source_only", "cdan adaptation.weight=0.5"]
        assert section["methods"][1]["difference"]["mean"] == pytest.approx(0.05)


def test_a_method_that_no_override_names_is_called_by_its_class_and_the_source_alone_is_known_by_its_own(
    tmp_path, save_run
):
    for seed in range(3):
        for experiment, name, test in (("plain", "SourceOnly", 0.7), ("mine", "Mine", 0.8)):
            save_run(
                tmp_path / "s", "scratch", seed, [0.1, 0.9], [f"experiment={experiment}", f"seed={seed}"],
                adaptation={"class": name, "main": "source"}, metrics={"test/accuracy": test + 0.01 * seed},
            )  # fmt: skip
    write_report(tmp_path / "s")
    found = [[one["method"] for one in section["methods"]] for section in sections(tmp_path / "s")]
    assert found == [["source_only"], ["Mine"]], "two experiments may differ in more than the method"


def test_a_methods_strength_is_an_axis_along_which_the_target_is_compared(tmp_path, save):
    for seed in range(3):
        save(tmp_path / "s", "source_only", seed, 0.70 + 0.01 * seed)
        for weight, gain in ((0.1, 0.05), (1, 0.15), (10, -0.15)):
            save(tmp_path / "s", "dan", seed, 0.70 + gain + 0.011 * seed, f"adaptation.weight={weight}")
    written = write_report(tmp_path / "s")
    assert "dan against source_only: higher at 0.1, 1; lower at 10." in written.text
    assert "no part of a verdict" not in written.page.read_text()


def test_one_seed_decides_nothing(tmp_path, save):
    save(tmp_path / "s", "source_only", 0, 0.7)
    save(tmp_path / "s", "cdan", 0, 0.9)
    text = write_report(tmp_path / "s").text
    assert "undecided +0.200" in text
    assert "One seed cannot decide anything." in text


def test_a_method_that_an_experiment_chose_has_the_name_of_its_option(tmp_path, save_run):
    save_run(
        tmp_path / "s", "scratch", 0, [0.1, 0.9], ["experiment=cdan"], metrics={"test/accuracy": 0.9},
        adaptation={"class": "CDAN", "option": "cdan_e", "main": "source"},
    )  # fmt: skip
    write_report(tmp_path / "s")
    assert list(methods(tmp_path / "s")) == ["cdan_e"]


def test_a_run_without_a_test_figure_is_left_out_and_another_metric_refused(tmp_path, save):
    study = write_study(tmp_path / "s", save, {"cdan": (0.19, 0.20, 0.21)})
    save(study, "dan", 0, float("nan"))
    assert "1 damaged" in write_report(study).text
    with pytest.raises(UserError, match=r"compared by test/accuracy.* got report.metric=val/loss"):
        write_report(study, metric="val/loss")


def test_multi_task_is_a_mode_whose_val_is_the_targets(tmp_path, save_run, curve):
    for seed in range(3):
        save_run(tmp_path / "s", "scratch", seed, curve(0.2, 0.8 + 0.01 * seed, 0.3), adaptation=None)
        save_run(
            tmp_path / "s", "multi_task", seed, curve(0.2, 0.9 + 0.01 * seed, 0.3),
            adaptation={"class": "SourceTask", "main": "target"},
        )  # fmt: skip
    record = write_report(tmp_path / "s").study
    assert [(c.label, c.question) for c in record.sections[0].comparisons] == [("multi_task", "practice")]
    assert record.adapted == ()


def test_the_target_is_told_class_by_class_as_the_mean_over_the_seeds_that_have_the_class(tmp_path, save):
    for seed, bee in enumerate((0.5, 0.7, None)):
        save(tmp_path / "s", "source_only", seed, 0.6, test_recall_per_class={"ant": 0.1 * (seed + 1), "bee": bee})
    save(tmp_path / "s", "cdan", 0, 0.6)  # of a headstart that did not say it
    written = write_report(tmp_path / "s")
    assert methods(tmp_path / "s")["source_only"]["test_per_class"] == pytest.approx({"ant": 0.2, "bee": 0.6})
    markdown = (tmp_path / "s" / "report.md").read_text().replace("\\", "")
    assert "| method | ant | bee |" in markdown
    assert "| source_only | 0.200 | 0.600 |" in markdown
    assert "| cdan | – | – |" in markdown
    assert "class by class" in " ".join(shown(written.page).words)


def test_the_pictures_of_the_first_seed_are_in_the_page_itself_and_say_what_they_show(tmp_path, save):
    for seed in (1, 0):
        folder = save(tmp_path / "s", "cdan", seed, 0.6)
        (folder / "domains-tsne.png").write_bytes(b"picture of seed %d" % seed)
    page = write_report(tmp_path / "s").page
    html = page.read_text()
    assert html.count("<img") == html.count('loading="lazy"') == 1
    assert f"data:image/png;base64,{b64encode(b'picture of seed 0').decode()}" in html
    assert 'alt="t-SNE of the features of source and target with cdan, seed 0: before the first step' in html
    assert shown(page).outside == []

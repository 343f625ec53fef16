"""TensorBoard has a run for each arm of a study: mean and interval over seeds, start, slope and asymptote."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from headstart.report.rendering.tensorboard_arms import write_arms
from headstart.report.report_files import write_report

BOARD = "+logger.tensorboard._target_=pytorch_lightning.loggers.TensorBoardLogger"
LEVELS = {  # arm -> seed -> val/accuracy at steps 0, 2, 4, ...
    "scratch": [[0.1, 0.3, 0.5, 0.6, 0.62], [0.12, 0.34, 0.5, 0.58, 0.6], [0.08, 0.3, 0.53, 0.61, 0.63]],
    "gradual": [[0.3, 0.5, 0.7, 0.8, 0.82], [0.34, 0.52, 0.7, 0.8, 0.8], [0.32, 0.55, 0.7, 0.79, 0.81]],
}


@pytest.fixture
def study(tmp_path: Path, save_run) -> Path:
    for arm, seeds in LEVELS.items():
        for seed, levels in enumerate(seeds):
            save_run(tmp_path / "pilot", arm, seed, levels, [f"mode={arm}", f"seed={seed}", BOARD])
    return tmp_path / "pilot"


def board(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def curve(accumulator: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in accumulator.Scalars(tag)}


def hparams(accumulator: EventAccumulator, tag: str) -> HParamsPluginData:
    content = accumulator.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return HParamsPluginData.FromString(content)


def test_each_arm_is_a_run_with_the_mean_over_seeds_and_its_t_interval(study):
    write_report(study)
    assert sorted(path.name for path in (study / "arms").iterdir() if path.is_dir()) == ["gradual", "scratch"]
    for arm, seeds in LEVELS.items():
        shown = board(study / "arms" / arm)
        levels = np.array(seeds)
        mean = levels.mean(axis=0)
        spread = np.maximum(levels.std(axis=0, ddof=1), 1 / 700)  # of 700 val images no less is resolved
        half = t.ppf(0.975, 2) * spread / np.sqrt(3)
        steps = [0, 2, 4, 6, 8]
        assert curve(shown, "val/accuracy") == pytest.approx(dict(zip(steps, mean, strict=True)), abs=1e-6)
        assert curve(shown, "val/accuracy/mean") == curve(shown, "val/accuracy")
        low = dict(zip(steps, np.maximum(mean - half, 0), strict=True))
        assert curve(shown, "val/accuracy/low") == pytest.approx(low, abs=1e-6)
        high = dict(zip(steps, np.minimum(mean + half, 1), strict=True))
        assert curve(shown, "val/accuracy/high") == pytest.approx(high, abs=1e-6)


def test_hparams_has_start_slope_and_asymptote_as_the_report_has_them(study):
    report = write_report(study)
    (section,) = report.study.sections
    for summary in section.all_arms:
        shown = board(study / "arms" / summary.label)
        levels = np.array(LEVELS[summary.label])
        assert curve(shown, "final/asymptote")[0] == pytest.approx(levels[:, -3:].mean(), abs=1e-6)  # of the last three
        assert curve(shown, "final/start")[0] == pytest.approx(levels[:, 0].mean() + 0.02, abs=1e-6)  # in closed form
        session = hparams(shown, "session_start_info").session_start_info
        assert session.hparams["mode"].string_value == summary.label
        table = hparams(shown, "experiment").experiment
        assert [info.name for info in table.hparam_infos] == ["mode", "seed"]
        assert [info.name.tag for info in table.metric_infos][:3] == [
            "final/start", "final/slope", "final/asymptote",
        ]  # fmt: skip
        assert [info.display_name for info in table.metric_infos][:3] == ["start", "slope", "asymptote"]
        tested = [level - 0.005 for level in levels.max(axis=1)]  # as the planted results have it
        assert curve(shown, "final/test/accuracy")[0] == pytest.approx(np.mean(tested), abs=1e-6)
        assert "final/test/accuracy" in [info.name.tag for info in table.metric_infos]
    (comparison,) = [c for c in section.comparisons if c.label == "gradual" and c.question.value == "practice"]
    slope = comparison.differences["slope"].mean
    tags = board(study / "arms" / "gradual").Tags()["scalars"]
    assert ("final/slope" in tags) == np.isfinite(slope)
    assert "final/slope" not in board(study / "arms" / "scratch").Tags()["scalars"]


def test_the_first_chart_is_the_band_and_the_verdicts_are_a_text(study):
    report = write_report(study)
    shown = board(study / "arms")
    (event,) = shown.Tensors("custom_scalars__config__")
    (category,) = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0]).category
    (chart,) = category.chart
    (series,) = chart.margin.series
    assert (category.title, chart.title) == ("arms: mean over seeds and its 95 % interval", "val/accuracy")
    assert (series.value, series.lower, series.upper) == ("val/accuracy/mean", "val/accuracy/low", "val/accuracy/high")
    (event,) = shown.Tensors("verdict/text_summary")
    lines = event.tensor_proto.string_val[0].decode().splitlines()
    assert [line.removeprefix("    ") for line in lines] == report.text.splitlines()


def test_of_a_loss_the_curve_is_as_it_was_logged_and_low_is_below_high(tmp_path, save_run):
    for seed in range(3):
        levels = [0.1 + seed / 20, 0.5, 0.9, 0.9, 0.9 - seed / 20]  # the planted loss is 1 less the accuracy
        save_run(tmp_path / "s", "scratch", seed, levels, ["mode=scratch", f"seed={seed}", BOARD])
    write_report(tmp_path / "s", metric="val/loss")
    shown = board(tmp_path / "s" / "arms" / "scratch")
    assert curve(shown, "val/loss")[0] == pytest.approx(0.85)
    assert curve(shown, "val/loss/low")[0] < 0.85 < curve(shown, "val/loss/high")[0]
    assert curve(shown, "final/asymptote")[0] == pytest.approx(0.1 + 0.05 / 3)  # the mean of the last three


def test_a_second_report_replaces_the_first_one_and_drops_arms_that_are_gone(study, save_run):
    write_report(study)
    (study / "arms" / "notes").mkdir()
    (study / "arms" / "notes" / "mine.txt").write_text("keep")
    for path in study.glob("mode=gradual*"):
        (path / "result.json").unlink()
    write_report(study)
    assert sorted(path.name for path in (study / "arms").iterdir() if path.is_dir()) == ["notes", "scratch"]
    for folder in (study / "arms", study / "arms" / "scratch"):
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert len(curve(board(study / "arms" / "scratch"), "val/accuracy")) == 5


def test_a_study_without_tensorboard_gets_none(demo):
    report = write_report(demo)
    assert write_arms(demo, report.study, report.text) == []
    assert not (demo / "arms").exists()


def test_an_arm_of_one_run_is_that_run_so_a_search_gets_no_folder_a_trial(tmp_path, save_run):
    for trial in range(5):
        words = ["mode=scratch", "seed=0", f"optimizer.lr={trial + 1}e-3", BOARD]
        save_run(tmp_path / "search", f"trial{trial}", 0, [0.1, 0.3, 0.5, 0.6, 0.62], words)
    write_report(tmp_path / "search")
    assert not [path for path in (tmp_path / "search" / "arms").iterdir() if path.is_dir()]
    assert "verdict/text_summary" in board(tmp_path / "search" / "arms").Tags()["tensors"]

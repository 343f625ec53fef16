"""task=choose by its command: val chooses, test is read once, time is kept, and a stopped command goes on."""

import json
import shlex
import time
from pathlib import Path

import pytest

from composed import TINY
from headstart.api.composed_config import compose
from headstart.cli import main
from headstart.runs.candidates.choosing import chosen_model as model_module
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.training import train_run as train_module

CHOOSE = [
    *(text for text in TINY if not text.startswith("mode=")), "task=choose", "choose.time=30min", "choose.settings=2",
    "choose.modes=[feature_extraction,fine_tuning,scratch]", "choose.halving=[0.5,1.0]", "trainer.max_epochs=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A working folder in which the command has run, and its own folder below."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(CHOOSE) == 0
    (result,) = place.glob("outputs/choose/*/*/result.json")
    return place, result.parent


@pytest.fixture
def here(chosen, monkeypatch):
    monkeypatch.chdir(chosen[0])
    return chosen[1]


def content(file):
    return json.loads(Path(file).read_text())


def test_the_best_on_val_is_trained_and_tested_once_and_no_trial_looks_at_test(here):
    result, model = content(here / "result.json"), content(here / "model" / "result.json")
    assert result["metrics"] == model["metrics"]
    assert "test/accuracy" in model["metrics"]
    trials = [content(file) for file in Path("outputs/trials").glob("*/result.json")]
    assert len(trials) >= 6
    assert not any(name.startswith("test/") for trial in trials for name in trial["metrics"])
    longest = max(entry["epochs"] for entry in result["trials"])
    last = [entry for entry in result["trials"] if entry["epochs"] == longest and entry["metric"] is not None]
    best = max(last, key=lambda entry: entry["metric"])
    assert max(entry["metric"] for entry in last) == best["metric"]
    assert {best["metric"]} == {
        entry["metric"] for entry in last
        if (entry["candidate"], entry["mode"], entry["values"])
        == (result["chosen"]["candidate"], result["chosen"]["mode"], result["chosen"]["values"])
    }  # fmt: skip


def test_each_arm_tries_the_same_number_of_settings_and_what_is_dropped_says_why(here):
    trials = content(here / "result.json")["trials"]
    first = [entry for entry in trials if entry["epochs"] == 1]
    counts = {mode: sum(entry["mode"] == mode for entry in first) for mode in {entry["mode"] for entry in first}}
    assert counts == {"feature_extraction": 2, "fine_tuning": 2, "scratch": 2}
    assert sum(entry["state"] == "dropped" for entry in first) == 3
    assert all(entry["why"] for entry in first if entry["state"] != "finished")


def test_the_development_of_the_source_model_takes_no_trial_s_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["choose.modes=[fine_tuning]", "choose.settings=1", "choose.halving=[1.0]", "weights.seed=4242"]
    assert main([*CHOOSE, *small]) == 0
    (file,) = Path("outputs/choose").glob("*/*/result.json")
    result = content(file)
    times, (only,) = result["time"], result["trials"]
    (source,) = (
        content(path) for path in Path("outputs/source").glob("*/result.json") if content(path)["seed"] == 4242
    )
    assert times["sources_s"] >= source["wall_s"], "the source model is developed before the trial, not within it"
    assert only["at_s"] >= times["scores_s"] + times["sources_s"] - 0.1
    parts = ("scores_s", "sources_s", "trials_s", "model_s")
    assert times["spent_s"] == pytest.approx(sum(times[part] for part in parts), abs=0.5)


def test_the_first_command_is_the_models_own_run(here):
    result, model = content(here / "result.json"), content(here / "model" / "result.json")
    words = shlex.split(result["commands"][0])
    assert words[0] == "headstart"
    assert config_hash(compose(words[1:])) == model["hash"]


def test_the_page_and_the_picture_are_there(here):
    page = (here / "choice.md").read_text()
    assert "Chosen: " in page
    assert "headstart task=predict predict.run_dir=" in page
    assert (here / "choice.png").stat().st_size > 5000


def test_a_finished_choice_trains_nothing(here, monkeypatch, capsys):
    monkeypatch.setattr(model_module, "train", lambda *_, **__: pytest.fail("trained again"))
    assert main(CHOOSE) == 0
    assert "Chosen: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_command_that_was_stopped_keeps_its_choice_and_what_it_had_spent(here):
    before, model = content(here / "result.json"), content(here / "model" / "result.json")
    (here / "result.json").unlink()
    (here / "model" / "result.json").unlink()
    (here / "time_spent.json").write_text('{"seconds": 1500.0}')
    assert main(CHOOSE) == 0
    after = content(here / "result.json")
    assert after["chosen"] == before["chosen"]
    # late as it is, no candidate is left out that had gone on
    assert [entry["kept"] for entry in after["candidates"]] == [entry["kept"] for entry in before["candidates"]]
    assert after["time"]["spent_s"] > 1500
    assert content(here / "model" / "result.json")["weights_hash"] == model["weights_hash"]


@pytest.mark.slow
def test_rerun_chooses_again_in_the_whole_time(here, monkeypatch):
    """Not in the rest of the earlier time, with the earlier candidates and model."""
    (here / "time_spent.json").write_text('{"seconds": 1799.0}')
    earlier = {"candidate": "none", "mode": "scratch", "values": {"optimizer.lr": 123.0}, "epochs": 1}
    (here / "choice.json").write_text(json.dumps(earlier))
    begun, train = [], train_module.train
    monkeypatch.setattr(model_module, "train", lambda *args, **about: begun.append(args[1]) or train(*args, **about))
    started = time.monotonic()
    assert main([*CHOOSE, "rerun=true"]) == 0
    after = content(here / "result.json")
    assert [path.resolve() for path in begun] == [here.resolve() / "model"]
    # a busy machine may choose otherwise, but in a time of its own
    assert after["time"]["spent_s"] < time.monotonic() - started + 100
    assert after["chosen"] != earlier


@pytest.mark.parametrize(
    "damaged",
    ["{}", "[]", "x", '{"candidate": "command", "mode": "fine_tuning", "values": null, "epochs": 2}',
     '{"candidate": "command", "mode": "fine_tuning", "values": {"optimizer.lr": "x"}, "epochs": 2}',
     '{"candidate": "command", "mode": "fine_tuning", "values": {}, "epochs": "two"}',
     '{"candidate": "command", "mode": "fine_tuning", "values": {}, "epochs": -1}'],
)  # fmt: skip
def test_a_damaged_choice_is_none(tmp_path, damaged):
    (tmp_path / "choice.json").write_text(damaged)
    assert model_module.noted_choice(tmp_path) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["choose.time=soon"], "choose.time must be a time above 0"),
        (["mode=fine_tuning"], "choose.modes says which modes are tried"),
        (["choose.seed=0", "seed=0"], "the trials' seed must be another one"),
        (["choose.scores_share=0.7"], "choose.trials_share must be above choose.scores_share"),
        (["choose.candidates=[small_cmm]"], "did you mean small_cnn?"),
        (["choose.modes=[scratch,scratch]"], "must name each mode once"),
        (["choose.modes=[sideways]"], "sideways"),
        (["choose.candidates=[]"], "choose.candidates"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_computed(tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    assert main([*CHOOSE, *more]) == 2
    said = capsys.readouterr()
    assert message in said.err + said.out
    assert not Path("outputs/trials").exists()

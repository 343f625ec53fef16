"""A prolonged run equals the run that was longer from the beginning, under another name."""

import json
import shutil

import pytest
import torch

from composed import TINY, figures
from headstart.cli import main
from killed import command, said

BASE = [
    *TINY, "mode=scratch", "target.shots=6", "callbacks.figures=null", "trainer.limit_val_batches=3",
    "trainer.limit_test_batches=2", "logger=csv", "callbacks.checkpoint.min_interval_s=0",
    "+callbacks.stop._target_=resume_plugins.Stop",
]  # fmt: skip


def run(place, *overrides):
    before = {path.parent for path in place.glob("outputs/runs/*/.hydra")}
    assert command(place, *overrides) == 0, said(place)
    (made,) = {path.parent for path in place.glob("outputs/runs/*/.hydra")} - before
    return made


def weights(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def equal(one, other):
    return all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def result(folder):
    return json.loads((folder / "result.json").read_text())


def rates(folder):
    return {int(row["step"]): row["lr/head"] for row in figures(folder) if "lr/head" in row}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def short(place):
    return run(place, *BASE, "scheduler=constant", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def longer(place, short):
    return run(place, f"resume={short.relative_to(place)}", "trainer.max_epochs=4")


def test_at_a_constant_rate_it_is_to_the_bit_the_run_that_was_longer_from_the_beginning(place, longer):
    fresh = run(place, *BASE, "scheduler=constant", "trainer.max_epochs=4")
    assert equal(weights(longer), weights(fresh))
    assert equal(weights(longer, "best"), weights(fresh, "best"))
    for name in ("metrics.csv", "answers/val.npz", "answers/test.npz"):
        assert (longer / name).read_bytes() == (fresh / name).read_bytes()
    assert result(longer)["metrics"] == result(fresh)["metrics"]
    assert result(longer)["hash"] != result(fresh)["hash"]
    assert result(fresh)["parent"] is None


def test_it_names_its_parent_which_stays_as_it_is_and_says_its_schedule(place, short, longer):
    about = result(longer)["parent"]
    assert about == {"hash": result(short)["hash"], "epochs": 2, "schedule": "new_length"}
    assert longer.name.endswith(f"trainer.max_epochs=4,extended_lr=new_length-{result(longer)['hash']}")
    assert result(short)["parent"] is None
    assert result(short)["evaluations"][-1]["epoch"] == 2
    log = (longer / "headstart.log").read_text()
    assert f"extends run {about['hash']} from 2 to 4 epochs; the schedule of learning rates is that of 4 epochs" in log


@pytest.mark.slow
def test_asked_again_it_is_finished_and_it_can_be_extended_itself(place, short, longer):
    made = (longer / "result.json").stat().st_mtime_ns
    assert command(place, f"resume={short.relative_to(place)}", "trainer.max_epochs=4") == 0
    assert (longer / "result.json").stat().st_mtime_ns == made
    third = run(place, f"resume={longer.relative_to(place)}", "trainer.max_epochs=5")
    assert result(third)["parent"]["hash"] == result(longer)["hash"]
    assert result(third)["evaluations"][-1]["epoch"] == 5


@pytest.mark.slow
def test_killed_it_goes_on_as_any_other_run(place, short, longer, tmp_path):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / longer.relative_to(place)
    shutil.rmtree(folder)
    for file in tmp_path.glob("outputs/runs/*/.hydra/hydra.yaml"):
        file.write_text(file.read_text().replace(str(place), str(tmp_path)))
    ask = [f"resume={short.relative_to(place)}", "trainer.max_epochs=4"]
    assert command(tmp_path, *ask, stop=("on_train_batch_start", 14)) == -9
    assert command(tmp_path, *ask) == 0, said(tmp_path)
    assert equal(weights(folder), weights(longer))


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle", "warmup_cosine"])
def test_the_further_epochs_have_the_rates_of_a_schedule_of_the_new_length(tmp_path, scheduler):
    own = [*BASE, f"scheduler={scheduler}", "trainer.log_every_n_steps=1"]
    short = run(tmp_path, *own, "trainer.max_epochs=2")
    fresh = run(tmp_path, *own, "trainer.max_epochs=4")
    longer = run(tmp_path, f"resume={short.relative_to(tmp_path)}", "trainer.max_epochs=4")
    end = result(short)["steps"]
    got, want, old = rates(longer), rates(fresh), rates(short)
    assert got.keys() == want.keys()
    assert all(got[step] == pytest.approx(want[step], rel=1e-6) for step in got if step >= end)
    assert all(got[step] == old[step] for step in old)


@pytest.mark.slow
def test_held_the_rates_stay_as_they_were_also_after_a_kill(tmp_path):
    own = [*BASE, "scheduler=cosine", "scheduler.eta_min=1e-4", "trainer.log_every_n_steps=1"]
    short = run(tmp_path, *own, "trainer.max_epochs=2")
    ask = [f"resume={short.relative_to(tmp_path)}", "trainer.max_epochs=4", "extended_lr=held"]
    assert command(tmp_path, *ask, stop=("on_train_batch_start", 14)) == -9
    assert command(tmp_path, *ask) == 0, said(tmp_path)
    (longer,) = tmp_path.glob("outputs/runs/*extended_lr=held*")
    late = {rate for step, rate in rates(longer).items() if step >= result(short)["steps"]}
    assert late == {pytest.approx(1e-4)}
    assert result(longer)["parent"]["schedule"] == "held"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["trainer.max_epochs=2"], r"must be more than the 2 that the run"),
        (["trainer.max_epochs=many"], "must be a whole number above 0, got many"),
        (["trainer.max_steps=40"], "is set by trainer.max_epochs, got trainer.max_steps"),
        (["trainer.max_epochs=4", "extended_lr=cosine"], "extended_lr must be one of new_length, held, got cosine"),
        (["trainer.max_epochs=4", "optimizer.lr=1"], "takes nothing beside it but a greater length of a finished run"),
        (["extended_lr=held"], "got extended_lr=held"),
        (["seed=3"], "got seed=3"),
    ],
)
def test_what_cannot_be_extended_is_refused_by_name_and_makes_nothing(place, short, monkeypatch, capsys, more, told):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert main([f"resume={short.relative_to(place)}", *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert sorted(place.rglob("*")) == before


def test_a_run_that_has_not_ended_is_to_go_on_first(place, short, tmp_path, monkeypatch, capsys):
    shutil.copytree(short, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    monkeypatch.chdir(place)
    assert main([f"resume={tmp_path / 'run'}", "trainer.max_epochs=4"]) == 2
    assert f"has not ended; try: headstart resume={tmp_path / 'run'}" in capsys.readouterr().err

"""A run chooses its best checkpoint without a target label; who may see the oracle."""

import csv

import pytest
import torch

from composed import TINY, composed, trained
from headstart.cli import main
from headstart.data.datasets import paired_domains
from headstart.data.splits.hidden_labels import HiddenLabelError, HiddenLabels, WithLabels
from headstart.runs.outcome.sweep_objective import value_of
from headstart.runs.training.checkpoint_selection import check_selection
from headstart.types import UserError

RUN = [
    "mode=scratch", "source.characters=digits", "target.shots=null", "trainer.limit_train_batches=4",
    "trainer.max_epochs=3", "logger=csv", "callbacks.figures=null",
]  # fmt: skip
SCORES = {f"target/{name}" for name in ("entropy", "infomax", "snd", "iwcv", "dev")}


def rows(folder):
    """What metrics.csv says of each measurement: step -> column -> number."""
    found = {}
    with (folder / "metrics.csv").open() as file:
        for line in csv.DictReader(file):
            numbers = {name: float(value) for name, value in line.items() if value}
            found.setdefault(int(numbers["step"]), {}).update(numbers)
    return found


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A run that an oracle looks at, and its measurements."""
    folder = tmp_path_factory.mktemp("chosen") / "run"
    result = trained("adaptation=cdan", "selection=entropy", "oracle=true", *RUN, folder=folder)
    measured = {step: row for step, row in rows(folder).items() if "val/loss" in row}
    return folder, result, measured


def test_every_score_is_measured_at_each_validation_that_before_the_first_step_among_them(chosen):
    _, result, measured = chosen
    assert list(measured) == [0, 4, 8, 12] == [one["step"] for one in result["evaluations"]]
    assert all({*SCORES, "oracle/accuracy"} <= set(row) for row in measured.values())


def test_the_best_checkpoint_is_the_one_that_the_selection_prefers_after_the_first_step(chosen):
    folder, result, measured = chosen
    assert result["selection"] == {"metric": "target/entropy", "mode": "min"}
    best = min((step for step in measured if step), key=lambda step: measured[step]["target/entropy"])
    assert result["best"]["step"] == best
    assert result["metrics"]["target/entropy"] == pytest.approx(measured[best]["target/entropy"])
    assert result["monitor"] == "val/accuracy"  # which the report compares by, as ever
    assert value_of(result, folder, "best_trained") == -result["metrics"]["target/entropy"]  # what a sweeper maximises


def test_the_oracle_is_the_best_test_accuracy_of_all_measurements_and_agrees_with_the_test(chosen):
    _, result, measured = chosen
    seen = {step: row["oracle/accuracy"] for step, row in measured.items()}
    assert result["metrics"]["oracle/accuracy"] == max(seen.values())
    assert result["metrics"]["test/accuracy"] == pytest.approx(seen[result["best"]["step"]])


def test_nothing_that_decides_can_see_the_oracle(chosen):
    folder, result, _ = chosen
    assert not any("oracle" in name for name in result["best"])
    kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert not any("oracle" in name for of_rank in kept["so_far"] for name in of_rank["figures"])


class Guarded(WithLabels):
    """A split whose labels are out of reach until the test begins."""

    tested = False

    @property
    def label(self):
        return self._own if Guarded.tested else HiddenLabels(len(self._own))

    @label.setter
    def label(self, value):
        self._own = value


@pytest.fixture
def guarded(monkeypatch):
    import pytorch_lightning as pl

    def test(self, *arguments, begin=pl.Trainer.test, **settings):
        monkeypatch.setattr(Guarded, "tested", True)
        return begin(self, *arguments, **settings)

    monkeypatch.setattr(pl.Trainer, "test", test)
    monkeypatch.setattr(paired_domains, "WithLabels", Guarded)


def test_without_the_oracle_no_label_of_the_target_is_read_before_the_test(tmp_path, guarded, chosen):
    result = trained("adaptation=cdan", "selection=entropy", *RUN, folder=tmp_path / "run")
    _, with_oracle, measured = chosen
    hidden = rows(tmp_path / "run")
    assert not any("oracle" in name for row in hidden.values() for name in row)
    assert not any("oracle" in name for name in result["metrics"])
    # and all that it measures and learns is what the run that an oracle looks at does
    assert result["weights_hash"] == with_oracle["weights_hash"]
    assert all(hidden[step][name] == row[name] for step, row in measured.items() for name in {*SCORES, "val/loss"})


def test_the_oracle_reads_them(tmp_path, guarded):
    with pytest.raises((HiddenLabelError, AssertionError)):
        trained("adaptation=cdan", "oracle=true", *RUN, "trainer.max_epochs=1", folder=tmp_path / "run")


def test_the_baseline_is_selected_in_the_same_way(tmp_path):
    folder = tmp_path / "run"
    result = trained("adaptation=source_only", "selection=source_risk", *RUN, folder=folder)
    measured = {step: row for step, row in rows(folder).items() if "val/loss" in row}
    assert all(set(row) >= SCORES for row in measured.values())
    assert result["best"]["step"] == min(measured, key=lambda step: measured[step]["val/loss"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["selection=snd", "mode=multi_task"], "add adaptation=dann"),
        (["oracle=true"], "leave oracle=false"),
        (["adaptation=dann", "oracle=true", "callbacks.checkpoint.monitor=oracle/accuracy"], "nothing may follow"),
        (["adaptation=dann", "scheduler=plateau", "module.scheduler_monitor=oracle/accuracy"], "nothing may follow"),
        (["unfreeze=plateau", "unfreeze.until.monitor=oracle/accuracy"], "nothing may follow"),
        (["adaptation=dann", "selection=snd", "callbacks.checkpoint.monitor=val/loss"], "follows one figure"),
        (["adaptation=dann", "selection=snd", "callbacks.checkpoint=null"], "callbacks.checkpoint is left out"),
    ],
)
def test_what_cannot_be_selected_by_is_said(overrides, said):
    with pytest.raises(UserError, match=said):
        check_selection(composed(*overrides))


def test_a_selection_without_an_adaptation_is_one_message_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "selection=snd"]) != 0
    error = capsys.readouterr().err
    assert "add adaptation=dann" in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("outputs/**/*.ckpt"))


def test_a_run_from_python_is_checked_too(tmp_path):
    with pytest.raises(UserError, match="add adaptation=dann"):
        trained("mode=scratch", "selection=snd", folder=tmp_path / "run")

"""task=interpolate and task=soup: the ends are the run's models, val alone chooses, and the weights can be used."""

import csv
import json

import pytest
import torch

from headstart.cli import main

pytestmark = pytest.mark.slow  # five small runs
TINY = [
    "backbone.width=4", "trainer=cpu", "source.per_class=8", "source.val_per_class=3", "source.test_per_class=3",
    "weights.max_epochs=2", "weights.require_better=false", "trainer.max_epochs=2", "logger=csv",
    "mode=fine_tuning",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A working folder with a study of three learning rates in rates/."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["-m", *TINY, "optimizer.lr=1e-3,3e-3,1e-2", "hydra.sweep.dir=rates"]) == 0
    return place


@pytest.fixture
def here(study, monkeypatch):
    monkeypatch.chdir(study)
    return study


def runs_of(place):
    return sorted(file.parent for file in (place / "rates").glob("*/result.json"))


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("val/loss")]


def test_both_ends_of_the_line_have_the_metrics_of_the_runs_first_and_last_validation(here):
    run = runs_of(here)[1]
    told = ["task=interpolate", f"interpolate.run_dir='{run}'", "interpolate.checkpoint=last", "interpolate.points=3"]
    assert main([*told, "trainer=cpu"]) == 0
    line = json.loads((run / "interpolate.json").read_text())["line"]
    first, *_, last = rows(run)
    assert [point["share"] for point in line] == [0.0, 0.5, 1.0]
    for point, row in ((line[0], first), (line[2], last)):
        for name in ("val/accuracy", "val/loss"):
            assert point["metrics"][name] == pytest.approx(float(row[name]), abs=2e-5)
    assert (run / "interpolate.png").stat().st_size > 5000


def test_val_chooses_and_test_is_read_of_the_chosen_model_and_of_both_ends_alone(here):
    run = runs_of(here)[0]
    assert main(["task=interpolate", f"interpolate.run_dir='{run}'", "interpolate.points=5", "trainer=cpu"]) == 0
    content = json.loads((run / "interpolate.json").read_text())
    best = max(point["metrics"]["val/accuracy"] for point in content["line"])
    chosen = next(point for point in content["line"] if point["share"] == content["share"])
    assert chosen["metrics"]["val/accuracy"] == best
    tested = {point["share"] for point in content["line"] if "test/accuracy" in point["metrics"]}
    assert tested == {0.0, content["share"], 1.0}


def test_the_chosen_weights_are_a_checkpoint_that_evaluate_takes(here, capsys):
    run = runs_of(here)[2]
    assert main(["task=interpolate", f"interpolate.run_dir='{run}'", "interpolate.points=4", "trainer=cpu"]) == 0
    content = json.loads((run / "interpolate.json").read_text())
    chosen = next(point for point in content["line"] if point["share"] == content["share"])
    told = ["task=evaluate", f"evaluate.run_dir='{run}'", "evaluate.checkpoint=interpolated", "trainer=cpu"]
    assert main(told) == 0
    evaluated = json.loads((run / "evaluate-test.json").read_text())["metrics"]
    assert evaluated["test/accuracy"] == pytest.approx(chosen["metrics"]["test/accuracy"], abs=1e-6)


def test_a_soup_is_the_mean_of_what_it_took_up_and_never_worse_on_val_than_its_best_run(here):
    assert main(["task=soup", "soup.study_dir=rates", "soup.checkpoint=last", "trainer=cpu"]) == 0
    content = json.loads((here / "rates" / "soup.json").read_text())
    assert content["soup"]["val/accuracy"] >= content["best_run"]["val/accuracy"]
    taken = [run["run"] for run in content["runs"] if run["taken"]]
    states = [torch.load(here / "rates" / run / "checkpoints" / "last.ckpt")["state_dict"] for run in taken]
    made = torch.load(here / "rates" / content["checkpoint"])
    assert made["runs"] == taken
    name = "head.linear.weight"
    mean = torch.stack([state[name].double() for state in states]).mean(dim=0).float()
    torch.testing.assert_close(made["state_dict"][name], mean, rtol=0, atol=1e-7)


def test_runs_whose_val_images_differ_make_no_soup(here, capsys):
    assert main(["-m", *TINY, "target.fold=0,1", "trainer.max_epochs=1", "hydra.sweep.dir=folds"]) == 0
    capsys.readouterr()
    assert main(["task=soup", "soup.study_dir=folds", "trainer=cpu"]) == 2
    assert "the val images of" in capsys.readouterr().err


def test_what_has_no_source_at_its_start_is_refused(here, capsys):
    assert main([*TINY[:-1], "mode=scratch", "trainer.max_epochs=1", "hydra.run.dir=scratch"]) == 0
    capsys.readouterr()
    assert main(["task=interpolate", "interpolate.run_dir=scratch", "trainer=cpu"]) == 2
    assert "interpolate needs a run that started from a source's weights, got mode=scratch" in capsys.readouterr().err


def test_a_checkpoint_that_no_task_has_written_names_the_task(here, capsys):
    run = runs_of(here)[0]
    (run / "checkpoints" / "soup.ckpt").unlink(missing_ok=True)
    assert main(["task=evaluate", f"evaluate.run_dir='{run}'", "evaluate.checkpoint=soup", "trainer=cpu"]) == 2
    assert "task=soup writes it" in capsys.readouterr().err


def test_other_data_are_measured_on_every_model(here):
    run = runs_of(here)[0]
    told = ["task=interpolate", f"interpolate.run_dir='{run}'", "data@interpolate.data=all_digits"]
    assert main([*told, "interpolate.points=3", "trainer=cpu"]) == 0
    content = json.loads((run / "interpolate.json").read_text())
    assert content["data"]["_target_"].startswith("headstart.data.")
    for point in content["line"]:
        assert 0 <= point["metrics"]["other/accuracy"] <= 1

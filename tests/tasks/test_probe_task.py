"""What a user finds after a probe."""

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from composed import TINY
from headstart.cli import main
from headstart.runs.probing.frozen_features import Stored
from headstart.tasks import probe as module

SMALL = [*TINY, "task=probe", "mode=scratch", "feature_cache=off", "probe.epochs=3", "probe.lr=[0.01]", "probe.k=[3,1]"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder outputs/ of a command that has probed, and what it said."""
    place, said = tmp_path_factory.mktemp("place"), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.chdir(place)
        assert main(SMALL) == 0
    return place / "outputs", said.getvalue()


@pytest.fixture
def said(outputs, here, tmp_path):
    """What it said; its folder is copied into the test's working folder."""
    shutil.copytree(outputs[0], tmp_path / "outputs")
    return outputs[1]


def folders():
    return sorted(path.parent for path in Path("outputs", "probe").glob("*/*/result.json"))


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


class Clouds:
    """A frozen model whose features are made up: the deeper the stage, the clearer the classes."""

    def __init__(self, names=("ant", "bee", "cat"), train=None):
        data = SimpleNamespace(num_classes=len(names), class_names=names, sizes={})
        self.parts, self.engine = SimpleNamespace(data=data), SimpleNamespace(device=torch.device("cpu"))
        self.stages, self.facts = ("low", "mid", "high"), {"run": None, "source": None}
        self.asked, self.train, self.shifted = [], train, 0  # shifted: by how much the test labels are wrong

    def features(self, split, stages):
        self.asked.append((split, tuple(stages)))
        number = ("train", "val", "test").index(split)
        generator = torch.Generator().manual_seed(number)
        label = torch.randint(3, (90,), generator=generator)
        if split == "train" and self.train is not None:
            label = self.train
        means = torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
        noise = torch.randn(len(label), 5, generator=generator)
        clear = {"low": 0.1, "mid": 0.5, "high": 1.0}
        features = {stage: clear[stage] * means[label] + noise for stage in stages}
        return Stored(features, (label + self.shifted) % 3 if split == "test" else label, [])


def probed(monkeypatch, clouds, *overrides):
    monkeypatch.setattr(module, "probed_model", lambda *_: clouds)
    code = main([*SMALL, "rerun=true", *overrides])
    return code, folders()


def test_a_probe_leaves_its_table_pictures_and_result_in_a_folder_apart_from_fits(said):
    (folder,) = folders()
    result = result_of(folder)
    assert (result["task"], result["study"], result["name"]) == ("probe", "runs", folder.name)
    assert folder.name.endswith(f"-{result['hash']}")
    assert list(result["stages"]) == ["stage1", "stage2", "stage3", "stage4"]
    chosen = result["chosen"]
    assert list(chosen) == ["class_means", "neighbours", "ridge", "logistic", "linear"]
    for kind, one in chosen.items():
        heads = [head for head in result["heads"] if head["kind"] == kind]
        best = max(heads, key=lambda head: head["val/accuracy"])  # max takes the first of equals
        assert {key: one[key] for key in best if key != "kind"} == {key: best[key] for key in best if key != "kind"}
        assert one["test_interval"][0] <= one["test/accuracy"] <= one["test_interval"][1]
        assert f"{one['test/accuracy']:.3f}" in said
    assert result["metrics"]["val/accuracy"] == max(one["val/accuracy"] for one in chosen.values())
    assert not any("test" in key for head in result["heads"] for key in head)
    assert pictures(folder) == {"probe/stages", "probe/grid"}


def pictures(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = folder.glob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    return set(events.Tags()["images"])


def test_a_finished_probe_is_shown_again_unless_rerun(said, monkeypatch, capfd):
    monkeypatch.setattr(module, "probed_model", None)  # it is not asked
    assert main(SMALL) == 0
    again = capfd.readouterr()
    assert again.out == said
    assert "is finished" in again.err
    assert main([*SMALL, "rerun=true"]) == 1


def test_a_probe_of_a_finished_run_looks_at_its_best_weights(capfd):
    fit = [*TINY, "mode=scratch", "trainer.max_epochs=1", "feature_cache=off"]
    assert main(fit) == 0
    (run,) = Path("outputs", "runs").iterdir()
    assert main([*SMALL, "probe.stages=[stage4]", f"probe.run_dir='{run}'"]) == 0
    (folder,) = folders()
    result = result_of(folder)
    assert (result["run"], result["mode"]) == (run.as_posix(), None)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert list(result["stages"].values()) == [checkpoint["head.linear.weight"].shape[1]]


@pytest.mark.slow
def test_a_sweep_of_probes_gives_a_folder_a_job_and_no_report(capfd):
    assert main(["-m", *SMALL, "seed=0,1", "probe.stages=[stage1]"]) == 0
    assert len(folders()) == 2
    assert len({folder.parent for folder in folders()}) == 1
    assert not list(Path("outputs").rglob("report.*"))


def test_test_labels_decide_nothing(monkeypatch):
    clouds = Clouds()
    code, (folder,) = probed(monkeypatch, clouds)
    assert code == 0
    before = result_of(folder)
    assert clouds.asked[:2] == [("train", clouds.stages), ("val", clouds.stages)]
    (split, stages) = clouds.asked[2]
    assert split == "test"
    assert set(stages) == {one["stage"] for one in before["chosen"].values()}  # no other is looked at
    clouds.shifted = 1
    probed(monkeypatch, clouds)
    after = result_of(folder)
    assert after["heads"] == before["heads"]
    assert after["best"] == before["best"]
    for kind, one in before["chosen"].items():
        for key in ("stage", "setting", "val/accuracy"):
            assert after["chosen"][kind][key] == one[key]
        assert after["chosen"][kind]["test/accuracy"] != one["test/accuracy"]


def test_the_stage_that_knows_most_is_chosen(monkeypatch, capfd):
    _, (folder,) = probed(monkeypatch, Clouds(), "probe.logistic=[]")
    chosen = result_of(folder)["chosen"]
    assert {one["stage"] for one in chosen.values()} == {"high"}
    assert "logistic" not in chosen
    by_stage = module.by_stage(result_of(folder))
    assert all(values == sorted(values) for values in by_stage.values())


def test_a_class_without_a_training_image_is_named(monkeypatch, capfd):
    code, _ = probed(monkeypatch, Clouds(train=torch.tensor([0, 2] * 20)))
    assert code == 2
    assert "each class needs a training image, 'bee' has none of 40" in capfd.readouterr().err


def test_neighbours_that_are_not_there_are_left_out(monkeypatch, capfd):
    clouds = Clouds(train=torch.arange(9) % 3)
    code, (folder,) = probed(monkeypatch, clouds, "probe.k=[20,2]")
    assert code == 0
    assert "probe.k: left out 20: there are 9 training images" in capfd.readouterr().err
    assert {head["setting"]["k"] for head in result_of(folder)["heads"] if head["kind"] == "neighbours"} == {2}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("probe.stages=[stage1,stge4]", "the stages are stage1, stage2, stage3, stage4, got 'stge4'"),
        ("probe.stages=[]", "probe.stages"),
        ("probe.lr=[0]", "probe.lr"),
        ("probe.ridge=[-1]", "probe.ridge"),
        ("probe.neighbours=[manhattan]", "a list (of cosine, euclidean or softmax), got ['manhattan']"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(override, said, capfd):
    assert main([*SMALL, override]) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kind", "stage"),
    [pytest.param("mlp", "stage4", marks=pytest.mark.slow), pytest.param("cosine", "stage1", marks=pytest.mark.slow),
     ("attentive", "stage4 tokens")],
)  # fmt: skip
def test_the_head_of_the_command_is_one_more_kind(kind, stage):
    assert main([*SMALL, f"head={kind}", "probe.weight_decay=[0,0.1]", "probe.epochs=2"]) == 0
    (folder,) = folders()
    result = result_of(folder)
    tried = [head for head in result["heads"] if head["kind"] == kind]
    assert [head["setting"] for head in tried if head["stage"] == stage] == [
        {"lr": 0.01, "weight_decay": 0},
        {"lr": 0.01, "weight_decay": 0.1},
    ]
    assert {head["stage"] for head in tried} == ({stage} if kind == "attentive" else set(result["stages"]))
    best = max(tried, key=lambda head: head["val/accuracy"])
    assert result["chosen"][kind]["stage"] == best["stage"]
    assert "linear" in result["chosen"]

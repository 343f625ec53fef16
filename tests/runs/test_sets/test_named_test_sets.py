"""Named test sets are measured once, of the tested weights, and nothing of the training depends on them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from composed import TINY, composed, figures, trained
from headstart.callbacks.predictions import named_test_sets
from headstart.callbacks.predictions.named_test_sets import ImagePass, NamedTestSet, measured_test_set
from headstart.cli import main
from headstart.data.datasets.whole_dataset import ALL
from headstart.data.decoding.pixel_conversion import prepared
from headstart.data.transforms.corruptions.corruption_kinds import corrupted
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.test_sets.named_test_table import named_test_lines
from headstart.runs.test_sets.run_test_sets import (
    TargetFacts,
    differing_tests,
    run_test_sets,
    warn_of_training_images,
)
from headstart.types import UserError

RUN = ["mode=scratch", "trainer.max_epochs=2", "target.shots=3"]
FEW = ["target.per_class=1", "target.val_per_class=1", "target.test_per_class=1"]
TESTS = [
    "+tests.noisy.corruption=gaussian_noise",
    "+tests.noisy.severity=2",
    "+tests.worn={corruption: [contrast, brightness], severity: [1, 3]}",
    "+data@tests.again=digits",
    "+tests.again.split=test",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("named")


@pytest.fixture(scope="module")
def result(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return trained(*RUN, *TESTS, folder=place / "run")


@pytest.fixture(scope="module")
def model(result, place):
    """The model of the run's checkpoint, and its data."""
    parts = assembled(composed(*RUN, *TESTS, folder=place / "run"))
    state = torch.load(place / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state)
    parts.data.setup("test")
    return parts


def test_the_runs_own_test_images_by_another_name_have_the_tests_metrics(result):
    metrics = result["metrics"]
    for name in ("accuracy", "f1", "balanced_accuracy", "calibration_error", "loss"):
        assert metrics[f"test/again/{name}"] == pytest.approx(metrics[f"test/{name}"], abs=1e-5)
    assert result["tests"]["again"]["images"] == result["sizes"]["test"]


def test_a_corrupted_test_set_has_the_accuracy_of_images_that_are_corrupted_one_by_one(result, model):
    split = model.data.splits["test"]
    images = split.at(np.arange(len(split.label))).numpy()
    noisy = torch.from_numpy(np.stack([corrupted(image, "gaussian_noise", 2) for image in images]))
    with torch.no_grad():
        said = model.module.eval()(prepared(noisy, model.backbone.pixels)).argmax(1).numpy()
    assert result["metrics"]["test/noisy/accuracy"] == pytest.approx((said == split.label).mean(), abs=1e-6)


def test_several_corruptions_have_their_mean_and_one_line_each(result):
    metrics = result["metrics"]
    kinds = [metrics[f"test/worn/{kind}/accuracy"] for kind in ("contrast", "brightness")]
    assert metrics["test/worn/accuracy"] == pytest.approx(np.mean(kinds))
    assert result["tests"]["worn"]["passes"] == 4
    lines = named_test_lines(result)
    assert [line.split()[0] for line in lines[1:]] == ["test", "again", "noisy", "worn", "contrast", "brightness"]
    assert f"{metrics['test/worn/accuracy']:.4f}" in lines[4]


def test_the_answers_of_each_pass_give_its_metrics(result, place):
    own, worn = (np.load(place / "run" / "answers" / f"{name}.npz") for name in ("test", "test-worn"))
    np.testing.assert_array_equal(own["image"], worn["image"])
    right = (worn["predicted"] == worn["label"]).mean(axis=1)
    assert right.mean() == pytest.approx(result["metrics"]["test/worn/accuracy"], abs=1e-6)
    assert list(zip(worn["corruption"].tolist(), worn["severity"].tolist(), strict=True)) == [
        ("contrast", 1), ("contrast", 3), ("brightness", 1), ("brightness", 3)
    ]  # fmt: skip
    assert figures(place / "run")[-1]["test/worn/accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_training_and_its_hash_are_those_of_a_run_without_them(result, place, monkeypatch):
    monkeypatch.chdir(place)
    plain = trained(*RUN, folder=place / "plain")
    assert plain["weights_hash"] == result["weights_hash"]
    assert "tests" not in plain
    with_tests, without = (composed(*RUN, *more) for more in (TESTS, []))
    assert config_hash(with_tests) == config_hash(without)
    del without.tests  # the config of a run before there was this key
    assert config_hash(with_tests) == config_hash(without)


def test_a_finished_run_says_which_test_sets_it_was_not_tested_on(result):
    asked = OmegaConf.create(
        {
            "noisy": {"corruption": "gaussian_noise", "severity": 3},
            "worn": result["tests"]["worn"]["settings"],
            "new": {"root": "b"},
        }
    )
    assert differing_tests(asked, result) == ["noisy", "new"]
    assert differing_tests(None, {}) == []


def test_shares_of_two_ranks_together_are_the_whole(model, monkeypatch):
    sets = NamedTestSet("x", [ImagePass(model.data, "test", "", 0)], torch.arange(10), {}, several=False)
    engine = SimpleNamespace(device="cpu", convert=lambda batch: batch, context=torch.no_grad)
    model.module.eval()
    whole = measured_test_set(sets, model.module, engine)
    parts = []
    monkeypatch.setattr(named_test_sets, "of_each_rank", lambda own: parts.append(own) or [own])
    for rank in (0, 1):
        measured_test_set(sets, model.module, engine, shares=(rank, 2))
    monkeypatch.setattr(named_test_sets, "of_each_rank", lambda _: parts)
    both = measured_test_set(sets, model.module, engine, shares=(1, 2))
    assert [len(part.label) for part in parts] == [360, 360]
    assert torch.equal(both.answers[0].label, whole.answers[0].label)
    assert both.metrics == pytest.approx(whole.metrics, abs=1e-6)


def made(nodes, model):
    data = model.data
    run = TargetFacts(composed(*RUN).target, data.class_names, False, model.backbone.pixels, 0)
    return run_test_sets(OmegaConf.create(nodes), run, own=lambda: data)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"root": "nowhere"}, "tests.x: .*unexpected keyword argument: root"),
        ({"_target_": "headstart.data.datasets.image_folder.ImageFolder", "root": "nowhere"}, r"tests\.x: "),
        ({"corruption": "hail"}, r"tests\.x\.corruption must be all or of gaussian_noise, .*, got hail"),
        ({"corruption": "fog", "severity": 6}, r"tests\.x\.severity must be 1 to 5, got \[6\]"),
        ({"corruption": "saturate"}, r"needs images in colour"),
        ({}, r"tests\.x needs data or a corruption"),
        ({"corruption": "fog", "split": "val"}, r"tests\.x\.split is for other data"),
        ("photos", r"tests\.x must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_the_name_of_the_test_set(node, said, model):
    def first_images():
        (one,) = made({"x": node}, model)[0].passes
        next(iter(one.data.plain_dataloader(ALL)))

    with pytest.raises(UserError, match=said):
        first_images()


def test_a_name_that_is_no_file_name_is_refused(model):
    with pytest.raises(UserError, match="letters, digits"):
        made({"a/b": {"corruption": "fog"}}, model)


def test_a_class_that_the_run_does_not_know_is_named(model):
    letters = OmegaConf.to_container(composed("data@target=printed", *FEW).target, resolve=True)
    with pytest.raises(UserError, match=r"tests\.x: the run's classes are 0, 1, .*does not know "):
        made({"x": letters}, model)


def test_training_images_in_a_test_set_are_counted(model, caplog):
    node = OmegaConf.to_container(composed(*RUN).target, resolve=True) | {"split": "train", "shots": None}
    warn_of_training_images(made({"again": node, "noisy": {"corruption": "fog"}}, model), model.data)
    (message,) = [record.getMessage() for record in caplog.records if "training images" in record.getMessage()]
    assert message.startswith("tests.again: 30 of its ")  # three shots of ten digits


@pytest.mark.slow
def test_two_ranks_say_of_test_sets_what_one_device_says_of_their_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tests = ["tests.worn.corruption=[fog,contrast]", "tests.worn.severity=2"]
    assert main([*TINY, *RUN, *tests, "trainer=ddp_cpu", "trainer.devices=2", "logger=csv", "hydra.run.dir=mine"]) == 0
    of_ranks = json.loads((tmp_path / "mine" / "result.json").read_text())["metrics"]
    answers = np.load(tmp_path / "mine" / "answers" / "test-worn.npz")
    assert main(["task=evaluate", "evaluate.run_dir=mine", "evaluate.temperature=null", *tests]) == 0
    alone = json.loads((tmp_path / "mine" / "evaluate-test.json").read_text())["metrics"]
    named = {tag: value for tag, value in of_ranks.items() if tag.startswith("test/worn/")}
    assert named == pytest.approx({tag: alone[tag] for tag in named}, abs=1e-5)
    assert answers["predicted"].shape == (2, 720)


@pytest.mark.slow
def test_a_finished_run_that_is_asked_for_with_another_test_set_trains_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    command = [*TINY, *RUN, "logger=csv", "callbacks.figures=null"]
    assert main(command) == 0
    assert main([*command, "tests.worn.corruption=fog"]) == 0
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert "was not tested on worn" in caplog.text or "was not tested on worn" in (run / "headstart.log").read_text()
    assert not list((run / "answers").glob("test-*.npz"))

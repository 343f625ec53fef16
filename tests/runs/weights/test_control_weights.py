"""A control is the same run with random weights in place of the source's."""

import json
import threading
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from composed import CONF, TINY, composed, trained
from control_cases import FIRST, SHORT, state_of
from headstart.backbones.weights.backbone_weights import load
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash, is_control, own_overrides, run_name, study_folder
from headstart.runs.folder.training_lock import LOCK, held_alone
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights import weights_from_file, weights_from_library
from headstart.runs.weights.control_weights import check_control
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.starting_weights import weights_of
from headstart.tasks.few_images import few_images
from headstart.tasks.fit import fit
from headstart.types import UserError
from plans import plan


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize(
    "mode",
    [["fine_tuning", "module.stage_decay=1.0", "head.init=random"], pytest.param(["AnB+"], marks=pytest.mark.slow)],
)
def test_a_control_whose_recipe_is_scratch_s_is_scratch_to_the_bit(mode, tmp_path):
    control = [f"mode={mode[0]}", *mode[1:], "control=true"]
    made = trained(*control, "seed=3", *SHORT, folder=tmp_path / "control")
    scratch = trained("mode=scratch", "seed=3", *SHORT, folder=tmp_path / "scratch")
    files = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("control", "scratch")]
    assert files[0] == files[1]
    assert made["weights_hash"] == scratch["weights_hash"]
    assert (made["control"], scratch["control"]) == (True, False)
    assert made["source"] is None
    assert not Path("outputs/source").exists()


@pytest.mark.parametrize(
    "weights",
    [["weights=pretrained", "backbone=mobilenet_v2"], ["weights=file", "weights.path=nowhere.pth"], ["weights=source"]],
)
def test_nothing_is_downloaded_read_or_trained_for_a_control(weights, monkeypatch):
    monkeypatch.setattr(weights_from_file, "file_weights", None)
    monkeypatch.setattr(weights_from_library, "pretrained_weights", None)
    cfg = config("mode=fine_tuning", "control=true", *weights)
    found = weights_of(cfg)
    assert found.control
    assert not found.backbone
    assert not waits_for_source(cfg)
    assert weights != ["weights=source"] or waits_for_source(composed("mode=fine_tuning"))
    assert len(config_hash(cfg)) == 8
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("mode", "n", "names"),
    [("fine_tuning", None, 4), ("AnB", 2, 2), ("AnB+", 3, 3), ("BnB", 2, 2), ("feature_extraction", None, 4)],
)
def test_the_stages_of_a_control_are_scratch_s_and_those_count_that_would_be_the_source_s(mode, n, names):
    cfg = composed(f"mode={mode}", "control=true", f"weights.reset_from={n if n is not None else 'null'}", "seed=4")
    torch.manual_seed(4)
    control = assembled(cfg, weights=weights_of(cfg))
    torch.manual_seed(4)
    scratch = assembled(composed("mode=scratch", "seed=4"))
    assert control.from_source == control.backbone.names[:names]
    for name, tensor in scratch.module.state_dict().items():
        assert torch.equal(control.module.state_dict()[name], tensor), name


def test_a_control_of_more_stages_than_there_are_is_refused_as_the_run_itself():
    cfg = composed("mode=AnB", "control=true", "weights.reset_from=9")
    with pytest.raises(UserError, match=r"weights.reset_from must be 0 to 4, got 9"):
        load(assembled(composed("mode=scratch")).backbone, weights_of(cfg))


def test_the_control_of_anb_learns_what_anb_learns_and_bnb_s_is_the_same_run(tmp_path):
    """BnB's weights.seed may not be the run's; its control asks for no such model."""
    anb = trained("mode=AnB", "control=true", "weights.reset_from=2", *SHORT, folder=tmp_path / "anb")
    more = ["weights.seed=0", "weights.reset_from=2"]
    bnb = trained("mode=BnB", "control=true", *more, *SHORT, folder=tmp_path / "bnb")
    assert (tmp_path / "anb" / "metrics.csv").read_bytes() == (tmp_path / "bnb" / "metrics.csv").read_bytes()
    assert anb["trainable"] == bnb["trainable"]
    assert anb["trainable"]["parameters"] < anb["trainable"]["of"]
    cfg = composed("mode=scratch")
    torch.manual_seed(0)
    random = assembled(cfg).module.state_dict()
    for name, tensor in state_of(tmp_path / "anb").items():
        if name.startswith(("backbone.stages.stage1", "backbone.stages.stage2")):
            assert torch.equal(tensor, random[name]) == ("running" not in name), name
        elif name.startswith("backbone") and name.endswith("0.weight"):
            assert not torch.equal(tensor, random[name]), name


def test_a_control_has_no_source_head_and_l2_sp_pulls_the_random_one_too(tmp_path):
    same = ["source.characters=digits", "head.init=source", "regularizer=l2_sp", "module.stage_decay=1.0"]
    trained("mode=fine_tuning", "control=true", *same, *FIRST, folder=tmp_path / "run")
    torch.manual_seed(0)
    random = assembled(composed("mode=scratch")).module.state_dict()
    kept = state_of(tmp_path / "run")
    assert kept["regularizer.from_source"].all()
    for name in ("backbone.stages.stage1.0.weight", "head.linear.weight"):
        start = "start:" + name.removeprefix("backbone.stages.").replace(".", "/")
        assert torch.equal(kept[f"regularizer.{start}"], random[name]), name


def test_what_learns_from_the_source_s_head_is_refused_and_so_is_what_goes_on_without_labels():
    with pytest.raises(
        UserError, match=r"regularizer CoTuning learns from the source.s own head, and control=true has none"
    ):
        check_control(composed("mode=fine_tuning", "control=true", "regularizer=co_tuning"))
    same = ["source.characters=digits", "target.shots=null", "head.init=source"]
    with pytest.raises(UserError, match=r"shot goes on from the source's own head"):
        check_control(composed("mode=fine_tuning", "control=true", "adaptation=shot", *same))
    check_control(composed("mode=fine_tuning", "regularizer=co_tuning"))
    check_control(composed("mode=scratch", "control=true", "regularizer=co_tuning"))  # it says so itself
    cfg = composed("task=few_images", "mode=feature_extraction", "control=true")
    with pytest.raises(UserError, match="random_features"):
        few_images(cfg=cfg, representations=["pixels"], stage=None, components=[1], logistic=[1.0])


def test_a_plan_of_a_control_is_that_of_the_run_and_trains_nothing():
    assert str(plan(cfg=composed("task=plan", "control=true"))) == str(plan(cfg=composed("task=plan")))
    with pytest.raises(UserError, match="control=false"):
        plan(cfg=composed("task=plan", "control=true", "regularizer=co_tuning"))
    assert not Path("outputs").exists()


def without_key(cfg):
    plain = cfg.copy()
    with open_dict(plain):
        del plain["control"]
    return plain


@pytest.mark.parametrize("mode", ["scratch", "fine_tuning", "multi_task"])
def test_where_the_key_does_nothing_a_run_has_the_hash_of_before_there_was_one(mode):
    plain = config(f"mode={mode}")
    assert config_hash(plain) == config_hash(without_key(plain))
    control = config(f"mode={mode}", "control=true")
    assert (config_hash(control) == config_hash(plain)) == (mode != "fine_tuning")
    assert is_control(control) == (mode == "fine_tuning")


def test_the_hash_of_a_control_does_not_depend_on_weights_that_it_does_not_read():
    want = config_hash(config("mode=AnB", "control=true", "weights.reset_from=2"))
    Path("w.pth").write_bytes(b"1")
    for other in (["weights.seed=7"], ["weights=file", "weights.path=w.pth"], ["weights=target"]):
        assert config_hash(config("mode=AnB", "control=true", *other, "weights.reset_from=2")) == want
    assert config_hash(config("mode=AnB", "control=true", "weights.reset_from=1")) != want


def test_name_and_overrides_say_control_only_of_a_control():
    def named(reuse, control, *overrides):
        hydra = {"overrides": {"task": list(overrides)}, "runtime": {"choices": {}}}
        return run_name(_root_=OmegaConf.create({"reuse": reuse, "control": control, "hydra": hydra}))

    plain = named(True, False, "mode=gradual")
    assert named(True, False, "control=False", "mode=gradual") == plain
    assert named(False, True, "control=true", "mode=scratch") == named(False, False, "mode=scratch")
    assert named(True, True, "control=True", "mode=gradual").startswith("control=true,mode=gradual-")
    cfg = OmegaConf.create({"reuse": True, "control": True})
    assert own_overrides(cfg, ["++control=True", "mode=gradual", "rerun=true"]) == ["control=true", "mode=gradual"]


def test_a_sweep_with_controls_has_the_folder_of_the_sweep_without():
    want = study_folder({}, ["mode", "seed"], ["target.shots=2"])
    assert study_folder({}, ["mode", "seed", "control"], ["target.shots=2"]) == want
    assert study_folder({}, ["mode", "seed"], ["target.shots=2", "control=true"]) == want
    assert study_folder({}, ["control"], []).startswith("sweep-control-")
    assert study_folder({}, [], ["control=true"]) == "runs"


STUDY = [*TINY, "trainer.max_epochs=1", "callbacks.figures=null", "start_class_means=false"]


def results(study):
    return {path.parent.name: json.loads(path.read_text()) for path in Path("outputs", study).glob("*/result.json")}


@pytest.mark.slow
def test_controls_added_to_a_finished_study_are_all_that_runs_and_scratch_is_found(capfd):
    """And with control=false,true at once scratch is run once a seed."""
    study = ["-m", "study=demo", *STUDY, "mode=scratch,feature_extraction", "seed=0,1"]
    assert main([*study, "control=false"]) == 0
    before = results("demo")
    assert len(before) == 4
    stamps = {name: Path("outputs/demo", name, "result.json").stat().st_mtime_ns for name in before}
    assert main([*study, "control=true", "rerun=true"]) == 0
    said = capfd.readouterr().err
    after = results("demo")
    assert {name: after[name] for name in before} == before
    assert all(Path("outputs/demo", name, "result.json").stat().st_mtime_ns == at for name, at in stamps.items())
    new = {name: result for name, result in after.items() if name not in before}
    assert {(one["mode"], one["seed"], one["control"]) for one in new.values()} == {
        ("feature_extraction", 0, True), ("feature_extraction", 1, True)
    }  # fmt: skip
    assert all("control=true" in one["overrides"] for one in new.values())
    assert said.count("mode=scratch takes no weights of a source") == 2
    for name, one in after.items():
        if one["mode"] == "scratch":
            assert "control=true" not in one["overrides"]
            hydra = Path("outputs/demo", name, ".hydra")
            assert "control=true" not in yaml.safe_load((hydra / "overrides.yaml").read_text())
            assert yaml.safe_load((hydra / "config.yaml").read_text())["control"] is False

    assert main(study) == 0  # as it is shipped: with and without
    assert results("demo") == after
    assert json.loads(Path("outputs/demo/report.json").read_text())["format"]


def test_two_jobs_of_one_folder_at_a_time_train_once(monkeypatch):
    """The second waits for the lock, and then finds the result of the first."""
    trains = []

    def train(cfg, folder, about):
        trains.append(about["overrides"])
        folder.mkdir(parents=True, exist_ok=True)
        result = {"metrics": {"val/accuracy": 0.5}}
        (folder / "result.json").write_text(json.dumps(result))
        return result

    monkeypatch.setattr("headstart.tasks.fit.train", train)

    monkeypatch.setattr("headstart.tasks.fit.job_overrides", lambda: ["mode=scratch", "control=true"])
    Path("study/run").mkdir(parents=True)
    cfg = composed("mode=scratch", "control=true", folder=Path("study/run"))
    done = []
    with held_alone(Path("study/run") / LOCK, what="it", folder=Path("study/run")):
        jobs = [threading.Thread(target=lambda: done.append(fit(cfg=cfg))) for _ in range(2)]
        for job in jobs:
            job.start()
        jobs[0].join(0.5)
        assert not trains
    for job in jobs:
        job.join(60)
    assert done == [0.5, 0.5]
    assert trains == [["mode=scratch"]]


@pytest.mark.parametrize("touched", [False, True])
def test_a_frozen_source_that_was_never_trained_gets_the_statistics_that_its_control_has(touched, tmp_path):
    """Its BatchNorms would say 0 and 1, of no data; those of a trained source stay as they are."""
    torch.manual_seed(5)
    backbone = small_cnn(width=4, size=32, channels=1, keep=None)
    state = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    means = [key for key in state if key.endswith("running_mean")]
    if touched:
        state[means[0]] = state[means[0]] + 0.5
    torch.save(state, tmp_path / "weights.pth")
    short = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "callbacks.figures=null", "logger=csv"]
    given = ["mode=feature_extraction", "backbone.width=4", "weights=file", f"weights.path={tmp_path / 'weights.pth'}"]
    assert main([*given, *short, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    kept = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(kept[key], state[key]) == touched for key in means)

"""A run starts from the weights in a file, and says which they were."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from composed import CONF
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.training.train_run import train
from headstart.system.files.file_identity import sha256
from headstart.tasks.fit import waits_for_source  # type: ignore[attr-defined]
from headstart.types import UserError

SHORT = ["backbone.width=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "weights=file"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(tmp_path):
    """Where a server on this machine offers the files of the working folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def saved():
    """A file of weights whose tensors are called as a wrapped model's, with a head that is nobody's."""
    torch.manual_seed(5)
    net = small_cnn(width=4, size=32, channels=1, keep=None)
    net.stages["stage1"][1].running_mean += 0.01  # as of a network that has seen images
    state = {f"module.{name}": t for name, t in net.state_dict().items()} | {"module.fc.weight": torch.ones(3)}
    torch.save({"state_dict": state}, "w.pth")
    return net


def trained(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*SHORT, "weights.path=w.pth", *overrides, "run_dir=run"])
    return train(cfg, Path("run"), about={"study": "s", "name": "n", "hash": "00000000", "overrides": []}), cfg


def stages():
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name.removeprefix("backbone."): t for name, t in state.items() if name.startswith("backbone.")}


def test_frozen_stages_are_those_of_the_file_and_the_result_says_which_file_it_was(saved, caplog):
    with caplog.at_level("INFO"):
        result, cfg = trained("mode=feature_extraction")
    assert all(torch.equal(t, stages()[name]) for name, t in saved.state_dict().items())
    assert result["start_class_means"] > 0.2  # the head begins in closed form on the features: a guess has 0.1
    assert json.loads(Path("run/result.json").read_text())["source"] == {
        "hash": sha256(Path("w.pth"))[:8],
        "file": "w.pth",
        "sha256": sha256(Path("w.pth")),
        "prefix": "module.",
        "stages": ["stage1", "stage2", "stage3", "stage4"],
        "matched": 24,
        "missing": {"count": 0, "first": []},
        "left_over": {"count": 1, "first": ["module.fc.weight"]},
    }
    assert "w.pth: 24 tensors fit, 0 missing, 1 left over (module.fc.weight)" in caplog.text
    assert not waits_for_source(cfg)
    assert not Path("outputs", "source").exists()  # no source model was trained


def test_the_stages_from_reset_from_on_are_as_fresh_as_scratchs(saved):
    trained("mode=feature_extraction", "weights.reset_from=2")
    reset = stages()
    for name, t in saved.state_dict().items():
        if name.startswith(("stages.stage1", "stages.stage2")) or name.endswith("num_batches_tracked"):
            assert torch.equal(reset[name], t), name
    assert not torch.equal(reset["stages.stage3.0.weight"], saved.state_dict()["stages.stage3.0.weight"])


@pytest.mark.parametrize("mode", ["fine_tuning", pytest.param("gradual", marks=pytest.mark.slow)])
def test_the_modes_that_open_stages_start_where_the_file_ends(saved, mode):
    """At rate 0 nothing moves: what is in the checkpoint is what was loaded."""
    result, _ = trained(f"mode={mode}", "optimizer.lr=0", "optimizer.weight_decay=0")
    assert result["steps"] > 0
    weights = {name: t for name, t in saved.state_dict().items() if name.endswith("0.weight")}
    assert all(torch.equal(t, stages()[name]) for name, t in weights.items())


def test_a_finished_runs_best_checkpoint_gives_its_stages_its_head_and_its_classes(saved):
    trained("mode=feature_extraction")
    Path("run").rename("before")
    result, _ = trained(
        "mode=feature_extraction", "weights.path=before/checkpoints/best.ckpt", "head.init=source", "optimizer.lr=0"
    )
    before = json.loads(Path("before/result.json").read_text())
    assert result["metrics"] == pytest.approx(before["metrics"])
    assert result["best"]["step"] == result["steps"]  # at rate 0 all validations are equal, and the latest counts


def test_a_files_head_without_classes_is_no_head(saved):
    with pytest.raises(UserError, match="needs source weights with a head"):
        trained("mode=feature_extraction", "head.init=source")


def test_without_a_path_the_command_says_what_is_needed(capsys):
    assert main(["weights=file", "mode=gradual"]) == 2
    assert "weights.path is needed: a state_dict or a checkpoint" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_line(capsys):
    assert main([*SHORT, "mode=gradual", "weights.path=none.pth"]) == 2
    assert "none.pth is not there" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_start_from_the_same_file(saved):
    command = [*SHORT, "mode=feature_extraction", "weights.path=w.pth", "trainer=ddp_cpu", "target.shots=2"]
    assert main(command) == 0
    (result,) = Path("outputs").glob("*/*/result.json")
    assert json.loads(result.read_text())["processes"] == 2
    last = torch.load(result.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(t, last[f"backbone.{name}"]) for name, t in saved.state_dict().items())


def test_a_run_starts_from_the_file_of_an_address_and_says_which_it_was(saved, address, tmp_path):
    url = f"{address}/w.pth"
    result, _ = trained("mode=feature_extraction", f"weights.path={url}")
    assert all(torch.equal(t, stages()[name]) for name, t in saved.state_dict().items())
    source = result["source"]
    assert (source["file"], source["url"], source["sha256"]) == (url, url, sha256(Path("w.pth")))
    Path("w.pth").unlink()  # it is in the cache now
    again, _ = trained("mode=feature_extraction", f"weights.path={url}")
    assert again["weights_hash"] == result["weights_hash"]
    assert list((tmp_path / "home").rglob("w.pth"))


def config(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*SHORT, *overrides, "run_dir=run"])


def test_the_hash_of_a_run_is_that_of_the_file_wherever_it_lies_and_of_no_cache(saved, address, monkeypatch, tmp_path):
    digest = sha256(Path("w.pth"))
    local = config_hash(config("weights.path=w.pth"))
    (tmp_path / "elsewhere").mkdir()
    Path("w.pth").rename("elsewhere/x.pth")
    assert config_hash(config("weights.path=elsewhere/x.pth")) == local
    assert config_hash(config(f"weights.path={(tmp_path / 'elsewhere' / 'x.pth').as_uri()}")) == local
    assert config_hash(config("weights.path=elsewhere/x.pth", f"weights.sha256={digest}")) == local
    assert config_hash(config(f"weights.path={address}/x.pth", f"weights.sha256={digest.upper()}")) == local
    url = f"weights.path={address}/elsewhere/x.pth"
    before = config_hash(config(url))
    assert before != local  # nobody knows what lies there
    assert main(["task=describe", *SHORT, url, "mode=gradual"]) == 0
    trained("mode=scratch", url)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "another"))
    assert config_hash(config(url)) == before


def test_a_file_with_another_hash_than_the_setting_says_is_refused(saved, address, capsys):
    path = f"weights.path={address}/w.pth"
    with pytest.raises(UserError, match=r"cannot download .*, but weights.sha256 says 0000"):
        trained("mode=gradual", path, f"weights.sha256={'0' * 64}")
    with pytest.raises(UserError, match=r"w.pth is not the file that weights.sha256=0000"):
        trained("mode=gradual", f"weights.sha256={'0' * 64}")
    trained("mode=gradual", path)
    with pytest.raises(UserError, match="take it away and it is downloaded again"):
        trained("mode=gradual", path, f"weights.sha256={'0' * 64}")
    with pytest.raises(UserError, match="64 hex digits"):
        trained("mode=gradual", "weights.sha256=abc")


def test_an_address_without_a_file_is_one_line_on_the_command_line(address, capsys):
    assert main([*SHORT, "mode=gradual", f"weights.path={address}/none.pth?version=2&x=a,b"]) == 2
    told = capsys.readouterr().err
    assert f"cannot download {address}/none.pth?version=2&x=a,b (HTTP Error 404" in told
    assert "put the file here by hand, as" in told
    assert main([*SHORT, "mode=gradual", "weights.path=s3://bucket/x.pth"]) == 2
    assert "weights.path must be a file, http(s)://..., file:///... or hf://..." in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_start_from_the_file_of_an_address(saved, address):
    command = [*SHORT, "mode=feature_extraction", f"weights.path={address}/w.pth", "trainer=ddp_cpu", "target.shots=2"]
    assert main(command) == 0
    (result,) = Path("outputs").glob("*/*/result.json")
    assert json.loads(result.read_text())["processes"] == 2
    last = torch.load(result.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(t, last[f"backbone.{name}"]) for name, t in saved.state_dict().items())

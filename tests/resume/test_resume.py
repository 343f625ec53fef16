"""When a run goes on, from what, and what a user reads where it cannot."""

import json
import random
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from composed import TINY, composed
from headstart.callbacks.checkpoints.per_rank_state import of_this_rank
from headstart.callbacks.checkpoints.rng_states import random_states, set_random_states
from headstart.cli import main
from headstart.runs.continuing.resume_point import damage_of, resume_point
from headstart.runs.folder.run_naming import config_hash
from headstart.types import UserError
from killed import command, said

RUN = [
    *TINY, "trainer.max_epochs=3", "mode=scratch", "callbacks.figures=null", "trainer.limit_val_batches=3",
    "callbacks.checkpoint.min_interval_s=0",
    "trainer.limit_test_batches=2", "logger=csv", "+callbacks.stop._target_=resume_plugins.Stop",
]  # fmt: skip


def run_of(place):
    (found,) = [path.parent for path in place.glob("outputs/*/*/.hydra")]
    return found


def flipped(path):
    """The file with a byte in its middle changed, where tensors lie."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


# ------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("tear", [flipped, truncated, lambda path: path.write_bytes(b"")])
def test_a_torn_checkpoint_is_seen_by_its_checksums_and_a_whole_one_is_not(tmp_path, tear):
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.randn(1000)}, path)
    assert damage_of(path) == ""
    tear(path)
    assert damage_of(path)


def test_whichever_byte_is_changed_the_damage_is_seen_or_there_is_none(tmp_path):
    path, weights = tmp_path / "last.ckpt", torch.randn(50)
    torch.save({"weights": weights}, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        assert damage_of(path) or torch.equal(torch.load(path)["weights"], weights), place


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder in which a run was killed in its third epoch, and the same in which it was not."""
    folders = []
    for stop in (("on_train_epoch_start", 8), None):
        place = tmp_path_factory.mktemp("place")
        assert command(place, *RUN, stop=stop) == (-9 if stop else 0), said(place)
        folders.append(place)
    return folders


def copied(place, tmp_path):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    return run_of(tmp_path)


def test_a_torn_last_checkpoint_falls_back_to_the_one_before_and_says_so(stopped, tmp_path):
    place, whole = stopped
    folder = copied(place, tmp_path)
    truncated(folder / "checkpoints" / "last.ckpt")
    assert command(tmp_path, *RUN, "resume=auto") == 0, said(tmp_path)
    (line,) = [line for line in said(tmp_path).splitlines() if "is damaged" in line]
    assert "last.ckpt" in line
    assert line.endswith("trying previous.ckpt")
    assert "previous.ckpt: epoch 1, step 4" in said(tmp_path)
    assert (folder / "metrics.csv").read_bytes() == (run_of(whole) / "metrics.csv").read_bytes()
    one, other = (torch.load(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (folder, run_of(whole)))
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_where_the_file_before_is_all_that_there_is_it_is_taken(stopped, tmp_path):
    folder = copied(stopped[0], tmp_path)
    (folder / "checkpoints" / "last.ckpt").unlink()  # killed between the two renames
    cfg, run_hash = settings(folder)
    assert resume_point(cfg, folder, run_hash).name == "previous.ckpt"


def settings(folder, **more):
    cfg = composed(folder=folder)
    cfg.resume = "auto"
    for key, value in more.items():
        cfg[key] = value
    return cfg, torch.load((folder / "checkpoints" / "best.ckpt"), weights_only=True)["run_hash"]


def test_where_both_are_torn_the_error_names_both_and_says_how_to_start_anew(stopped, tmp_path):
    folder = copied(stopped[0], tmp_path)
    cfg, run_hash = settings(folder)
    for name in ("last.ckpt", "previous.ckpt"):
        flipped(folder / "checkpoints" / name)
    with pytest.raises(UserError, match=r"damaged ones: last\.ckpt \(.*\), previous\.ckpt \(.*rerun=true"):
        resume_point(cfg, folder, run_hash)
    cfg.rerun = True
    assert resume_point(cfg, folder, run_hash) is None


def test_a_torn_best_checkpoint_is_an_error_as_nobody_can_make_it_again(stopped, tmp_path):
    folder = copied(stopped[0], tmp_path)
    cfg, run_hash = settings(folder)
    truncated(folder / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt is damaged"):
        resume_point(cfg, folder, run_hash)


def test_a_checkpoint_of_another_config_is_refused(stopped, tmp_path):
    folder = copied(stopped[0], tmp_path)
    cfg, run_hash = settings(folder)
    with pytest.raises(UserError, match=rf"another config \(hash {run_hash}, this one is 00000000\).*rerun=true"):
        resume_point(cfg, folder, "00000000")


def test_without_resume_or_a_checkpoint_or_after_the_end_there_is_nothing_to_go_on_from(stopped, tmp_path):
    place, whole = stopped
    cfg, run_hash = settings(run_of(place))
    assert resume_point(cfg, run_of(place), run_hash).name == "last.ckpt"
    assert resume_point(cfg, run_of(whole), run_hash) is None
    assert resume_point(cfg, tmp_path, run_hash) is None
    cfg.resume = None
    assert resume_point(cfg, run_of(place), run_hash) is None


def test_checkpoints_hold_nothing_but_tensors_and_plain_values(stopped):
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        kept = torch.load(run_of(stopped[0]) / "checkpoints" / name, weights_only=True)
        assert ("random_states" in kept) == (name != "best.ckpt")


def test_as_many_ranks_go_on_as_there_were():
    assert of_this_rank(["a", "b"], SimpleNamespace(world_size=2, global_rank=1)) == "b"
    with pytest.raises(UserError, match=r"written by 2 process\(es\).*this run has 4"):
        of_this_rank(["a", "b"], SimpleNamespace(world_size=4, global_rank=1))


# ------------------------------------------------------------------ the command


def test_a_finished_run_trains_nothing_whether_asked_by_config_or_by_folder(stopped, tmp_path):
    folder = copied(stopped[1], tmp_path)
    hydra = folder / ".hydra" / "hydra.yaml"  # a command for a finished run leaves it as it was
    hydra.write_text(hydra.read_text().replace(str(stopped[1]), str(tmp_path)))
    made = (folder / "result.json").stat().st_mtime_ns
    for arguments in ([*RUN, "resume=auto"], [f"resume={folder.relative_to(tmp_path)}"]):
        (folder / "headstart.log").unlink(missing_ok=True)
        assert command(tmp_path, *arguments) == 0
        assert "is finished, val/accuracy" in said(tmp_path)
        assert "is finished, val/accuracy" in (folder / "headstart.log").read_text()
        assert (folder / "result.json").stat().st_mtime_ns == made


@pytest.mark.slow
def test_a_sweep_with_resume_leaves_what_is_finished_and_goes_on_with_the_rest(tmp_path):
    sweep = ["-m", *RUN, "seed=0,1"]
    assert command(tmp_path, *sweep, stop=("on_train_epoch_start", 8)) == -9  # in the first job
    assert command(tmp_path, *sweep, "resume=auto") == 0, said(tmp_path)
    assert said(tmp_path).count("going on from") == 1
    results = sorted(tmp_path.glob("outputs/*/*/result.json"))
    assert len(results) == 2
    made = [path.stat().st_mtime_ns for path in results]
    assert command(tmp_path, *sweep, "resume=auto") == 0
    assert [path.stat().st_mtime_ns for path in results] == made


@pytest.mark.slow
def test_a_source_model_s_run_goes_on_too(tmp_path):
    run = [*(one for one in RUN if one != "mode=scratch"), "mode=fine_tuning", "weights.max_epochs=3"]
    other = [*run, "target.shots=4"]
    assert command(tmp_path, *run) == 0, said(tmp_path)
    (whole,) = tmp_path.glob("outputs/source/*/")
    whole = whole.rename(tmp_path / "whole")
    checkpoints = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    # killed when the source's last epoch is over: its callbacks have no Stop, so a file of the run is taken away
    copied_back = tmp_path / "outputs" / "source" / run_name(whole, tmp_path)
    shutil.copytree(whole, copied_back)
    (copied_back / "result.json").unlink()
    assert command(tmp_path, *other, "resume=auto") == 0, said(tmp_path)
    assert "going on from outputs/source" in said(tmp_path)
    again = torch.load(copied_back / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.equal(tensor, again["state_dict"][key]) for key, tensor in checkpoints["state_dict"].items())
    assert (copied_back / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def run_name(whole, tmp_path):
    return json.loads((whole / "result.json").read_text())["name"]


@pytest.mark.parametrize(
    ("arguments", "said_so"),
    [
        (["resume=here", "seed=3"], r"takes nothing beside it but a greater length of a finished run"),
        (["-m", "resume=here"], r"got --multirun"),
        (["resume=nowhere"], r"auto, null or the folder of a run, got nowhere, which is no folder"),
        (["resume=here"], r"with .hydra/config.yaml and .hydra/hydra.yaml, got here without .hydra/config.yaml"),
        (["resume=here", "--cfg", "job"], r"got --cfg"),
    ],
)
def test_a_folder_to_go_on_with_stands_alone_and_is_a_run_s(tmp_path, monkeypatch, capsys, arguments, said_so):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("headstart: error: ")
    assert said_so in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here"]


def test_a_run_goes_on_where_it_was_started(stopped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([f"resume={run_of(stopped[0])}"]) == 2
    assert f"try: cd {stopped[0]}; headstart resume={run_of(stopped[0])}" in capsys.readouterr().err


def test_a_run_that_fails_again_leaves_its_trace_and_exit_code_as_any_other(stopped, tmp_path):
    folder = copied(stopped[0], tmp_path)
    for name in ("last.ckpt", "previous.ckpt"):
        truncated(folder / "checkpoints" / name)
    (folder / ".hydra" / "hydra.yaml").write_text(
        (folder / ".hydra" / "hydra.yaml").read_text().replace(str(stopped[0]), str(tmp_path))
    )
    assert command(tmp_path, f"resume={folder.relative_to(tmp_path)}") == 2
    assert "headstart: error: the run in" in said(tmp_path)
    assert "rerun=true" in (folder / "error.txt").read_text()


def test_resume_makes_no_other_run():
    cfg = composed()
    before = config_hash(cfg)
    cfg.resume = "auto"
    assert config_hash(cfg) == before


# ------------------------------------------------------------------ random numbers


def test_the_same_random_numbers_come_again():
    def drawn():
        return [torch.rand(3).tolist(), np.random.rand(), np.random.randn(), random.random(), random.gauss(0, 1)]

    random.gauss(0, 1)  # now each generator of normal numbers holds one back
    np.random.randn()
    states = random_states(torch.device("cpu"))
    first = drawn()
    assert drawn() != first
    set_random_states(states, torch.device("cpu"))
    assert drawn() == first
    assert all(isinstance(state, torch.Tensor) for state in states.values())

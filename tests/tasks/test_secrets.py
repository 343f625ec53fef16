"""No file of a run holds a password of an address or the value of an environment variable that its config reads."""

import json
import logging
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from composed import TINY
from headstart.cli import main
from headstart.runs.saved.config_resolution import resolved_without_variables
from headstart.runs.saved.saved_job import saved_job
from headstart.system import credential_masking
from photos import three_classes

SECRET = "tr0ub4dor"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(credential_masking, "_values", {})
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers  # a command's own write to what pytest has closed


def holding(folder, word=SECRET):
    """The names of files and folders that hold the word, in their name or their bytes."""
    found = [path for path in folder.rglob("*") if word in path.name]
    return found + [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_an_interpolation_of_a_variable_stays_one_wherever_a_run_is_written_and_the_run_goes_on(
    tmp_path, monkeypatch, capfd
):
    photos = tmp_path / f"elsewhere-{SECRET}"
    photos.mkdir()
    three_classes(photos, 6)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PLACE", str(photos))
    command = [
        *(word for word in TINY if not word.startswith("source.")), "mode=feature_extraction", "trainer.max_epochs=1",
        *(f"data@{data}=image_folder" for data in ("source", "target")),
        *(f"{data}.root='${{oc.env:PLACE}}/photos'" for data in ("source", "target")),
    ]  # fmt: skip
    assert main(command) == 0
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert holding(tmp_path / "here") == []
    (run,) = (tmp_path / "here" / "outputs" / "runs").iterdir()
    (source,) = (tmp_path / "here" / "outputs" / "source").glob("*/config.yaml")
    configs = [run / ".hydra" / "config.yaml", source]
    assert {file.with_suffix(".signature") for file in configs} == set((tmp_path / "here").rglob("*.signature"))
    assert OmegaConf.load(source).target.root == f"{photos}/photos"  # read again, it is what it was
    assert saved_job(run).target.root == f"{photos}/photos"
    (run / "result.json").unlink()
    assert main([*command, "resume=auto"]) == 0
    assert main(["task=evaluate", f"evaluate.run_dir={run}", "trainer.accelerator=cpu"]) == 0
    assert holding(tmp_path / "here") == []


@pytest.mark.slow
def test_a_run_that_fails_at_an_address_holds_no_password_of_it(tmp_path, monkeypatch, capfd):
    address = f"http://me:{SECRET}@127.0.0.1:9/weights.pth?token={SECRET}"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    tiny = [word for word in TINY if not word.startswith("weights.")]
    command = [*tiny, "mode=fine_tuning", "weights=file", "trainer.max_epochs=1"]
    assert main([*command, f"weights.path='{address}'"]) == 2
    told = capfd.readouterr()
    assert "cannot download http://***@127.0.0.1:9/weights.pth?token=***" in told.err
    assert main(["-m", *command, f"weights.path='{address}'", "seed=0,1"]) == 1
    assert main(["--trace", *command, f"weights.path='{address}'"]) == 2
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert holding(tmp_path) == []
    assert list(tmp_path.rglob("multirun.yaml"))
    run = next((tmp_path / "outputs" / "runs").iterdir())
    assert main([f"resume={run}"]) == 2
    assert "are not kept in a run's folder" in capfd.readouterr().err


def test_a_run_on_two_ranks_has_the_address_that_its_files_do_not_hold(tmp_path, monkeypatch):
    from headstart.runs.saved.config_writing import unwritten

    cfg = OmegaConf.create(
        {"rerun": False, "a": {"url": f"https://u:{SECRET}@h", "urls": ["x", f"https://u:{SECRET}@h"], "plain": "x"}}
    )
    found = unwritten(cfg)
    assert found == {"rerun": False, "a.url": cfg.a.url, "a.urls": list(cfg.a.urls)}
    masked = OmegaConf.create(OmegaConf.to_yaml(cfg).replace(f"u:{SECRET}", "***"))
    for key, value in json.loads(json.dumps(found)).items():
        OmegaConf.update(masked, key, value)
    assert masked == cfg


def test_a_config_resolved_without_variables_resolves_to_what_it_was(monkeypatch):
    monkeypatch.setenv("WORD", "it's, here")
    monkeypatch.setenv("NUMBER", "3")
    monkeypatch.delenv("NONE", raising=False)
    cfg = OmegaConf.create(
        {
            "a": "${oc.env:WORD}/x",
            "b": ["${a}", {"c": "${oc.env:NONE,data}/y"}],
            "d": "${oc.env:NONE,null}",
            "e": "${oc.decode:${oc.env:NUMBER}}",
            "f": "${oc.env:NONE,'a, b'}",
            "h": "${e}",
            "i": 4,
            "missing": "???",
        }
    )
    kept = resolved_without_variables(cfg)
    assert "here" not in str(kept)
    assert kept["b"] == ["${oc.env:WORD}/x", {"c": "${oc.env:NONE,data}/y"}]
    assert kept["i"] == 4
    again = OmegaConf.create(kept)
    assert OmegaConf.is_missing(again, "missing")
    for key in "abdefhi":
        assert again[key] == cfg[key]
    assert again.h == 3
    assert Path(again.b[1].c) == Path("data/y")

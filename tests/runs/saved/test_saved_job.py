"""A job's config, read again from its folder, is the one that it had."""

import json
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.saved.saved_job import saved_job
from headstart.types import UserError

CONFIG = """
task: stub
stub:
  _target_: rank_tasks.resolves
  seen:
    again: "${run_dir:}"
    number: "${hydra:job.num}"
    mode: "${hydra:mode}"
    name: "${run_name:}"
    below: "${run_dir}/checkpoints"
seed: 0
run_dir: ${hydra:runtime.output_dir}
hydra:
  job: {name: headstart}
  run: {dir: "outputs/${study_name:}/${run_name:}"}
  sweep: {dir: "outputs/${study_name:}", subdir: "${run_name:}"}
"""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Those of a sweep of two jobs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    assert main(["--config-path", "conf", "-m", "seed=1,2"]) == 0
    before = HydraConfig.instance().cfg
    yield sorted(file.parent for file in Path("outputs").glob("*/*/resolved.json"))
    HydraConfig.instance().cfg = before


def test_a_saved_job_resolves_to_what_it_was_also_from_another_folder(folders, tmp_path, monkeypatch):
    assert len(folders) == 2
    for folder in [folder.absolute() for folder in folders]:
        was = json.loads((folder / "resolved.json").read_text())
        cfg = saved_job(folder)
        assert json.loads(json.dumps(OmegaConf.to_container(cfg, resolve=True), default=str)) == was
        assert folder.name.endswith(config_hash(cfg))
        assert HydraConfig.get().overrides.task == [f"seed={cfg.seed}"]
        with pytest.raises(ConfigAttributeError):
            _ = cfg.no_such_key
        monkeypatch.chdir("/")
        assert saved_job(folder).run_dir == was["run_dir"]
        monkeypatch.chdir(tmp_path)


def test_a_run_that_was_moved_is_where_it_is_now(folders, tmp_path):
    moved = folders[0].rename(tmp_path / "kept")
    assert saved_job(moved).stub.seen.below == str(tmp_path / "kept" / "checkpoints")


def test_a_folder_that_holds_no_job_is_an_error_that_names_what_it_lacks(tmp_path):
    with pytest.raises(UserError, match=r"expected the folder of a run.* without \.hydra/config\.yaml; try: ls"):
        saved_job(tmp_path)

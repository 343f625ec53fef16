"""What compat/hydra/hydra_launch.py relies on. Tried: hydra-core 1.3.4."""

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from headstart.compat.hydra.hydra_config_loader import DefaultsListLoader, config_search_path
from headstart.compat.hydra.hydra_launch import BASIC_SWEEPER, run_jobs

CONFIG = """
defaults: [_self_, override hydra/job_logging: none, override hydra/hydra_logging: none]
seed: 0
hydra: {output_subdir: null, run: {dir: .}, sweep: {dir: sweep, subdir: "${hydra.job.num}"}}
"""


@pytest.fixture
def loader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return DefaultsListLoader(config_search_path(str(tmp_path)))


def test_the_task_gets_the_config_of_the_loader_without_the_hydra_node(loader):
    seeds = []
    run_jobs(loader, "config", lambda cfg: seeds.append(cfg.seed), ["seed=3"], name="command", multirun=False)
    assert seeds == [3]
    assert not GlobalHydra.instance().is_initialized()


def test_a_multirun_runs_a_job_for_each_value(loader):
    seeds = []
    overrides = ["seed=1,2", "hydra.mode=MULTIRUN"]
    run_jobs(loader, "config", lambda cfg: seeds.append(cfg.seed), overrides, name="command", multirun=True)
    assert seeds == [1, 2]


def test_what_a_job_raises_comes_out_and_hydra_is_cleared(loader):
    def fails(cfg):
        raise KeyError("in the job")

    with pytest.raises(KeyError, match="in the job"):
        run_jobs(loader, "config", fails, [], name="command", multirun=False)
    assert not GlobalHydra.instance().is_initialized()


def test_the_sweeper_that_hydra_has_by_default_is_the_basic_one(loader):
    cfg = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    assert cfg.hydra.sweeper["_target_"] == BASIC_SWEEPER

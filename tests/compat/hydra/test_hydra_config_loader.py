"""What compat/hydra/hydra_config_loader.py relies on. Tried: hydra-core 1.3.8."""

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from composed import CONF
from headstart.compat.hydra.hydra_config_loader import DefaultsListLoader, config_search_path


def loader(folder):
    for name, text in {
        "config.yaml": "defaults: [_self_, {model: small}, {data@source: a}]\nseed: 0\n",
        "model/small.yaml": "depth: 1\n",
        "data/a.yaml": "size: 2\n",
    }.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return DefaultsListLoader(config_search_path(str(folder)))


def test_the_loader_keeps_the_defaults_list_of_the_last_config(tmp_path):
    composing = loader(tmp_path)
    cfg = composing.load_configuration("config", ["model.depth=3"], run_mode=RunMode.RUN)
    assert (cfg.seed, cfg.model.depth, cfg.source.size) == (0, 3, 2)
    assert cfg.hydra.runtime.choices["data@source"] == "a"
    composed_from = [(one.config_path, one.package) for one in composing.defaults]
    assert [(path, package) for path, package in composed_from if not str(path).startswith("hydra")] == [
        ("config", ""),
        ("model/small", "model"),
        ("data/a", "source"),
    ]


def test_the_search_path_begins_with_hydra_and_the_folder(tmp_path):
    paths = [one.path for one in config_search_path(str(tmp_path)).get_path()]
    assert f"file://{tmp_path}" in paths or str(tmp_path) in paths


def test_a_job_of_a_sweep_is_composed_by_load_sweep_config(tmp_path):
    composing = loader(tmp_path)
    master = composing.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    assert composing.load_sweep_config(master, ["model.depth=7"]).model.depth == 7


def test_groups_and_options_are_listed_and_overrides_are_parsed_one_by_one(tmp_path):
    composing = loader(tmp_path)
    assert [group for group in composing.list_groups("") if group != "hydra"] == ["data", "model"]
    assert composing.repository.group_exists("model")
    (override,) = OverridesParser.create(config_loader=composing).parse_overrides(["model=glob(*)"])
    assert list(override.sweep_string_iterator()) == ["small"]


JOBS = [
    ["seed=0", "mode=scratch"],
    ["seed=1", "mode=scratch"],
    ["mode=scratch", "seed=1"],
    ["mode=fine_tuning", "seed=1", "target.shots=5"],
    ["seed=2", "mode=fine_tuning", "target.shots=null", "optimizer.lr=1e-3"],
    ["seed=2", "optimizer=sgd", "++optimizer.lr=0.1", "~hydra.callbacks.report"],
    ["+extra={a: 1, b: [x, 'y z']}", "seed=3"],
    ["+extra.c=2", "~seed"],
    ["data@target=all_digits", "target.batch_size=7", "augment@target.augment=flip"],
    ["backbone={width: 8}", "hydra.job.name=other", "seed=4"],
    ["study_name='a, b'", "run_dir=${seed}/x", "module.metric=f1"],
]


def test_jobs_that_share_their_options_have_the_configs_that_hydra_composes():
    setup_globals()
    HydraConfig.instance().cfg = None
    composing = DefaultsListLoader(config_search_path(str(CONF)))
    for fixed in ([], ["hydra.verbose=true", "hydra/job_logging=console"]):
        master = composing.load_configuration("config", fixed, run_mode=RunMode.MULTIRUN)
        for job in [*JOBS, *JOBS[::-1]]:
            ours, hydras = composing.load_sweep_config(master, job), ConfigLoaderImpl.load_sweep_config
            want = hydras(composing, master, job)
            assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(want), job
            assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(want)
            assert OmegaConf.is_readonly(ours.hydra) == OmegaConf.is_readonly(want.hydra)


@pytest.mark.parametrize("job", [["no_such=1"], ["seed.x=1"], ["+seed=1"], ["~no_such"], ["model=large"], ["seed=1,2"]])
def test_what_hydra_refuses_of_a_job_is_refused_with_the_same_words(job, tmp_path):
    composing = loader(tmp_path)
    master = composing.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    with pytest.raises(HydraException) as ours:
        composing.load_sweep_config(master, job)
    with pytest.raises(HydraException) as want:
        ConfigLoaderImpl.load_sweep_config(composing, master, job)
    assert str(ours.value) == str(want.value)

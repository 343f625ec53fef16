"""What compat/hydra_config_loader.py relies on. Tried: hydra-core 1.3.4."""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from headstart.compat.hydra_config_loader import DefaultsListLoader, config_search_path


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

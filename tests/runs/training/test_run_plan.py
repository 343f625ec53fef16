"""The plan of a run goes into its log file; the terminal does not show it."""

from importlib import import_module

import yaml

from headstart.system.files.conf_folder import conf_dir


def test_each_logger_that_is_for_the_file_alone_is_that_of_a_module_and_the_plan_s_is_among_them():
    config = yaml.safe_load((conf_dir() / "hydra" / "job_logging" / "headstart.yaml").read_text())
    assert "headstart.runs.training.run_plan" in config["loggers"]
    for name, logger in config["loggers"].items():
        assert import_module(name).log.name == name
        assert (logger["handlers"], logger["propagate"]) == (["file"], False)

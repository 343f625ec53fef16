"""The names of `import headstart`: what there is, without torch; conf/ as a package for Hydra."""

import subprocess
import sys

import pytest
from hydra import compose, initialize_config_module

import headstart


def test_dir_shows_the_public_names_and_each_of_them_is_there():
    assert set(dir(headstart)) == {*headstart.__all__, "__version__"}
    assert {"run", "sweep", "load", "results", "compose", "UserError"} <= set(headstart.__all__)
    for name in dir(headstart):
        assert getattr(headstart, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute train"):
        headstart.train  # noqa: B018


def test_the_package_and_the_results_of_runs_import_neither_torch_nor_hydra():
    code = (
        "import sys, headstart; dir(headstart); headstart.results; headstart.UserError; "
        "print([name for name in ('torch', 'hydra', 'pytorch_lightning', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_hydra_composes_from_the_shipped_files_as_a_package():
    with initialize_config_module("headstart.conf", version_base="1.3"):
        cfg = compose("config", overrides=["mode=fine_tuning", "target.shots=7"])
    assert (cfg.mode, cfg.reuse, cfg.target.shots) == ("fine_tuning", True, 7)

"""The config of a command line, and small runs of it."""

import csv
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from headstart.cli import main

CONF = Path(__file__).parents[2] / "conf"
TINY = [  # a run of a second
    "backbone.width=4",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "source.per_class=8",
    "source.val_per_class=3",
    "source.test_per_class=3",
    "weights.max_epochs=2",
    "weights.require_better=false",
    "callbacks.domains=null",  # seconds of pictures where a run adapts
]

# what a run spends a third of its time on, where a test does not ask for it
QUIET = {"callbacks.figures": "null", "logger": "csv"}


def composed(*overrides, folder=Path("run")):
    """The config of a command line with these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*TINY, *overrides, f"run_dir='{folder}'"])


def run_by_command(overrides, folder):
    """The only run's folder, after a command in this working folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(overrides) == 0
    (run,) = Path(folder, "outputs", "runs").iterdir()
    return run


def trained(*overrides, folder):
    """The result of training in the folder; pictures and TensorBoard are left out unless an override asks for them."""
    from headstart.runs.training.train_run import train

    about = {"study": "test", "name": folder.name, "hash": "00000000", "overrides": list(overrides)}
    chosen = [override.partition("=")[0] for override in overrides]
    quiet = [f"{key}={value}" for key, value in QUIET.items() if not any(name.startswith(key) for name in chosen)]
    return train(composed(*quiet, *overrides, folder=folder), folder, about=about)


def figures(folder):
    """The rows of a run's metrics.csv, each without what was not measured."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

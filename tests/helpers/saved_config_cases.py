"""Configs of run folders for the tests."""

import json
from functools import cache
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from composed import CONF


def written(folder, config):
    """A run's folder as another person may hand it over, finished as far as a command looks before it reads weights."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    (folder / "result.json").write_text(json.dumps({"class_names": ["a", "b"], "num_classes": 2, "metrics": {}}))
    file = folder / ".hydra" / "config.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    hydra = {"runtime": {"cwd": str(Path.cwd())}, "overrides": {"task": []}, "job": {"name": "headstart", "num": 0}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return file


@cache
def of_scratch():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_yaml(compose("config", overrides=["mode=scratch"]))


def changed(place, value):
    config = node = yaml.safe_load(of_scratch())
    for key in place[:-1]:
        node = node.setdefault(key, {})
    node[place[-1]] = value
    return config

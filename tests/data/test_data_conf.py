"""Does each file of conf/data name exactly what its data module wants to be told?"""

import inspect
from pathlib import Path
from pydoc import locate

import pytest
from omegaconf import OmegaConf

from headstart.data.memory import InMemory
from headstart.types import Pixels

FILES = sorted((Path(__file__).parents[2] / "conf" / "data").glob("*.yaml"))
WIRED = {"pixels", "seed"}  # from the backbone and the run


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_yaml_is_the_call(file):
    conf = OmegaConf.to_container(OmegaConf.load(file))
    target = locate(conf.pop("_target_"))
    parameters = inspect.signature(target).parameters
    assert set(conf) == set(parameters) - WIRED
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {parameter.default for parameter in parameters.values()} == {inspect.Parameter.empty}
    data = target(**conf, pixels=Pixels(size=32, channels=1, mean=(0.5,), std=(0.5,)), seed=0)
    assert isinstance(data, InMemory)
    assert data.num_classes == len(data.class_names)

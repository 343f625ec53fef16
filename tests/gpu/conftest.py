"""Where the tests of `make test-gpu` run: on the GPU of this machine, else they skip.

GPU_TESTS_ON=cpu runs the same tests on the CPU, so that it is known that they can be run.
"""

import os

import pytest
import torch


@pytest.fixture
def accelerator():
    """`gpu`; or, by GPU_TESTS_ON=cpu, `cpu`."""
    if torch.cuda.is_available():
        return "gpu"
    if os.environ.get("GPU_TESTS_ON") == "cpu":
        return "cpu"
    pytest.skip("torch finds no GPU on this machine (GPU_TESTS_ON=cpu runs these tests on the CPU)")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path

"""Two processes measure images with several labels as one does."""

import json

import pytest
import torch

import label_ranks
from two_processes import run_both

pytestmark = pytest.mark.slow  # half a minute: make test-all


def test_two_processes_measure_what_one_does_however_the_images_are_shared_out(tmp_path):
    alone = label_ranks.measured(torch.arange(30))
    assert 0 < alone["subset_accuracy"] < alone["map"] < 1
    run_both(label_ranks.__file__, tmp_path, seconds=120)
    for rank in range(2):
        for found in json.loads((tmp_path / f"{rank}.json").read_text()).values():
            assert found == pytest.approx(alone)

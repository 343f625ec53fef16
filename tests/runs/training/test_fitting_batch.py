"""A run that is out of memory begins again with half the batch, and ends as one that was asked for with that."""

import json

import pytest
import torch
from omegaconf import OmegaConf

from composed import TINY, figures, run_by_command
from headstart.cli.command_arguments import arguments
from headstart.cli.command_check import checked
from headstart.distributed.rank_launcher import RankError
from headstart.modules.classifier import Classifier
from headstart.runs.training.fitting_batch import FILE, where_it_fits, with_fitting_batch
from headstart.system.resource_errors import LESS_MEMORY

RUN = [*TINY, "mode=scratch", "trainer.max_epochs=1", "callbacks.figures=null", "logger=csv", "feature_cache=off"]


def config(batch=16, **more):
    node = {"halve_batch": True, "target": {"batch_size": batch}, "trainer": {"accumulate_grad_batches": 1}}
    return OmegaConf.create(node | more)


def test_auto_is_the_batch_of_the_config_halved_where_memory_runs_out():
    cfg = checked(arguments(["target.batch_size=auto"])).cfg
    plain = checked(arguments([])).cfg
    assert (cfg.halve_batch, plain.halve_batch) == (True, False)
    assert cfg.target.batch_size == plain.target.batch_size == 16


@pytest.mark.slow
def test_a_run_that_fits_with_a_quarter_is_the_run_of_a_quarter_with_four_accumulated(tmp_path, monkeypatch, capsys):
    (tmp_path / "auto").mkdir()
    (tmp_path / "asked").mkdir()
    step = Classifier.training_step

    def small_memory(self, batch, number):
        if len(batch.label) > 4:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 1.00 GiB")
        return step(self, batch, number)

    monkeypatch.setattr(Classifier, "training_step", small_memory)
    auto = run_by_command([*RUN, "target.batch_size=auto"], tmp_path / "auto")
    asked = run_by_command([*RUN, "target.batch_size=4", "trainer.accumulate_grad_batches=4"], tmp_path / "asked")
    assert figures(auto) == figures(asked)
    assert json.loads((auto / FILE).read_text()) == {"halved": 2}
    said = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert [text.partition(":")[0] for text in said] == [
        "out of memory with target.batch_size=16", "out of memory with target.batch_size=8",
    ]  # fmt: skip
    assert "begins again with 4, and trainer.accumulate_grad_batches=4" in said[1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RankError(f"rank 1: the memory of the GPU is full; {LESS_MEMORY}"),
    ],
)
def test_the_batch_is_halved_until_the_attempt_succeeds_and_the_step_keeps_its_images(tmp_path, error):
    cfg, seen = config(12), []

    def attempt():
        tried = with_fitting_batch(cfg, tmp_path)
        seen.append((tried.target.batch_size, tried.trainer.accumulate_grad_batches))
        if tried.target.batch_size > 3:
            raise error
        return "done"

    assert where_it_fits(cfg, tmp_path, attempt) == "done"
    assert seen == [(12, 1), (6, 2), (3, 4)]
    assert where_it_fits(cfg, tmp_path, attempt) == "done"  # a resumed run, and each rank, takes the batch that fits
    assert seen[3:] == [(3, 4)]


def test_other_errors_and_batches_that_cannot_be_halved_are_errors_as_without_it(tmp_path):
    def full():
        raise torch.OutOfMemoryError("out of memory")

    def wrong():
        raise ValueError("shapes differ")

    for cfg, attempt, kind in (
        (config(3), full, torch.OutOfMemoryError),
        (config(8), wrong, ValueError),
        (config(8, halve_batch=False), full, torch.OutOfMemoryError),
    ):
        with pytest.raises(kind):
            where_it_fits(cfg, tmp_path, attempt)
    assert not (tmp_path / FILE).exists()

"""The number of worker processes is the one that pays off."""

import os

import pytest

from headstart.data.loading.worker_processes import AHEAD, automatic_workers, cores, loading


@pytest.mark.parametrize(
    ("cores", "accelerated", "want"),
    [
        (1, False, 0),  # the model computes on the cores that would decode
        (2, False, 0),
        (64, False, 0),
        (1, True, 0),  # a worker would only take turns with the process that feeds the GPU
        (2, True, 1),
        (4, True, 3),
        (9, True, 8),
        (64, True, 8),
    ],
)
def test_automatic_workers_leave_the_model_its_cores(cores, accelerated, want):
    assert automatic_workers(cores=cores, accelerated=accelerated) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (("auto", 2, False, False, "many"), (0, False, False, None)),
        (("auto", 16, True, True, "many"), (8, True, True, AHEAD)),
        (("auto", 16, True, True, "one"), (8, True, False, AHEAD)),
        (("auto", 16, True, False, "many"), (8, False, True, AHEAD)),
        ((3, 2, False, False, "many"), (3, False, True, AHEAD)),
        ((3, 2, False, False, "one"), (3, False, False, AHEAD)),
        ((0, 16, True, True, "many"), (0, True, False, None)),
    ],
)
def test_a_loader_is_set_up_for_its_device(given, want):
    names = ("num_workers", "cores", "accelerated", "pins", "passes")
    settings = ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor")
    made = loading(**dict(zip(names, given, strict=True)), batch_bytes=1, batches=100)
    assert {name: made[name] for name in settings} == dict(zip(settings, want, strict=True))
    assert (made["worker_init_fn"] is not None) == (made["num_workers"] > 0)


def test_processes_share_the_cores_that_they_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert [cores(processes) for processes in (0, 1, 2, 4, 6, 12)] == [6, 6, 3, 1, 1, 1]

"""The formula of the cost model, against numbers computed by hand."""

import pytest

from headstart.runs.cost.image_sets import ImageSet, digest_set, united_count
from headstart.runs.cost.job_cost import DeviceMemory, Fill, JobCost, Speed, Work
from headstart.runs.cost.study_cost import StudyCost

SPEED = Speed(train_flops_s=100.0, look_flops_s=200.0, batch_s=0.5, read_s=0.1, job_s=3.0, source="by hand")
WORK = Work(
    steps=10, batches=12, train_images=80, looked_images=20, train_flops=4000.0, look_flops=600.0, read_images=60,
    evaluations=2,
)  # fmt: skip
MEMORY = DeviceMemory(weights=4, gradients=4, optimizer=8, activations=16)


def job(key="a", **settings):
    usual = {
        "backbone": "resnet18", "work": WORK, "fills": (), "cache_limit": 100, "checkpoint_bytes": 24, "memory": MEMORY,
        "devices": 1, "on_gpu": False, "readers": 1, "limit_s": float("inf"), "speed": SPEED, "source": None,
    }  # fmt: skip
    return JobCost(key=key, **usual | settings)


def fill(*contents, key="cut", row_bytes=8, flops=50.0):
    return Fill(
        row_bytes={key: row_bytes}, images=digest_set(str(contents), [f"{c:032x}" for c in contents]), flops=flops
    )


def test_a_cpu_reads_and_computes_in_turn():
    assert job().seconds == 3 + (40 + 3) + 60 * 0.1 + 12 * 0.5


def test_a_gpu_computes_while_processes_read_and_the_slower_counts():
    assert job(on_gpu=True, readers=4).seconds == 3 + 43 + 6
    assert job(on_gpu=True, readers=4, speed=SPEED.__class__(**{**vars(SPEED), "read_s": 10.0})).seconds == 3 + 150 + 6


def test_devices_share_images_but_not_what_a_batch_costs_besides():
    assert job(devices=2).seconds == 3 + (43 + 6) / 2 + 6


def test_max_time_ends_a_run():
    assert job(limit_s=10.0).seconds == 13
    assert job(limit_s=10.0, work=None).seconds == 13


def test_jobs_share_a_source_model_and_features_and_equal_ones_count_once():
    source = job("source", checkpoint_bytes=50)
    one = job("a", source=source, fills=(fill(1 << 64, 2 << 64, 3 << 64),))
    two = job("b", source=source, fills=(fill(3 << 64, 4 << 64),))
    study = StudyCost([one, two, one])
    assert (study.asked, len(study.jobs), len(study.sources)) == (3, 2, 1)
    assert (study.cache_rows, study.cache_bytes) == (4, 32)
    assert study.checkpoint_bytes == 24 + 24 + 50
    assert study.of_filling().images == 4
    assert study.of_filling().seconds == pytest.approx(4 * 50 / 200 + 4 * 0.1)
    assert study.seconds == pytest.approx(3 * job().seconds + 1.4)
    assert study.of_jobs().steps == 20


def test_rows_of_other_weights_are_others():
    study = StudyCost([job("a", fills=(fill(1 << 64),)), job("b", fills=(fill(1 << 64, key="other"),))])
    assert (study.cache_rows, study.cache_bytes) == (2, 16)


def test_images_of_the_same_content_are_one_and_sets_that_nobody_has_read_count_by_their_key():
    known = digest_set("x", ["00000000000000010000000000000000"] * 2 + ["00000000000000020000000000000000"])
    assert known.count == 2
    assert united_count([known, ImageSet("y", 5), ImageSet("y", 5), ImageSet("z", 7)]) == 14

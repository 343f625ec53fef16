"""The advice on a run's pace follows from its seconds."""

import pytest

from headstart.callbacks.timing.bottleneck_advice import Circumstances, line, shares, what_bound


def phase(train_s=0.0, step_s=0.0, wait_s=0.0, validation_s=0.0, cache_s=0.0, images=0, steps=1):
    return {
        "train_s": train_s, "step_s": step_s, "wait_s": wait_s, "validation_s": validation_s, "cache_s": cache_s,
        "images": images, "steps": steps,
    }  # fmt: skip


def test_shares_are_of_all_seconds_and_sum_to_one():
    found = shares(
        [phase(train_s=6, step_s=3, wait_s=1), phase(train_s=2, step_s=1, wait_s=1, validation_s=1, cache_s=1)]
    )
    assert found == pytest.approx({"steps": 0.4, "data": 0.2, "validation": 0.1, "store": 0.1, "other": 0.2})


def test_on_a_gpu_all_that_is_not_waiting_is_the_steps():
    found = shares([phase(train_s=8, step_s=1, wait_s=2, validation_s=2)], on_gpu=True)
    assert found == pytest.approx({"steps": 0.6, "data": 0.2, "validation": 0.2, "store": 0, "other": 0})


def test_no_time_has_no_shares():
    assert shares([]) == shares([phase()]) == {}
    assert line([], 1.0, Circumstances()) == "no step was taken"


LIVE = {"frozen": True, "has_store": False}


@pytest.mark.parametrize(
    ("share", "step_ms", "around", "said"),
    [
        ({"steps": 0.8, "data": 0.2}, 50, {}, "bound by the forward and backward pass (80 %)"),
        (
            {"steps": 0.8, "data": 0.2}, 50, LIVE,
            "bound by the forward and backward pass (80 %); "
            "try feature_cache=default: frozen stages then compute each image once",
        ),
        (
            {"steps": 0.8, "data": 0.2}, 50, {"frozen": True, "is_augmented": True},
            "bound by the forward and backward pass (80 %); "
            "try feature_cache.views=4: frozen stages then compute each image once",
        ),
        ({"steps": 0.8, "data": 0.2}, 50, {"frozen": True, "is_augmented": True, "views": 2}, "pass (80 %)"),
        ({"steps": 0.8, "data": 0.2}, 50, {"frozen": True, "is_augmented": True, "is_mixed": True}, "pass (80 %)"),
        (
            {"steps": 0.8, "data": 0.2}, 0.4, {},
            "bound by what each step costs, 0.4 ms, however few images it has (80 %); try a larger target.batch_size",
        ),
        (
            {"steps": 0.9, "data": 0.1}, 50, {"on_gpu": True},
            "bound by the steps, on the GPU or around it (90 %); try trainer.precision=bf16-mixed",
        ),
        ({"steps": 0.9, "data": 0.1}, 50, {"on_gpu": True, "precision": "bf16-mixed"}, "around it (90 %)"),
        ({"data": 0.7, "steps": 0.3}, 50, {"cores": 8}, "bound by waiting for data (70 %)"),  # threads decode already
        (
            {"data": 0.7, "steps": 0.3}, 50, {"cores": 8, "on_gpu": True, "workers": 2},
            "bound by waiting for data (70 %); try more workers: target.num_workers=4",
        ),
        ({"data": 0.7, "steps": 0.3}, 50, {"cores": 4, "on_gpu": True, "workers": 4}, "waiting for data (70 %)"),
        ({"data": 0.7, "steps": 0.3}, 50, {"cores": 8, "on_gpu": True, "data": ""}, "waiting for data (70 %)"),
        (
            {"validation": 0.6, "steps": 0.4}, 50, {},
            "bound by validation (60 %); try trainer.check_val_every_n_epoch=2",
        ),
        (
            {"validation": 0.6, "steps": 0.4}, 50, {"every_epochs": 3},
            "bound by validation (60 %); try trainer.check_val_every_n_epoch=6",
        ),
        (
            {"validation": 0.6, "steps": 0.4}, 50, {"every_batches": 25},
            "bound by validation (60 %); try trainer.val_check_interval=50",
        ),
        (
            {"validation": 0.6, "steps": 0.4}, 50, {"within_epochs": True},
            "bound by validation (60 %); try a longer trainer.val_check_interval",
        ),
        ({"store": 0.6, "steps": 0.4}, 50, {}, "bound by filling the feature cache (60 %)"),
        (
            {"other": 0.6, "steps": 0.4}, 0.4, {},
            "bound by what is around the steps: logging, checkpoints, hooks (60 %); "
            "try trainer.log_every_n_steps=500 or a larger target.batch_size",
        ),
        (
            {"steps": 0.34, "validation": 0.33, "data": 0.33}, 50, {},
            "bound by the forward and backward pass (34 %) and validation (33 %)",
        ),
    ],
)  # fmt: skip
def test_the_largest_share_bound_the_run_and_the_hint_fits_what_is_not_done_yet(share, step_ms, around, said):
    found = what_bound(share, step_ms, Circumstances(**around))
    assert found.endswith(said)
    assert ("; try " in found) == ("; try " in said)


def test_the_line_has_images_a_second_of_training_waiting_memory_and_what_bound_it():
    phases = [phase(train_s=4, step_s=3.5, wait_s=0.2, images=1600, steps=50, validation_s=1)]
    assert line(phases, 811.6, Circumstances()) == (
        "400 images/s, 5 % of the time waiting for data, peak memory 812 MiB; "
        "bound by the forward and backward pass (70 %)"
    )
    assert "peak memory 812 MiB of the GPU" in line(phases, 811.6, Circumstances(on_gpu=True))
    assert "memory" not in line(phases, None, Circumstances())
    slow = [phase(train_s=100, step_s=100, images=32)]
    assert line(slow, None, Circumstances()).startswith("0.32 images/s, 0 % of the time")

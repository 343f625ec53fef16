"""Two processes train one model, under every schedule."""

import json

import pytest
import torch

import rank_scenarios
from two_processes import run_both

SCENARIOS = ["everything_at_once", "planted_drift", "frozen_statistics"]
SLOW = ["each_schedule", "bytes_on_the_wire", "lightnings_own_callback"]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The folder that two processes have left after the scenarios."""
    folder = tmp_path_factory.mktemp("ranks")
    run_both(rank_scenarios.__file__, folder, *SCENARIOS, seconds=240)
    return folder


@pytest.fixture(scope="module")
def slow_ranks(tmp_path_factory):
    """The same of those that `make test-all` has besides."""
    folder = tmp_path_factory.mktemp("slow_ranks")
    run_both(rank_scenarios.__file__, folder, *SLOW, seconds=240)
    return folder


def both(folder, scenario):
    return [torch.load(folder / f"{scenario}-{rank}") for rank in range(2)]


def test_the_weights_of_the_ranks_are_equal_to_the_bit_after_every_epoch(ranks):
    one, other = both(ranks, "everything_at_once")
    assert len(one["epochs"]) == 5
    for epoch, (a, b) in enumerate(zip(one["epochs"], other["epochs"], strict=True)):
        for name, weight in a.items():
            assert torch.equal(weight, b[name]), (epoch, name)


def test_every_stage_moves_once_it_is_open_and_not_before(ranks):
    epochs = both(ranks, "everything_at_once")[0]["epochs"]
    for stage, first in (("head", 0), ("second", 1), ("first", 2)):
        for epoch in range(1, 5):
            for name in epochs[0]:
                if name.startswith(stage):
                    moved = not torch.equal(epochs[epoch][name], epochs[epoch - 1][name])
                    assert moved == (epoch >= first), (epoch, name)


def test_running_statistics_are_one_models_at_each_validation_and_move_only_where_open(ranks):
    one, other = (part["buffers"] for part in both(ranks, "everything_at_once"))
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(buffer, b[name]) for name, buffer in a.items())
    assert torch.equal(one[0]["second.1.running_mean"], torch.zeros(8))  # closed in the first epoch
    assert not torch.equal(one[1]["second.1.running_mean"], torch.zeros(8))
    assert torch.equal(one[1]["first.1.running_mean"], torch.zeros(4))


@pytest.mark.slow
@pytest.mark.parametrize("name", rank_scenarios.SCHEDULES)
def test_two_processes_equal_one_with_the_same_global_batches(slow_ranks, name):
    of_ranks = [part[name] for part in both(slow_ranks, "each_schedule")]
    schedule = rank_scenarios.SCHEDULES[name]
    alone = rank_scenarios.fitted(
        rank_scenarios.of_seed(batch_norm=False, schedule=schedule), schedule, epochs=5, world=1
    )
    for epoch, (a, b, want) in enumerate(zip(*of_ranks, alone.epochs, strict=True)):
        for parameter, weight in want.items():
            assert torch.equal(a[parameter], b[parameter]), (epoch, parameter)
            torch.testing.assert_close(a[parameter], weight, rtol=0, atol=1e-6)


def test_with_frozen_statistics_two_processes_of_a_net_with_batch_norm_equal_one(ranks):
    one, other = both(ranks, "frozen_statistics")
    alone = rank_scenarios.fitted(
        rank_scenarios.of_seed(batch_norm=True), rank_scenarios.FROZEN_STATISTICS, epochs=2, world=1
    )
    for name, weight in alone.epochs[-1].items():
        assert torch.equal(one["epochs"][-1][name], other["epochs"][-1][name]), name
        torch.testing.assert_close(one["epochs"][-1][name], weight, rtol=0, atol=1e-6)
    fresh = dict(rank_scenarios.of_seed(batch_norm=True).named_buffers())
    for buffers in (one["buffers"][-1], other["buffers"][-1], alone.buffers[-1]):
        assert all(torch.equal(buffer, fresh[name]) for name, buffer in buffers.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gradual", "steps", "explicit"])
def test_the_bytes_reduced_are_those_of_what_is_open(slow_ranks, name):
    for rank in range(2):
        seen = json.loads((slow_ranks / f"bytes_on_the_wire-{rank}").read_text())[name]
        assert seen["reduced"] == seen["open"]
        assert len(set(seen["open"])) >= 3  # phases that differ


def test_one_bit_on_one_rank_stops_both_with_the_name_of_the_weight(ranks):
    for rank in range(2):
        message = (ranks / f"planted_drift-{rank}").read_text()
        assert message.startswith("ReplicasDifferError: in epoch 1 the weights of the 2 devices are no longer equal: ")
        assert "second.0.weight" in message


@pytest.mark.slow
def test_the_drift_under_lightnings_own_callback_is_found_in_the_epoch_in_which_it_unfreezes(slow_ranks):
    for rank in range(2):
        message = (slow_ranks / f"lightnings_own_callback-{rank}").read_text()
        assert message.startswith("ReplicasDifferError: in epoch 1 ")
        assert "backbone.0.0.weight" in message

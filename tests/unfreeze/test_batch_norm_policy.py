"""BatchNorm of a trainable part learns its statistics and weights, its weights alone, or nothing, phase by phase."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from headstart.types import UserError
from headstart.unfreeze.batch_norm_policy import WithBatchNorm, what_learns
from headstart.unfreeze.freezing import Freezing
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.schedule_phases import Phase, phase_of
from schedule_runs import STAGES, fitted, planned, small

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
AFFINE = {f"{stage}.1.{name}" for stage in ("first", "second") for name in ("weight", "bias")}


def moved(*phases):
    """What each epoch changed of a small model; an epoch a phase."""
    seen = fitted(small(Explicit(phases=list(phases))), epochs=len(phases))
    states = [*seen.weights, seen.validated[-1]]
    return [
        {name for name in before if not torch.equal(before[name], after[name])} for before, after in pairwise(states)
    ]


def learning(module, **phase):
    return what_learns(module, ModelParts(module, STAGES), Phase(trainable=("all",), **phase))


def statistics_of(*stages):
    return {f"{stage}.1.{name}" for stage in stages for name in STATISTICS}


def test_running_statistics_stay_to_the_bit_while_weights_learn():
    # before a norm that takes a batch's own mean away, a bias has no gradient
    biases = {"first.0.bias", "second.0.bias"}
    weights = {name for name, _ in small(None).named_parameters()} - biases
    for policy, want in (
        ("learning", weights | statistics_of("first", "second")),
        ("statistics_frozen", weights),
        ("all_frozen", weights - AFFINE),
    ):
        assert [one - biases for one in moved({"trainable": "all", "batch_norm": policy})] == [want], policy


def test_each_phase_and_each_part_has_its_own_policy():
    of_first = {"trainable": "all", "epochs": 1, "batch_norm": {"first": "statistics_frozen"}}
    one, other = moved(of_first, {"trainable": "all"})
    assert one & statistics_of("first", "second") == statistics_of("second")
    assert other >= statistics_of("first", "second")


def test_a_frozen_norm_computes_in_training_what_it_computes_in_eval():
    module, x = small(None).train(), torch.randn(8, 4)
    learns = learning(module, batch_norm="statistics_frozen")
    Freezing(module, dict(module.named_parameters())).train_only(learns.parameters, learns.frozen_norms)
    trained = module(x)
    assert torch.equal(trained, module.eval()(x))


def test_the_norm_of_a_head_learns_and_dropout_beside_a_frozen_norm_is_on():
    module = small(None)
    module.first.add_module("3", nn.Dropout())
    module.head = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))
    learns = learning(module.train(), batch_norm="all_frozen")
    Freezing(module, dict(module.named_parameters())).train_only(learns.parameters, learns.frozen_norms)
    assert [module.first[1].training, module.first[3].training, module.head[0].training] == [False, True, True]
    assert learns.frozen_norms == {"first.1", "second.1"}
    assert {"head.0.weight", "head.0.bias"} < learns.parameters


@pytest.mark.parametrize(
    ("norm", "frozen"),
    [
        (nn.InstanceNorm1d(8, affine=True, track_running_stats=True), True),
        (nn.InstanceNorm1d(8, affine=True), False),
        (nn.BatchNorm1d(8, affine=False), True),
        (nn.BatchNorm1d(8, track_running_stats=False), False),
        (nn.LayerNorm(8), False),
        (nn.SyncBatchNorm(8), True),
    ],
)
def test_a_norm_is_one_with_running_statistics(norm, frozen):
    module = small(None)
    module.second[1] = norm
    learns = learning(module, batch_norm="all_frozen")
    assert ("second.1" in learns.frozen_norms) == frozen
    assert learns.parameters.isdisjoint({"second.1.weight", "second.1.bias"}) == (frozen or not list(norm.parameters()))


def test_synchronised_norms_that_replace_others_later_are_frozen_and_open_with_their_stage():
    module = small(None).train()
    held = Freezing(module, dict(module.named_parameters()))
    learns = learning(module, batch_norm={"second": "statistics_frozen"})
    held.train_only({name for name in learns.parameters if not name.startswith("first")}, learns.frozen_norms)
    replaced = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    assert replaced is module
    module.train()
    held.renew()
    assert [type(module.first[1]), module.first[1].training, module.second[1].training] == [
        nn.SyncBatchNorm, False, False,
    ]  # fmt: skip
    held.train_only(learns.parameters, learns.frozen_norms)
    assert [module.first[1].training, module.second[1].training] == [True, False]
    held.end()
    assert module.second[1].training


def test_the_modules_policy_holds_for_stages_of_the_source_in_phases_that_have_none():
    phases = [
        Phase(trainable=("head",), epochs=1),
        Phase(trainable=("all",), epochs=1, batch_norm="learning"),
        Phase(trainable=("all",), epochs=1, batch_norm={"second": "learning", "head": "all_frozen"}),
        Phase(trainable=("all",), batch_norm="all_frozen"),
    ]
    schedule = WithBatchNorm(schedule=Explicit(phases=phases), batch_norm="statistics_frozen", stages=("first",))
    assert [phase.batch_norm for phase in schedule.phases(STAGES)] == [
        {"first": "statistics_frozen"},
        None,
        {"first": "statistics_frozen", "second": "learning", "head": "all_frozen"},
        {"first": "all_frozen"},
    ]


def test_the_plan_counts_the_frozen_norms_of_each_phase():
    schedule = Explicit(phases=[{"trainable": ["head"], "epochs": 1}, {"trainable": "all", "batch_norm": "all_frozen"}])
    plan = planned(small(schedule))
    assert "batch_norm: frozen running statistics of 0, 2 norms, phase by phase" in str(plan)
    whole_run = planned(small(Explicit(phases=[{"trainable": "all", "batch_norm": "all_frozen"}])))
    assert "batch_norm: frozen running statistics of 2 norms\n" in str(whole_run)
    assert [plan.rows[1].trainable[part] for part in STAGES] == ["partly", "partly", "whole"]
    whole = sum(p.numel() for p in small(None).parameters())
    assert plan.rows[1].trainable_parameters == plan.share.learning == whole - 4 * 8  # two norms of 8 channels


def test_another_policy_or_a_part_that_is_not_there_is_an_error_that_lists_what_there_is():
    with pytest.raises(UserError, match=r"learning, statistics_frozen, all_frozen, or one of these.*has 'frozen'"):
        phase_of({"trainable": "all", "batch_norm": "frozen"})
    with pytest.raises(UserError, match=r"names third, which is no part; the parts are first, second, head"):
        learning(small(None), batch_norm={"third": "learning"})
